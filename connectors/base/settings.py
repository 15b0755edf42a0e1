"""What connectors.yml says, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from connectors.base.problems import DataPath, Problem

ALERT_KINDS = ("auth", "crash_loop", "dead_letter", "stall")


def _least(default: Any, least: float) -> Any:
    return field(default=default, metadata={"least": least})


@dataclass(frozen=True)
class RestartPolicy:
    """When a connector that crashed is started again. `max_restarts=None`: without limit."""

    initial_delay_s: float = _least(1.0, 0)
    max_delay_s: float = _least(300.0, 0)
    reset_after_s: float = _least(60.0, 0)
    max_restarts: int | None = _least(None, 0)


@dataclass(frozen=True)
class Limits:
    """What is kept, and how much is accepted. `attachment_roots` are absolute."""

    inbox_max_files: int = _least(100_000, 1)
    min_free_bytes: int = _least(50_000_000, 0)
    message_max_bytes: int = _least(1_000_000, 1_000)
    attachment_max_bytes: int = _least(50_000_000, 0)
    attachment_roots: tuple[str, ...] = ()
    keep_receipts: int = _least(10_000, 0)
    keep_failed: int = _least(10_000, 0)
    keep_events: int = _least(10_000, 0)
    keep_days: int = _least(30, 0)
    attachments_max_bytes: int = _least(2_000_000_000, 0)
    log_max_bytes: int = _least(5_000_000, 1_000)
    log_files: int = _least(5, 1)


@dataclass(frozen=True)
class DeliveryPolicy:
    """How often and how long an outgoing is tried, and what becomes of a send that was cut off."""

    max_attempts: int = _least(8, 1)
    max_age_s: float = _least(86_400.0, 0)
    initial_delay_s: float = _least(1.0, 0)
    max_delay_s: float = _least(300.0, 0)
    on_ambiguous: Literal["resend", "hold"] = "resend"
    quiet_s: float = _least(2.0, 0)


@dataclass(frozen=True)
class Alerts:
    """Whom to tell, and of what. Both may hold secrets, so neither is printed."""

    command: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    on: tuple[str, ...] = field(default=ALERT_KINDS, metadata={"choices": ALERT_KINDS})
    min_interval_s: float = _least(300.0, 0)


@dataclass(frozen=True)
class Entry:
    """One instance. Two entries are equal if the connector would run the same: a moved line changes nothing.

    `options` are expanded (never expand them again: a value may contain `${`), `raw` is as written. Of a
    disabled entry nothing is expanded. `nix` are packages to run it with, None where it says nothing. `lines` maps the
    path of an option, `("channels", 0)`, to its line.
    """

    name: str
    type: str
    enabled: bool
    options: dict[str, Any] = field(repr=False)
    raw: dict[str, Any] = field(repr=False)
    line: int = field(compare=False)
    delivery: DeliveryPolicy = DeliveryPolicy()
    limits: Limits = Limits()
    nix: tuple[str, ...] | None = None
    lines: Mapping[DataPath, int] = field(default_factory=dict, compare=False, repr=False)

    def line_of(self, path: DataPath) -> int:
        """The line of an option, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


@dataclass(frozen=True)
class Config:
    """What the files say. Entries with an error are not in `entries`; their problems are in `problems`.

    `usable` is False if the file as a whole could not be read, so that it says nothing about any connector.
    `values` are all values to redact; `env` are the variables of `.env` and, over them, the real environment.
    """

    entries: tuple[Entry, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    limits: Limits = Limits()
    delivery: DeliveryPolicy = DeliveryPolicy()
    alerts: Alerts = Alerts()
    group: str | None = None
    values: tuple[str, ...] = field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()
    usable: bool = True
    file: Path = Path("connectors.yml")
    env: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    def entry(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.name == name), None)
