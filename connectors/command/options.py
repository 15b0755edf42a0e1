"""The options of the `command` type."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import field_validator, model_validator

from connectors.base.environment import MAX_VARIABLE_BYTES
from connectors.base.errors import ConfigError
from connectors.base.options import option
from connectors.parts import polling

#: Of our own environment a program gets these, and the locale: no credential is among them.
_KEPT = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
#: The fields of an event that a program's own lines may fill.
_PLACES = (
    "id",
    "text",
    "title",
    "platform_event",
    "source_url",
    "parent",
    "occurred_at",
    "author",
    "conversation",
    "conversation_name",
    "revision",
)
Words = str | list[str]


class CommandOptions(polling.SourceOptions):
    """A program that brings events, one that takes outgoings, or one that does both."""

    command: Words | None = option(
        None, description="The program that prints events: a list of words, or one text that is split as a shell does."
    )
    schedule: str | None = option(
        None, description="Run command at these times (5m, or five cron fields). Without it, it runs all the time."
    )
    send_lines: bool = option(
        False, description="Let command, which runs all the time, also read outgoings and answer."
    )
    send_command: Words | None = option(None, description="A program that is run for each outgoing.")
    shell: bool = option(False, description="Hand the commands to /bin/sh, which knows pipes and variables.")
    cwd: str = option(".", description="The folder that the programs run in; relative to the home folder.")
    attachment_roots: list[str] = option(
        [], description="Folders whose files the programs may hand over, besides their own ones; relative to the home."
    )
    env: dict[str, str] = option({}, description="Variables for the programs; of the connector's own they get few.")
    fields: dict[str, str] = option(
        {}, description="For lines that are no events of ours: where in them the event's fields are, as dotted paths."
    )
    actions: list[str] = option([], description="Actions besides send that the program understands: edit, react …")
    idempotent: bool = option(False, description="The program sends an outgoing with the same key only once.")
    run_limit_s: float = option(300.0, gt=0, description="How long a run of command by schedule may take.")
    send_timeout_s: float = option(60.0, gt=0, le=3600, description="How long the answer to an outgoing may take.")
    stop_grace_s: float = option(3.0, ge=0, le=5, description="So long a program may take to end when it is asked to.")
    max_line_bytes: int = option(1_000_000, ge=1000, le=100_000_000, description="A longer line is refused.")

    @field_validator("command", "send_command")
    @classmethod
    def _has_words(cls, value: Words | None) -> Words | None:
        try:
            words = shlex.split(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"cannot be split into words ({error}): give a list") from None
        if words is not None and not (words and words[0]):
            raise ValueError("names no program")
        if any("\0" in word for word in words or ()):
            raise ValueError("has a NUL character")
        return value

    @field_validator("env")
    @classmethod
    def _are_variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not name or "=" in name or "\0" in name + text:
                raise ValueError(f"{name!r} cannot be a variable")
            if name.startswith("MAILBOX_"):
                raise ValueError(f"{name}: the connector sets the variables of this kind")
        return value

    @field_validator("fields")
    @classmethod
    def _are_places(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in _PLACES:
                raise ValueError(f"an event has no such field {name!r}: there are {', '.join(_PLACES)}")
        return value

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.command is None and self.send_command is None:
            raise ValueError("give command, send_command, or both")
        if self.command is None and (self.schedule or self.send_lines):
            raise ValueError("schedule and send_lines are about command, which is not given")
        if self.send_lines and self.schedule is not None:
            raise ValueError("with a schedule nothing reads the lines: use send_command in place of send_lines")
        if self.send_lines and self.send_command is not None:
            raise ValueError("send_lines and send_command exclude each other")
        if self.send_lines and self.fields:
            raise ValueError("with fields every line is an event: use send_command in place of send_lines")
        return self

    def words(self, command: Words) -> list[str]:
        """What is started."""
        if self.shell:
            return ["/bin/sh", "-c", command if isinstance(command, str) else shlex.join(command)]
        return shlex.split(command) if isinstance(command, str) else list(command)

    def folder(self, home: Path) -> Path:
        """Where the programs run. Raises ConfigError."""
        folder = Path(os.path.abspath(home / os.path.expanduser(self.cwd)))
        if not folder.is_dir():
            raise ConfigError(f"cwd: {folder} is no folder", hint="make it, or correct cwd")
        return folder

    def environment(self, own: Mapping[str, str], **mailbox: Any) -> dict[str, str]:
        """All variables of a program. `mailbox` become `MAILBOX_*`; what is too long for one is left out."""
        kept = {name: own[name] for name in own if name in _KEPT or name.startswith("LC_")}
        told = {f"MAILBOX_{name.upper()}": str(value) for name, value in mailbox.items()}
        told = {name: text for name, text in told.items() if len(os.fsencode(text)) <= MAX_VARIABLE_BYTES}
        return {"PATH": os.defpath, **kept, **self.env, **told}


def check_program(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Raises ConfigError when there is no such program."""
    program = words[0]
    if "/" in program:
        path = folder / os.path.expanduser(program)
        if path.is_file() and not os.access(path, os.X_OK):
            raise ConfigError(f"{path} may not be run", hint=f"chmod +x {path}")
        found = path.is_file()
    else:
        found = shutil.which(program, path=environment["PATH"]) is not None
    if not found:
        raise ConfigError(
            f"there is no program {program!r}",
            hint=f"install it, or give its path (relative to {folder}); then connectors restart",
        )
