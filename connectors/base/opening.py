"""One instance, taken when its connector first needs it: settings, lock, store, and whom its news are told to."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from connectors.base.errors import RetryLater
from connectors.base.home import Home
from connectors.base.lookup import Lookup
from connectors.base.runtime import Runtime, Settings, modes_for, report
from connectors.base.secrets import Redactor
from connectors.base.sending import Sending
from connectors.base.teller import Teller


class Opening(ABC):
    """What a connector needs with `run()` and without. Construction opens nothing."""

    connector_type: str = ""

    def __init__(self, name: str, home: Home, config: dict[str, Any]) -> None:
        self.name = name
        self.config = config
        self.outbox: Path = home.outbox(name)
        self.logger = logging.getLogger(f"connector.{name}")
        self.redactor = Redactor()
        self._home = home
        self._lookup = Lookup(name, self.redactor)
        self._teller = Teller(self.logger, self._report)
        # What the manager tells a process that it starts.
        self._settings: Settings | None = None
        self._expanded = False  # whether `config` came through the loader, which expands variables itself
        self._report_fd: int | None = None
        self._log_file = True
        self._stdin = "alone"
        # What is opened, and what may be closing.
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._runtime_lock = threading.RLock()
        self._runtime: Runtime | None = None
        self._early: list[tuple[str, dict[str, Any]]] = []

    @abstractmethod
    def end_with(self, error: BaseException) -> None: ...

    @abstractmethod
    def _sending(self) -> Sending: ...

    def report_state(self, state: str, note: str | None = None) -> None:
        """What `connectors status` shows: `connected`, `reconnecting`, `conflict` …; `note` says what a person can do.

        Not for ends: those are raised.
        """
        self._open_runtime()
        self._teller.state(state, note)

    def report_stall(self, text: str) -> None:
        """Say that the platform's connection is up and nothing comes through; the operator may want an alert."""
        self._teller.stall(text)

    @property
    def state_dir(self) -> Path:
        """The instance's private folder, made when missing."""
        folder = self._home.state_dir(self.name)
        self._home.make(folder, private=True)
        return folder

    def close(self) -> None:
        """Give back the lock and the store that a use without `run()` opened; safe twice. `run()` does so by itself."""
        with self._runtime_lock:
            runtime, self._runtime = self._runtime, None
            self._teller.status = None
            if runtime is not None:
                runtime.close()

    def _load_settings(self) -> Settings:
        """When nobody gave them: this instance's entry in connectors.yml, if there is one."""
        if self._settings is None:
            entry = self._lookup.entry(self._home, needed=not self.config)
            if entry is not None and entry.options is not None and not self.config:
                self.config, self._expanded = entry.options, True
            self._settings = Settings() if entry is None else entry.settings
        return self._settings

    def _open_runtime(self) -> Runtime:
        """The instance, taken and recovered at the first call. Raises InstanceLocked and ConfigError."""
        with self._runtime_lock:
            if self._runtime is None:
                if self._ended.is_set():  # a poller thread of the connector's own that outlived the run
                    raise RetryLater(f"{self.name} has ended")
                settings = self._load_settings()
                self._home.modes = modes_for(settings.group)
                self._runtime = Runtime(
                    self._home,
                    self.name,
                    self.connector_type,
                    settings,
                    self._sending(),
                    redactor=self.redactor,
                    stop=self._stop,
                    on_fatal=self.end_with,
                    on_event=self._on_event,
                    logger=self.logger,
                )
                self._teller.status = self._runtime.status
                early, self._early = self._early, []
                for what, fields in early:
                    self._on_event(what, **fields)
            return self._runtime

    def _on_event(self, what: str, **fields: Any) -> None:
        """What the engine did goes into the status, and to the manager where a person may want to know."""
        if self._runtime is None:  # while recovering: told when there is a status to tell it to
            self._early.append((what, fields))
        else:
            self._teller.event(what, **fields)

    def _report(self, event: str, **fields: Any) -> None:
        report(self._report_fd, **self.redactor.redact_data({"name": self.name, "event": event, **fields}))
