"""connectors.yml and `.env`: read once, completely, with every problem at once.

`load()` looks at the structure only and imports no connector, so the manager can call it. `check_options()`
imports the connector classes and compares the options with what they declare.
"""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.base import routes
from connectors.base.errors import ConfigError
from connectors.base.home import INSTANCE_NAME, RESERVED_NAMES, Home
from connectors.base.nix import check_packages
from connectors.base.problems import DataPath, Problem, nearest
from connectors.base.reading import Reading, read_bytes
from connectors.base.sections import Section, read_section, to_bool
from connectors.base.settings import Alerts, Config, DeliveryPolicy, Entry, Limits, RestartPolicy
from connectors.base.variables import EnvFile, expand, parse_env
from connectors.base.yamltext import read_yaml

__all__ = [
    "Alerts",
    "Config",
    "DeliveryPolicy",
    "Entry",
    "EnvFile",
    "Limits",
    "Problem",
    "RestartPolicy",
    "check_options",
    "environ_for",
    "expand",
    "load",
    "parse_env",
]

TOP_KEYS = ("connectors", "manager", "limits", "delivery", "alerts", "group", "routes")
#: What an entry has besides the options of its type.
ENTRY_KEYS = ("name", "type", "enabled", "delivery", "limits", "nix")
_EXAMPLE = '"- name: slack-main" and below it "type: slack"'


def load(home: Home | str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Config:
    """Read connectors.yml (of a home, or this very file) and the `.env` beside it.

    Never raises for what the files hold: that is in `Config.problems`.
    """
    path = home.config_file if isinstance(home, Home) else Path(os.path.abspath(home))
    if path.suffix not in {".yml", ".yaml"} or path.is_dir():
        path /= "connectors.yml"
    return _Loader(path, os.environ if environ is None else environ).load()


def environ_for(config: Config) -> dict[str, str]:
    """The environment of a child process: `.env`, and over it the real one."""
    return dict(config.env)


def check_options(config: Config, home: Home | str | os.PathLike[str]) -> tuple[Config, list[Problem]]:
    """Compare the options with what the connector classes declare: see `optioncheck.check_options`."""
    from connectors.base import optioncheck  # imports pydantic and the connectors, which the manager must not

    return optioncheck.check_options(config, home)


class _Loader(Reading):
    def load(self) -> Config:
        self.read_env(self.path.with_name(".env"))
        try:
            self.doc = read_yaml(read_bytes(self.path))
        except OSError as error:
            return self._unusable(0, f"{error.strerror or error}: {self.path}")
        data = self.doc.data
        if self.doc.broken:
            return self._unusable(self.doc.faults[0].line, self.doc.faults[0].text)
        if data is None:
            return self._unusable(0, 'is empty: begin with "connectors:" and a list of entries')
        if not isinstance(data, dict):
            return self._unusable(1, 'must be a mapping: begin with "connectors:" and a list of entries')
        if not isinstance(data.get("connectors"), list):
            return self._unusable(self.doc.line(("connectors",)), *_no_entries(data))
        return self._config(data)

    def _config(self, data: dict[str, Any]) -> Config:
        self.labels = [_label(item) for item in data["connectors"]]
        for fault in self.doc.faults:
            self.say(fault.path, fault.text, line=fault.line)
        for key in data:
            if key not in TOP_KEYS:
                self.say((key,), f'unknown key "{key}"', nearest(key, TOP_KEYS))
        limits = self._limits(self._section(Limits(), data.get("limits"), ("limits",)))
        delivery = self._section(DeliveryPolicy(), data.get("delivery"), ("delivery",))
        entries = tuple(self._entries(data["connectors"], delivery, limits))
        names = {label for label in self.labels if label is not None}
        routing = routes.entry_of(self, data.get("routes"), names, delivery, limits)
        config = Config(
            restart=self._restart(data.get("manager")),
            limits=limits,
            delivery=delivery,
            alerts=self._section(Alerts(), data.get("alerts"), ("alerts",)),
            group=self._group(data.get("group")),
            file=self.path,
            env=self.env,
        )
        self.literal_secrets(data, ())
        self.values_by_name()
        return replace(
            config,
            entries=entries if routing is None else (*entries, routing),
            values=tuple(self.values),
            problems=self.sorted(),
        )

    # -- entries

    def _entries(self, items: list[Any], delivery: DeliveryPolicy, limits: Limits) -> Iterator[Entry]:
        taken: dict[str, tuple[str, int]] = {}
        lines: list[dict[DataPath, int]] = [{} for _ in items]
        for at, line in self.doc.lines.items():
            if len(at) > 1 and at[0] == "connectors" and isinstance(at[1], int):
                lines[at[1]][at[2:]] = line
        for index, item in enumerate(items):
            path: DataPath = ("connectors", index)
            if not isinstance(item, dict):
                self.say(path, f"entry {index + 1} is no mapping: write {_EXAMPLE}")
                continue
            enabled = self._enabled(item, path)
            # A disabled entry may wait for variables that nobody has set yet.
            rest = {key: value for key, value in item.items() if key != "enabled"}
            filled = self.expand(rest, path) if enabled else rest
            name = self._name(filled, index, taken)
            kind = filled.get("type")
            if not isinstance(kind, str) or not kind.strip():
                cure = ': add "type: slack", or what `connectors types` lists'
                self.say(path, *_lacks("has no type", "type", filled, cure))
            own_delivery = self._section(delivery, filled.get("delivery"), (*path, "delivery"))
            own_limits = self._limits(self._section(limits, filled.get("limits"), (*path, "limits")))
            packages = self._packages(filled.get("nix"), (*path, "nix"))
            if index in self.bad or name is None:
                continue
            yield Entry(
                name=name,
                type=str(kind).strip(),
                enabled=enabled,
                options={key: value for key, value in filled.items() if key not in ENTRY_KEYS},
                raw={key: value for key, value in item.items() if key not in ENTRY_KEYS},
                line=self.doc.line(path),
                lines=lines[index],
                delivery=own_delivery,
                limits=own_limits,
                nix=packages,
            )

    def _packages(self, raw: Any, path: DataPath) -> tuple[str, ...] | None:
        try:
            return None if raw is None else check_packages(raw)
        except ConfigError as error:
            self.say(path, f"nix: {error}")
            return None

    def _enabled(self, item: dict[str, Any], path: DataPath) -> bool:
        before = len(self.problems)
        enabled = to_bool(self.expand(item.get("enabled", True), (*path, "enabled")))
        if enabled is None and len(self.problems) == before:
            self.say((*path, "enabled"), '"enabled" must be true or false')
        return enabled is not False

    def _name(self, item: dict[str, Any], index: int, taken: dict[str, tuple[str, int]]) -> str | None:
        path: DataPath = ("connectors", index)
        name = item.get("name")
        if name is None or name == "":
            self.say(path, *_lacks(f"entry {index + 1} has no name", "name", item, ': add "name: slack-main"'))
            return None
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        path = (*path, "name")
        if isinstance(name, bool | float):
            # What was written is not known any more: YAML makes the same of off, no and false.
            self.say(path, f'the name is {str(name).lower()} to YAML, and no text: put it in quotes, as in name: "off"')
            return None
        if not isinstance(name, str) or not INSTANCE_NAME.fullmatch(name):
            rule = "use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or a digit"
            self.say(path, f"cannot be a name: {rule}")
            return None
        if name.lower() in RESERVED_NAMES:
            self.say(path, f'"{name}" is a name that the program uses itself: choose another one')
            return None
        if name.lower() not in taken:
            taken[name.lower()] = name, self.doc.line(path)
            return name
        first, line = taken[name.lower()]
        if first == name:
            self.say(path, f"the name is used twice: the first one is in line {line}")
        else:
            self.say(path, f'differs from "{first}" (line {line}) only in case: they would share one folder')
        return None

    # -- sections

    def _section(self, template: Section, data: Any, path: DataPath) -> Section:
        def report(key: str | None, text: str, suggestion: str | None) -> None:
            where = ".".join(str(step) for step in path if step != "connectors" and not isinstance(step, int))
            at = path if key is None else (*path, key)
            self.say(at, f'"{where}" {text}' if key is None else f"{where}: {text}", suggestion)

        # Inside an entry everything was expanded with the entry.
        return read_section(template, data if path[0] == "connectors" else self.expand(data, path), report)

    def _restart(self, manager: Any) -> RestartPolicy:
        if manager is not None and not isinstance(manager, dict):
            self.say(("manager",), '"manager" must be a mapping with the key restart')
            return RestartPolicy()
        for key in manager or {}:
            if key != "restart":
                self.say(("manager", key), f'manager: unknown key "{key}"', nearest(key, ["restart"]))
        return self._section(RestartPolicy(), (manager or {}).get("restart"), ("manager", "restart"))

    def _limits(self, limits: Limits) -> Limits:
        home = self.path.parent
        roots = (os.path.abspath(home / Path(root).expanduser()) for root in limits.attachment_roots)
        return replace(limits, attachment_roots=tuple(roots))

    def _group(self, raw: Any) -> str | None:
        if raw is None:
            return None
        value = self.expand(raw, ("group",))
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            self.say(("group",), '"group" must be the name or the number of a unix group')
            return None
        if not str(value).isdecimal():
            try:
                grp.getgrnam(str(value))
            except KeyError:
                self.say(("group",), f'group "{raw}" is not known on this machine: add it (groupadd {raw})')
                return None
        return str(value)

    def _unusable(self, line: int, text: str, suggestion: str | None = None) -> Config:
        self.values_by_name()
        self.problems.append(Problem(self.path.name, line, None, text, suggestion))
        return Config(values=tuple(self.values), problems=self.sorted(), usable=False, file=self.path, env=self.env)


def _no_entries(data: dict[str, Any]) -> tuple[str, str | None]:
    if "connectors" not in data:
        return _lacks('has no "connectors:"', "connectors", data, f": add it, and below it {_EXAMPLE}")
    if data["connectors"] is None:
        return f'"connectors" has no entries: add {_EXAMPLE}, or write "connectors: []" to run none', None
    return f'"connectors" must be a list: begin each entry with {_EXAMPLE}', None


def _lacks(text: str, key: str, data: dict[str, Any], cure: str) -> tuple[str, str | None]:
    """A key is missing; perhaps it is there, misspelled."""
    near = nearest(key, data) if key not in data else None
    return (f"{text}{cure}", None) if near is None else (f'{text}, but "{near}"', key)


def _label(item: Any) -> str | None:
    name = item.get("name") if isinstance(item, dict) else None
    return str(name) if isinstance(name, str | int) and not isinstance(name, bool) and name != "" else None
