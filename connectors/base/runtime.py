"""What stands behind one running instance: its lock, its store, and the two directions, put together and recovered."""

from __future__ import annotations

import grp
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.base.delivery import Delivery
from connectors.base.ends import Ends
from connectors.base.errors import ConfigError, InstanceLocked, RetryLater
from connectors.base.home import Home, Modes, check_new_name
from connectors.base.intake import Intake
from connectors.base.locks import Lock
from connectors.base.obstacle import obstacle
from connectors.base.outbox import Outbox
from connectors.base.pause import LOOK_AGAIN_S
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
    """Holds the instance's lock from construction to `close`. Raises InstanceLocked and ConfigError.

    While a folder or the disk refuses the recovery, construction waits, and says so in the status; RetryLater when
    stopped meanwhile.
    """

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
        self.name = check_new_name(name)
        self.home = home
        self.settings = settings
        self._type, self._sending, self._redact = connector_type, sending, redactor.redact_data
        self._stop, self._on_fatal, self._on_event, self._logger = stop, on_fatal, on_event, logger
        home.make(home.state, private=True)
        home.make(home.state_dir(name), private=True)
        self._waits = ""  # what for
        self._lock = Lock(home.state_dir(name) / "lock", f"instance {name}")
        self._lock.acquire(settings.lock_wait_s)
        try:
            self.status = StatusFile(home, name, redact=self._redact)
            while not self._recovered():
                pass
        except BaseException:
            self._lock.release()
            raise

    def _recovered(self) -> bool:
        """Put the two directions together and finish what an earlier process began.

        False after a wait because something was in the way of writing; then all begins anew. RetryLater when stopped.
        """
        state = self.home.state_dir(self.name)
        try:
            self._open()
        except (OSError, sqlite3.OperationalError) as error:
            found = obstacle(error, state)
            if found is None:
                raise
        else:
            return True
        note = f"the start waits: {found}"
        if note != self._waits:
            self._waits = note
            self._logger.warning("%s", note)
        self.status.update(state="backpressure", note=note, pid=os.getpid())
        if self._stop.wait(LOOK_AGAIN_S):
            raise RetryLater(f"stopped while {found}")
        return False

    def _open(self) -> None:
        home, name, logger = self.home, self.name, self._logger
        home.check_format()
        home.make_common()
        home.make(home.outbox(name), home.sent(name), home.staging(name), home.sending(name))
        store = Store.open(home, name)
        try:
            intake = Intake(
                home,
                name,
                store,
                limits=self.settings.limits,
                stop=self._stop,
                on_pressure=lambda reason: self._on_event("pressure", error=reason, of="receiving"),
                logger=logger,
            )
            intake.recover()
            delivery = self._delivery(store, intake)
            delivery.recover()
        except BaseException:
            store.close()
            raise
        self.store, self.intake, self.delivery = store, intake, delivery

    def _delivery(self, store: Store, intake: Intake) -> Delivery:
        home, name, logger, settings = self.home, self.name, self._logger, self.settings
        outbox = Outbox(
            home,
            name,
            store,
            quiet_s=settings.delivery.quiet_s,
            max_bytes=settings.limits.message_max_bytes,
            logger=logger,
        )
        return Delivery(
            home,
            name,
            store,
            outbox,
            Ends(home, name, self._type, store, intake, redact=self._redact, logger=logger),
            self._sending,
            policy=settings.delivery,
            limits=settings.limits,
            stop=self._stop,
            on_fatal=self._on_fatal,
            on_event=self._on_event,
            logger=logger,
        )

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
