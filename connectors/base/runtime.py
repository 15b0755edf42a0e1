"""What stands behind one running instance: its lock, its store, and the two directions, put together and recovered."""

from __future__ import annotations

import grp
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.base.delivery import Delivery
from connectors.base.ends import Ends
from connectors.base.errors import ConfigError, InstanceLocked
from connectors.base.home import Home, Modes, check_name
from connectors.base.intake import Intake
from connectors.base.locks import Lock
from connectors.base.message import Message
from connectors.base.outbox import Outbox
from connectors.base.secrets import Redactor
from connectors.base.sending import Sending
from connectors.base.settings import DeliveryPolicy, Limits
from connectors.base.status import StatusFile
from connectors.base.store import Store


@dataclass(frozen=True)
class Settings:
    """What a connector process is told besides its options."""

    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    limits: Limits = field(default_factory=Limits)
    group: str | None = None
    #: After the manager's SIGKILL the processes of the dead one need up to 1 s; then the lock is free.
    lock_wait_s: float = 5.0


def modes_for(group: str | None) -> Modes:
    """Raises ConfigError for a group that this machine does not know."""
    if group is None:
        return Modes()
    try:
        return Modes.for_group(int(group) if group.isdigit() else grp.getgrnam(group).gr_gid)
    except KeyError:
        raise ConfigError(f"group: there is no group {group!r} here", hint=f"make it: groupadd {group}") from None


class Runtime:
    """Holds the instance's lock from construction to `close`. Raises InstanceLocked and ConfigError."""

    def __init__(
        self,
        home: Home,
        name: str,
        connector_type: str,
        settings: Settings,
        sending: Sending,
        *,
        redactor: Redactor,
        stop: threading.Event,
        on_fatal: Callable[[Exception], None],
        on_event: Callable[..., None],
        logger: logging.Logger,
    ) -> None:
        self.name = check_name(name)
        self.home = home
        self.settings = settings
        home.make_common()
        home.make(home.outbox(name), home.sent(name), home.staging(name), home.sending(name))
        home.make(home.state_dir(name), private=True)
        self._lock = Lock(home.state_dir(name) / "lock", f"instance {name}")
        self._lock.acquire(settings.lock_wait_s)
        try:
            self.status = StatusFile(home, name, redact=redactor.redact_data)
            self.store = Store.open(home, name)
            self.intake = Intake(
                home,
                name,
                self.store,
                limits=settings.limits,
                stop=stop,
                on_pressure=lambda reason: on_event("pressure", error=reason),
                logger=logger,
            )
            self.held: list[Message] = self.intake.recover()
            self.outbox = Outbox(
                home,
                name,
                self.store,
                quiet_s=settings.delivery.quiet_s,
                max_bytes=settings.limits.message_max_bytes,
                logger=logger,
            )
            ends = Ends(home, name, connector_type, self.store, self.intake, redact=redactor.redact_data, logger=logger)
            self.delivery = Delivery(
                home,
                name,
                self.store,
                self.outbox,
                ends,
                sending,
                policy=settings.delivery,
                limits=settings.limits,
                stop=stop,
                on_fatal=on_fatal,
                on_event=on_event,
                logger=logger,
            )
            self.delivery.recover()
        except BaseException:
            self._lock.release()
            raise

    def check(self) -> None:
        """Raises InstanceLocked when somebody removed the instance's folder while it runs: lock and store are gone."""
        if not self._lock.intact():
            raise InstanceLocked(
                f"{self.home.state_dir(self.name)} was removed while {self.name} was running",
                hint="stop a connector before you remove its state; it starts anew now",
            )

    def backlog(self) -> dict[str, Any]:
        return {"backlog": self.delivery.backlog()}

    def close(self) -> None:
        """Safe twice."""
        self.status.close()
        self.store.close()
        self._lock.release()


def report(fd: int | None, **fields: Any) -> None:
    """Tell the manager, in one write: lines of up to PIPE_BUF bytes of several processes do not mix (pipe(7))."""
    if fd is None:
        return
    import json

    line = json.dumps(fields, default=str)
    if len(line) > 4000:
        line = json.dumps({**fields, "text": str(fields.get("text", ""))[:500]}, default=str)[:4000]
    try:
        os.write(fd, line.encode() + b"\n")
    except OSError as error:
        logging.getLogger("connectors.report").debug("the manager is gone: %s", error)
