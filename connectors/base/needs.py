"""Which variables the connectors need, and whether they are set. Values are never part of the answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from connectors.base.declaration import Declaration, OptionInfo, declaration_of
from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.reading import read_bytes
from connectors.base.registry import load_class
from connectors.base.variables import parse_env, substitute
from connectors.base.yamltext import read_yaml


@dataclass(frozen=True)
class Need:
    """One variable of one instance (or of a type, where `instance` is empty). `source`: `.env`, `environment`, or
    empty where it is not set."""

    variable: str
    instance: str
    option: str
    required: bool
    source: str
    secret: bool = False
    description: str = ""
    help: str = ""

    @property
    def met(self) -> bool:
        return bool(self.source) or not self.required


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
        try:
            data = read_yaml(read_bytes(self._home.config_file)).data
        except OSError as error:
            hint = "connectors init makes one"
            raise ConfigError(f"{self._home.config_file}: {error.strerror or error}", hint=hint) from error
        if not isinstance(data, dict):
            return []
        entries = data.get("connectors")
        found: list[Need] = []
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("enabled") is not False:
                found += self._of_entry(entry)
        rest = {key: value for key, value in data.items() if key != "connectors"}
        return found + [self._need(name, "", path, required=required) for name, path, required in _uses(rest, "")]

    def of_type(self, type_name: str) -> list[Need]:
        """What a type's options can be read from. Raises ConfigError when there is no such type."""
        declared = declaration_of(load_class(type_name, self._home.root))
        return [self._declared(info, "") for info in declared.options or () if info.env]

    def _of_entry(self, entry: dict[str, Any]) -> Iterator[Need]:
        name = str(entry.get("name") or "")
        infos = {info.name: info for info in self._options(str(entry.get("type") or ""))}
        said = set()
        for variable, path, required in _uses(entry, ""):
            said.add(variable)
            info = infos.get(path.partition(".")[0])
            need = self._need(variable, name, path, required=required)
            yield (
                need
                if info is None
                else replace(need, secret=info.secret, description=info.description, help=_help(info))
            )
        for info in infos.values():
            if info.env and info.env not in said and info.name not in entry:
                yield self._declared(info, name)

    def _options(self, type_name: str) -> tuple[OptionInfo, ...]:
        try:
            declared: Declaration = declaration_of(load_class(type_name, self._home.root))
        except ConfigError as error:
            self.unknown[type_name] = str(error)
            return ()
        return declared.options or ()

    def _declared(self, info: OptionInfo, instance: str) -> Need:
        need = self._need(str(info.env), instance, info.name, required=info.required)
        return replace(need, secret=info.secret, description=info.description, help=_help(info))

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


def _help(info: OptionInfo) -> str:
    return info.help_url or (f"`{info.help_command}`" if info.help_command else "")
