"""`denoir`: serve, completion, and the verbs of `models.cli`."""

import argparse
import logging
import sys
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from models import cli
from models.arguments import count, device, devices, positive
from models.catalog import SHIPPED, Catalog
from models.cli.words import add_verb
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
    one = add_verb(verbs_of(commands), "serve", serve, "serve", "serve --port 8080 --device cpu")
    one.add_argument("--host", help="address to listen on (default: DENOIR_HOST, or 127.0.0.1)")
    one.add_argument("--port", type=count, help="port to listen on (default: DENOIR_PORT, or 8000)")
    one.add_argument("--device", type=device, help="auto, cpu, cuda, cuda:N (default: DENOIR_DEVICE, or auto)")
    one.add_argument(
        "--devices",
        type=devices,
        help="devices that workers take in turn, as cuda:0,cuda:1; a worker each (default: DENOIR_DEVICES)",
    )
    one.add_argument("--workers", type=positive, help="processes that serve (default: DENOIR_WORKERS, or 1)")


def serve(asked: argparse.Namespace) -> int:
    """Serve the models over HTTP, and a page that asks them.

    What has no flag here is set by DENOIR_* in the environment: the README lists all of it, under Settings.
    """
    from service import workers  # imports what serves, which --help and the other settings can do without

    flags = {name: getattr(asked, name) for name in ("host", "port", "device", "devices", "workers")}
    try:
        given = {name: value for name, value in flags.items() if value is not None}
        settings = Settings.model_validate(given | {"models": asked.shelf})
    except ValidationError as error:
        raise ValueError(told(error)) from error
    if sys.stderr.isatty():
        greet(settings)
    return workers.run(settings)


def greet(settings: Settings) -> None:
    """Tells a person at a terminal what takes its time, and has the rest told in plain words."""
    number = len(Catalog.of(SHIPPED, settings.models).entries)
    loading = "loading {} models; new ones are compiled first, a few seconds each"
    later = "{} models, each loaded when it is first asked for"
    told = (loading if settings.preload and not settings.model_memory else later).format(number)
    print(f"denoir {version('denoir')}: {told} (Ctrl-C ends it)", file=sys.stderr, flush=True)
    for name in ("denoir", "uvicorn.error"):
        logging.getLogger(name).addFilter(plainly)


def plainly(record: logging.LogRecord) -> bool:
    """Tells in plain words what would be a line of JSON; requests and traces, which may quote anything, stay that.

    A filter, because loggers keep theirs when `telemetry.write_lines` sets the rest of them up. The server's own lines
    are left out unless something is wrong, since the address stands in ours.
    """
    if hasattr(record, "fields") or record.exc_info:
        return True
    if record.name == "denoir" or record.levelno > logging.INFO:
        shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in record.getMessage())
        print(shown, file=sys.stderr, flush=True)
    return False


def add_completion(commands: argparse.ArgumentParser) -> None:
    """Another, which tells of all of them."""
    one = add_verb(verbs_of(commands), "completion", completion)
    one.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    one.set_defaults(commands=commands)


SHELLS = ("bash", "zsh", "fish")


def completion(asked: argparse.Namespace) -> int:
    """Print a script that completes words of this command in a shell.

    To have it in each new shell, put into the file that your shell reads first:

      ~/.bashrc                   eval "$(denoir completion bash)"
      ~/.zshrc, after compinit    eval "$(denoir completion zsh)"
      ~/.config/fish/config.fish  denoir completion fish | source

    It knows the names of the models that are on the shelf when it is made.
    """
    try:
        import shtab  # an extra
    except ImportError as error:
        raise ValueError("this needs shtab: pip install 'denoir[completion]'") from error
    described, _ = Catalog.readable(SHIPPED, asked.shelf)
    asks = {entry.description.name: entry.description.asks for entry in described.entries.values()}
    for verb, one in {"": asked.commands, **verbs_of(asked.commands).choices}.items():
        for action in one._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.type is device:
                action.choices = ("auto", "cpu", "cuda")
            elif action.dest in ("model", "start_from"):
                action.choices = sorted(name for name in asks if verb in asks[name]) or sorted(asks)
    print(shtab.complete(asked.commands, asked.shell))
    return 0


def told(error: ValidationError) -> str:
    """Which settings are wrong, and how."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
