"""Which variables the connectors need, and whether they are set. Values are never part of the answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from connectors.base.declaration import Declaration, VariableInfo, declaration_of
from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.reading import read_bytes
from connectors.base.registry import load_class
from connectors.base.variables import parse_env, substitute
from connectors.base.yamltext import read_yaml


@dataclass(frozen=True)
class Need:
    """One variable of one instance (or of a type, where `instance` is empty). `source`: `.env`, `environment`, or
    empty where it is not set. `option` is empty for a variable that is read as it is."""

    variable: str
    instance: str
    option: str
    required: bool
    source: str
    secret: bool = False
    description: str = ""
    help_url: str | None = None
    help_command: str | None = None

    @property
    def met(self) -> bool:
        return bool(self.source) or not self.required

    @property
    def help(self) -> str:
        """Where its value comes from."""
        return self.help_url or (f"`{self.help_command}`" if self.help_command else "")

    @property
    def mark(self) -> str:
        """✓ set, ✗ missing, - not set and may be."""
        return "✓" if self.source else "✗" if self.required else "-"

    @property
    def place(self) -> str:
        """Who needs it: `github.token`."""
        return ".".join(filter(None, (self.instance, self.option)))

    def __str__(self) -> str:
        return f"{self.variable} — {self.description}" if self.description else self.variable


class Needs:
    """Looks variables up in a home's `.env` and this process's environment; the environment comes first."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._dotenv: dict[str, str] = {}
        try:
            self._dotenv = parse_env(read_bytes(home.env_file).decode("utf-8-sig", "replace")).values
        except OSError:
            pass
        self._environ = {**self._dotenv, **os.environ}
        self.unknown: dict[str, str] = {}  #: types that cannot be asked: type -> why

    def of_home(self) -> list[Need]:
        """What connectors.yml as it is written asks for: entries first, then the rest of the file."""
        found = [need for entry in self.entries() for need in self._of_entry(entry)]
        rest = {key: value for key, value in self._data().items() if key != "connectors"}
        return found + [self._need(name, "", path, required=required) for name, path, required in _uses(rest, "")]

    def entries(self) -> list[dict[str, Any]]:
        """The enabled entries as they are written, whatever is wrong with them."""
        entries = self._data().get("connectors")
        found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        return [entry for entry in found if entry.get("enabled") is not False]

    def _data(self) -> dict[str, Any]:
        try:
            data = read_yaml(read_bytes(self._home.config_file)).data
        except OSError as error:
            hint = "connectors init makes one"
            raise ConfigError(f"{self._home.config_file}: {error.strerror or error}", hint=hint) from error
        return data if isinstance(data, dict) else {}

    def of_type(self, type_name: str) -> list[Need]:
        """What a type can be told by variables. Raises ConfigError when there is no such type."""
        declared = declaration_of(load_class(type_name, self._home.root))
        return [self._declared(info, "") for info in declared.env]

    def _of_entry(self, entry: dict[str, Any]) -> Iterator[Need]:
        name = str(entry.get("name") or "")
        declared = self._declaration(str(entry.get("type") or ""))
        options = {info.name: info for info in (declared.options if declared else None) or ()}
        said = set()
        for variable, path, required in _uses(entry, ""):
            said.add(variable)
            info = options.get(path.partition(".")[0])
            need = self._need(variable, name, path, required=required)
            if info is not None:
                text, url, command = info.description, info.help_url, info.help_command
                need = replace(need, secret=info.secret, description=text, help_url=url, help_command=command)
            yield need
        for variable_info in declared.env if declared is not None else ():
            if variable_info.name not in said and variable_info.option not in entry:
                yield self._declared(variable_info, name)

    def _declaration(self, type_name: str) -> Declaration | None:
        try:
            return declaration_of(load_class(type_name, self._home.root))
        except ConfigError as error:
            self.unknown[type_name] = str(error)
            return None

    def _declared(self, info: VariableInfo, instance: str) -> Need:
        need = self._need(info.name, instance, info.option or "", required=info.required)
        text, url, command = info.description, info.help_url, info.help_command
        return replace(need, secret=info.secret, description=text, help_url=url, help_command=command)

    def _need(self, variable: str, instance: str, option: str, *, required: bool) -> Need:
        source = ""
        if self._environ.get(variable):
            source = "environment" if variable in os.environ else self._home.env_file.name
        return Need(variable, instance, option, required, source)


def _uses(value: Any, path: str) -> Iterator[tuple[str, str, bool]]:
    """(variable, path, whether it has no default) of every `${…}` in JSON-like data."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _uses(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _uses(item, path)
    elif isinstance(value, str):
        try:
            used = substitute(value, {}).used
        except ConfigError:
            return  # `validate` says what is wrong with it
        for use in used:
            yield use.name, path, not use.default
