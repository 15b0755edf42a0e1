"""The manager's public face: what `connectors run` starts, and what the seed's users know.

    manager = ConnectorManager.from_config("connectors.yml", seed_home=".")
    manager.start()                       # blocks until everything has ended or a signal came

Works from the main thread, where it takes SIGTERM, SIGINT and SIGHUP, and from any other, where `stop()` ends it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from connectors.base import config as configuration
from connectors.base import files
from connectors.base.errors import ConfigError, InstanceLocked
from connectors.base.home import Home, check_new_name
from connectors.base.locks import take_or_say
from connectors.base.process import Child
from connectors.base.registry import CONNECTOR_REGISTRY, load_class
from connectors.base.reload import FileWatch
from connectors.base.settings import Config, Entry
from connectors.base.supervisor import Setup, Supervisor, Workings, log
from connectors.base.terminal import Stdin, kind_of_stdin, occupy_standard_descriptors

if TYPE_CHECKING:
    from connectors.base.connector import Connector

__all__ = ["CONNECTOR_REGISTRY", "ConnectorManager", "Workings"]


class ConnectorManager:
    """Keeps the connectors of one home running, each in a process of its own. Constructing it starts nothing."""

    def __init__(self, seed_home: str | os.PathLike[str] = ".", *, workings: Workings | None = None) -> None:
        self.home = Home(seed_home)
        self.workings = workings or Workings()
        self.connectors: list[dict[str, Any]] = []  #: {"name", "type", "config"} each, as written
        self._file: Path | None = None
        self._added: list[Entry] = []
        self._supervisor: Supervisor | None = None

    @classmethod
    def from_config(cls, config_path: str | os.PathLike[str], seed_home: str | os.PathLike[str] | None = None) -> Self:
        """The manager of what a connectors.yml says, whether or not it is valid; `start` will tell.

        `seed_home` is by default the file's folder. FileNotFoundError when there is no file.
        """
        path = Path(os.path.abspath(config_path))
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: connectors init makes one")
        manager = cls(path.parent if seed_home is None else seed_home)
        manager._file = path
        manager.connectors = _as_written(path)
        return manager

    def add_connector(self, name: str, type: str, config: Mapping[str, Any] | None = None) -> None:  # noqa: A002 - the seed's
        """One more connector, besides those of a file. ConfigError for a name that is none or is taken."""
        check_new_name(name)
        if any(str(known.get("name")).lower() == name.lower() for known in self.connectors):
            raise ConfigError(f"there is a connector {name} already", hint="choose another name")
        options = dict(config or {})
        self.connectors.append({"name": name, "type": type, "config": options})
        self._added.append(Entry(name=name, type=type, enabled=True, options=options, raw=options, line=0))

    def start(
        self,
        restart_on_crash: bool = True,
        restart_delay: float | None = None,
        *,
        once: bool = False,
        say: Callable[[str], None] | None = None,
        echo: Callable[[str, str], None] | None = None,
        quiet_under_chat: bool = False,
        stdin: Stdin | None = None,
    ) -> int:
        """Run everything; blocks. Returns the manager's exit code.

        Raises InstanceLocked when another manager runs on this home, and ConfigError when the file as a whole is
        unusable. `restart_on_crash` and `restart_delay` (seconds) override `manager.restart` of the file. With
        `once` it also ends when all that is left cannot run. `say(line)` shows verdicts and problems (default:
        the logger `connectors.manager`), `echo(instance, line)` what the connectors print; with
        `quiet_under_chat` not while one of them has the manager's stdin. `stdin` is found out when it is not given.
        """
        occupy_standard_descriptors()
        self.home.make_common()
        with self._home_lock(say or log.info):
            self._supervisor = Supervisor(
                Setup(
                    home=self.home,
                    load=self._loader(restart_on_crash, restart_delay),
                    watch=None if self._file is None else FileWatch(self._file, self._file.with_name(".env")),
                    workings=self.workings,
                    say=say or log.info,
                    echo=echo,
                    quiet_under_chat=quiet_under_chat,
                    stdin=kind_of_stdin() if stdin is None else stdin,
                    once=once,
                    version=_version(),
                )
            )
            return self._supervisor.run()

    def stop(self) -> None:
        """Ask `start`, which another thread is in, to stop every connector and return."""
        if self._supervisor is not None:
            self._supervisor.stop()

    def status(self) -> dict[str, dict[str, Any]]:
        """By name: type, pid, alive, state and more; empty when there is no connector."""
        known = {
            str(item["name"]): {"type": item["type"], "pid": None, "alive": False, "state": "stopped"}
            for item in self.connectors
        }
        return known if self._supervisor is None else {**known, **self._supervisor.status()}

    @property
    def processes(self) -> dict[str, Child]:
        """The processes that run now, by name."""
        instances = {} if self._supervisor is None else self._supervisor.instances
        return {name: one.child for name, one in list(instances.items()) if one.child is not None}

    def _load_connector_class(self, type: str) -> type[Connector]:  # noqa: A002 - the seed's name
        """Import the class of a type; the manager itself never does. Raises as registry.load_class."""
        return load_class(type, self.home.root)

    def _loader(self, restart_on_crash: bool, restart_delay: float | None) -> Callable[[], Config]:
        """Reads the file, if there is one, and adds what was added by hand."""
        added = tuple(self._added)

        def load() -> Config:
            if self._file is None:
                found = Config(file=self.home.config_file, env=dict(os.environ))
            else:
                found = configuration.load(self._file)
            restart = found.restart
            if not restart_on_crash:
                restart = replace(restart, max_restarts=0)
            if restart_delay is not None:
                restart = replace(restart, initial_delay_s=restart_delay)
            return replace(found, entries=(*found.entries, *added), restart=restart)

        return load

    @contextmanager
    def _home_lock(self, say: Callable[[str], None]) -> Iterator[None]:
        """One manager per home. Raises InstanceLocked, which names the other one; a wait for its end is told."""
        lock, wait_s = FileLock(self.home.state / "manager.lock", mode=0o600), self.workings.lock_wait_s
        try:
            take_or_say(lock, wait_s, lambda: say(f"{self._other()}: waiting up to {wait_s:g} s for it to end"))
        except Timeout:
            raise InstanceLocked(self._other(), hint="see it: connectors status; end it: connectors stop") from None
        try:
            yield
        finally:
            lock.release()

    def _other(self) -> str:
        holder = files.read_json(self.home.state / "manager.json")
        who = f" (pid {holder['pid']}, since {holder.get('started_at')})" if holder.get("pid") else ""
        return f"another manager{who} runs on {self.home.root}"


def _as_written(path: Path) -> list[dict[str, Any]]:
    """The entries of the file, whatever else is wrong with it; nothing is expanded."""
    from connectors.base.yamltext import read_yaml

    data = read_yaml(path.read_bytes()).data
    items = data.get("connectors") if isinstance(data, dict) else None
    return [
        {
            "name": item.get("name"),
            "type": item.get("type"),
            "config": {key: value for key, value in item.items() if key not in ("name", "type")},
        }
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict)
    ]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mailbox-connectors")
    except PackageNotFoundError:
        return ""
