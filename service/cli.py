"""`denoir`: serve, completion, and the verbs of `models.cli`."""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from models import cli
from service.settings import Settings


def main(argv: list[str] | None = None) -> None:
    """The command. Ends the process with its exit code."""
    try:
        settings = Settings.model_validate({})
    except ValidationError as error:
        sys.exit(f"denoir: {told(error)}")
    commands = cli.parser("denoir", settings.models, settings.cache)
    commands.add_argument("--version", action="version", version=f"denoir {version('denoir')}")
    add_serve(commands)
    add_completion(commands)
    sys.exit(cli.run(commands, argv))


def verbs_of(commands: argparse.ArgumentParser) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    return next(action for action in commands._actions if isinstance(action, argparse._SubParsersAction))


def add_serve(commands: argparse.ArgumentParser) -> None:
    """A verb that `models.cli` lacks."""
    one = verbs_of(commands).add_parser("serve", help="Serve the models over HTTP.", description=serve.__doc__)
    one.add_argument("--host", help="address to listen on (default: DENOIR_HOST, or 127.0.0.1)")
    one.add_argument("--port", type=int, help="port to listen on (default: DENOIR_PORT, or 8000)")
    one.add_argument("--device", help="auto, cpu, cuda (default: DENOIR_DEVICE, or auto)")
    one.add_argument("--workers", type=int, help="processes that serve (default: DENOIR_WORKERS, or 1)")
    one.set_defaults(verb=serve)


def serve(asked: argparse.Namespace) -> int:
    """Serve the models over HTTP. What has no flag here is set by DENOIR_* in the environment."""
    from service import workers  # imports what serves, which --help and the other settings can do without

    flags = {name: getattr(asked, name) for name in ("host", "port", "device", "workers")}
    try:
        given = {name: value for name, value in flags.items() if value is not None}
        settings = Settings.model_validate(given | {"models": asked.shelf})
    except ValidationError as error:
        raise ValueError(told(error)) from error
    return workers.run(settings)


def add_completion(commands: argparse.ArgumentParser) -> None:
    """Another, which tells of all of them."""
    about = "Print a script that completes words of this command in a shell."
    one = verbs_of(commands).add_parser("completion", help=about, description=completion.__doc__)
    one.add_argument("shell", choices=SHELLS)
    one.set_defaults(verb=lambda asked: completion(commands, asked.shell))


SHELLS = ("bash", "zsh", "fish")


def completion(commands: argparse.ArgumentParser, shell: str) -> int:
    """Print a script that completes words of this command in a shell: `source <(denoir completion bash)`."""
    try:
        import shtab  # an extra
    except ImportError as error:
        raise ValueError("this needs shtab: pip install 'denoir[completion]'") from error
    for one in (commands, *verbs_of(commands).choices.values()):
        for action in one._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(commands, shell))
    return 0


def told(error: ValidationError) -> str:
    """Which settings are wrong, and how."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
