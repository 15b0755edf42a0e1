"""`connectors hook`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from connectors.base.errors import ConnectorError
from connectors.commands.arguments import HERE, SeedHome, home_of
from connectors.commands.output import error_line, prose

WORDS = ("start", "stop", "active")
_TIMEOUT_S = 1.0


class Harmless(TyperCommand):
    """Exit code 0 also for wrong arguments: a tool may take any other one as "no" (Claude Code takes 2 so)."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except typer.BadParameter.__base__ as error:  # type: ignore[misc]  # UsageError, which Typer does not export
            _fail(error.format_message(), "connectors hook --help")
            raise typer.Exit from None


COMMAND = Harmless
SETTINGS = {"ignore_unknown_options": True}  # they are ignored aloud, as wrong words are


def hook(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The instance, or the type if it has one instance.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD] [JSON]",
            help="start, stop or active, where the tool's JSON does not say it; the JSON, where stdin has none.",
            show_default=False,
        ),
    ] = None,
    seed_home: SeedHome = HERE,
    exit_status: Annotated[
        str | None, typer.Option("--exit-status", metavar="N", help="How the tool ended, as `$?` of a shell.")
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="SECONDS", help="How long the connector may take: 0.1 to 60.")
    ] = str(_TIMEOUT_S),
) -> None:
    """For the hooks of coding agents and other tools: reads the tool's JSON, signs it, and posts it to the connector.
    What cannot be posted is kept, and the connector takes it in when it runs. Prints nothing on stdout, and ends with
    exit code 0 whatever happens: a hook must not break its tool.
    """
    from connectors.parts import hooking

    try:
        home = home_of(seed_home)
        word, text = _split(words or [])
        timeout_s = _seconds(timeout)
        data = text.encode("utf-8", "surrogateescape") if text is not None else hooking.read_within(0, timeout_s)
        more: dict[str, Any] = {"hook_type": word} if word is not None else {}
        if exit_status is not None and (status := _whole(exit_status)) is not None:
            more["exit_status"] = status
        told = hooking.tell(home, name, hooking.body_of(data, more), timeout_s=timeout_s)
    except ConnectorError as error:
        _fail(str(error), error.hint)
        return
    except Exception as error:  # noqa: BLE001 - the tool goes on, whatever it is, and this line says what it was
        _fail(f"{type(error).__name__}: {error}", "connectors doctor")
        return
    instance = told.instance
    if told.event_id is not None:
        if sys.stderr.isatty():
            _say("told:  ", f"{instance} has it as {told.event_id or 'no event'}", "green")
    elif told.kept:
        _say("kept:  ", f"{told.why}; {instance} takes it in when it runs", "yellow")
    else:
        _fail(told.why, f"connectors logs {instance}")


def _fail(text: str, hint: str) -> None:
    with suppress(OSError):  # nobody reads it
        error_line(text, hint)


def _say(label: str, text: str, style: str) -> None:
    with suppress(OSError):  # as above
        prose(label, text, style, stream=sys.stderr)


def _split(words: list[str]) -> tuple[str | None, str | None]:
    """The word and the JSON. What is neither is ignored: what the tool says is worth more than how it is called."""
    words = list(words)
    text = words.pop() if words and words[-1].lstrip().startswith("{") else None
    if len(words) <= 1 and all(word in WORDS for word in words):
        return (words[0] if words else None), text
    _ignored(f"{' '.join(words)!r:.200} is none of {', '.join(WORDS)}")
    return None, text


def _whole(text: str) -> int | None:
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 10:
        return int(text)
    _ignored(f"--exit-status {text!r:.200} is no number")
    return None


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0.1 <= float(text) <= 60:
            return float(text)
    _ignored(f"--timeout {text!r:.200} is not from 0.1 to 60")
    return _TIMEOUT_S


def _ignored(text: str) -> None:
    _fail(f"{text}: ignored", "connectors hook --help")
