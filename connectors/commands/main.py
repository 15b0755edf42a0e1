"""The `connectors` program: finds the verb, and says in one line what went wrong."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from connectors.base.errors import ConnectorError, Exit

#: Section → verb → what it does. `connectors --help` is made from this alone: it imports no verb.
SECTIONS: dict[str, dict[str, str]] = {
    "Running": {
        "run": "Run the connectors of connectors.yml, in the foreground.",
        "status": "Show how every connector is doing.",
        "stop": "Stop the manager, or one connector.",
        "restart": "Restart all connectors, or one.",
        "logs": "Show what the connectors and the manager logged.",
        "sync": "Let sources poll now, and say what came.",
        "approvals": "List the actions that wait for a person.",
        "approve": "Let a waiting action run, as it is or with another input.",
        "deny": "Refuse a waiting action.",
        "chat": "Talk through a running cli connector.",
        "service": "Run by systemd or launchd, from boot or login on.",
    },
    "Setting up": {
        "init": "Make connectors.yml and what belongs to it, where missing.",
        "add": "Add a connector to connectors.yml.",
        "new": "Begin a connector of your own, with its test.",
        "types": "List the connector types, or the options of one.",
        "env": "List the variables that the connectors need.",
        "validate": "Check connectors.yml and .env.",
        "pair": "Decide who may write directly: list, approve, deny, revoke.",
        "doctor": "Check machine and home; say how to fix what is wrong.",
    },
    "For agents": {
        "agent": "Run a command for every event; what it prints is the reply.",
        "tail": "Print events as JSON lines.",
        "next": "Claim the next event and print it.",
        "ack": "Acknowledge an event: done with it.",
        "nack": "Give a claimed event back.",
        "reply": "Answer an event.",
        "send": "Send a message to a conversation.",
        "cancel": "Take back an outgoing that was not sent yet.",
        "hook": "Tell a connector what a coding agent's hook says.",
    },
    "Looking back": {
        "explain": "Tell the whole life of one event or outgoing.",
        "failed": "List, show, retry or drop dead letters.",
        "replay": "Put a kept event back into the inbox.",
        "fetch": "Fetch the files that an event lacks.",
        "checkpoint": "Show, reset or set where a source goes on.",
        "prune": "Delete what need not be kept any longer.",
    },
}
VERBS = {verb: text for verbs in SECTIONS.values() for verb, text in verbs.items()}


#: Nobody reads the output any longer (`| head -1`): 128 + SIGPIPE, as a shell says of what that signal ended.
READER_GONE = 141


class Verbs(TyperGroup):
    """The verbs, each imported when it is used."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise typer.Exit(READER_GONE) from None

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer.Context is its own
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load(cmd_name) if cmd_name in VERBS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in VERBS and not args[0].startswith("-"):
            from connectors.base.problems import did_you_mean, nearest

            ctx.fail(f'there is no verb "{args[0]}"{did_you_mean(nearest(args[0], VERBS))}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, VERBS))
        for section, verbs in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(verb.ljust(width), text) for verb, text in verbs.items()])


def load(verb: str) -> Any:
    """The verb's command. Its file has a function of its name, or, with verbs of its own, an `app`."""
    module = import_module(f"connectors.commands.{verb}")
    function = getattr(module, verb, None)
    if function is None:
        module.app.info.help = VERBS[verb]
        return typer.main.get_command(module.app)
    details = cleandoc(function.__doc__ or "")
    settings = getattr(module, "SETTINGS", {})
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    text = f"{VERBS[verb]}\n\n{details}".strip()
    single.command(verb, cls=getattr(module, "COMMAND", None), help=text, context_settings=settings)(function)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="VERB …",
    epilog="Every verb takes --help, and --seed-home FOLDER ($MAILBOX_HOME, else .).",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"connectors {version('mailbox-connectors')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Connectors between platforms and an agent, with a folder between them."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one verb with these arguments (default: the process's own) and exit with its code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A lone surrogate in a message, or a terminal without UTF-8, must not end the verb.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = _call(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = READER_GONE
        # The interpreter's own flush at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _open_closed_streams() -> None:
    """What the caller closed (`>&-`) leads nowhere: else a file of ours would get its number, and be printed into."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: the closed one
            os.set_inheritable(fd, fd <= 2)
            setattr(sys, name, open(fd, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 - for good


def _call(arguments: Sequence[str] | None) -> int:
    try:
        app(args=arguments, prog_name="connectors")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except ConnectorError as error:
        return _say(str(error), error.hint, error.exit_code)
    except (OSError, sqlite3.Error) as error:
        return _say(_os_text(error), "connectors doctor", Exit.CRASH)
    return Exit.OK


def _say(text: str, hint: str, code: int) -> int:
    from connectors.commands.output import error_line

    with suppress(BrokenPipeError):  # nobody reads stderr: the exit code tells still
        error_line(text, hint)
    return code


def _os_text(error: Exception) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.strerror}: {os.fsdecode(error.filename)}" if error.filename is not None else error.strerror


if __name__ == "__main__":
    main()
