"""A connector's process: what it is told, and that it cannot outlive the manager.

The lifeline is a pipe whose write end only the manager has. When the manager is gone, by whatever death, a thread in
every child reads the end of it, asks for a stop, and kills its own process group 0.7 s later. On Linux a suspended
child is made to go on by that death (`suspended.go_on_without`); on macOS it ends when somebody lets it go on.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from connectors.base.home import Home
from connectors.base.launch import Child, Method, launch, may_fork, resolve
from connectors.base.settings import Config, DeliveryPolicy, Entry, Limits

__all__ = ["SERVE", "Child", "Lifeline", "Method", "Spec", "hold_lifeline", "launch", "may_fork", "preload", "spawn"]

#: What runs in a connector's process: takes the Spec, returns an exit code.
SERVE = "connectors.base.serve:serve"
#: What a process begins with: it holds the lifeline, and runs such an entry.
RUN_SPEC = "connectors.base.process:run_spec"
#: After the manager's death: SIGTERM, then SIGKILL to the group after this time. Everything ends within 1 s.
ORPHAN_GRACE_S = 0.7

#: What every connector process imports later on; of what a child imports by itself it has a copy of its own.
_SHARED = (
    "connectors.base.connector",
    "connectors.base.loading",
    "ctypes.util",
    "watchdog.observers.inotify_c",
)


@dataclass(frozen=True)
class Spec:
    """All that one connector process is told. What may hold secrets is not in its repr."""

    name: str
    type: str
    home: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)  #: expanded
    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    limits: Limits = field(default_factory=Limits)
    group: str | None = None
    values: tuple[str, ...] = field(default=(), repr=False)  #: to redact
    environ: dict[str, str] = field(default_factory=dict, repr=False)
    lifeline_fd: int | None = None
    report_fd: int | None = None
    stdin: Literal["terminal", "pipe", "none"] = "none"
    log_file: bool = False  #: True: write logs/<name>.log itself; False: stderr, which the manager keeps
    nix: tuple[str, ...] | None = None  #: packages that connectors.yml wants for it
    wrapped: bool = False  #: what it needs of them is there
    guard_fd: int | None = None  #: see nix.guard

    @classmethod
    def of(cls, entry: Entry, config: Config, home: Home, **more: Any) -> Self:
        """What connectors.yml says of one instance; `more` are the descriptors."""
        kind = entry.type
        if ("/" in kind or kind.endswith(".py")) and config.file.is_absolute():
            kind = os.path.join(config.file.parent, os.path.expanduser(kind))
        return cls(
            name=entry.name,
            type=kind,
            home=str(home.root),
            options=entry.options,
            delivery=entry.delivery,
            limits=entry.limits,
            group=config.group,
            nix=entry.nix,
            values=config.values,
            environ=dict(config.env),
            **more,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        limits = _tuples(Limits, data["limits"])
        known = {**data, "delivery": DeliveryPolicy(**data["delivery"]), "limits": Limits(**limits)}
        return cls(**_tuples(cls, known))


def _tuples(kind: Any, data: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {f.name: tuple(data[f.name]) if isinstance(data[f.name], list) else data[f.name] for f in fields(kind)}


class Lifeline:
    """The pipe that ends with the manager. Give `fd` to every child; keep the object as long as they shall live."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe()

    def close(self) -> None:
        """Tell every child that is still there to end; safe twice."""
        for fd in (self.fd, self._write_fd):
            if fd >= 0:
                os.close(fd)
        self.fd = self._write_fd = -1


def preload(entry: str = SERVE) -> None:
    """Import what children will need, out of the reach of the garbage collector, whose marks would unshare it."""
    resolve(entry)
    if entry == SERVE:
        for name in _SHARED:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def spawn(
    spec: Spec, *, output_fd: int, entry: str = SERVE, method: Method | None = None, own_stdout: bool = False
) -> Child:
    """Start a connector's process. `output_fd` gets its stderr, and its stdout unless it is to have the real one.

    Raises OSError when the system has no process, memory or descriptor left.
    """
    stdin = 0 if spec.stdin != "none" else None
    keep = tuple(fd for fd in (spec.lifeline_fd, spec.report_fd) if fd is not None)
    stdio = (stdin, 1 if own_stdout else output_fd, output_fd)
    return launch(
        RUN_SPEC,
        {"entry": entry, "spec": spec.to_dict()},
        name=spec.name,
        stdio=stdio,
        keep=keep,
        method=method,
    )


def run_spec(argument: dict[str, Any]) -> int:
    """In the child: hold the lifeline, and run the entry."""
    spec = Spec.from_dict(argument["spec"])
    if spec.lifeline_fd is not None:
        hold_lifeline(spec.lifeline_fd)
    code = int(resolve(argument["entry"])(spec))
    if spec.lifeline_fd is not None and select.select([spec.lifeline_fd], [], [], 0)[0]:
        # The manager, which would end what this process leaves behind, is gone.
        os.killpg(0, signal.SIGKILL)
    return code


def hold_lifeline(fd: int) -> None:
    """Watch for the manager's death, in a thread."""

    def watch() -> None:
        with suppress(OSError):
            os.read(fd, 1)
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(ORPHAN_GRACE_S)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
