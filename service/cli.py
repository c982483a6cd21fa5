"""`denoir`: serve, and the verbs of `models.cli`."""

import argparse
import sys
from importlib.metadata import version

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
    sys.exit(cli.run(commands, argv))


def add_serve(commands: argparse.ArgumentParser) -> None:
    """The verb that `models.cli` lacks."""
    verbs = next(action for action in commands._actions if isinstance(action, argparse._SubParsersAction))
    one = verbs.add_parser("serve", help="Serve the models over HTTP.", description=serve.__doc__)
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


def told(error: ValidationError) -> str:
    """Which settings are wrong, and how."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
