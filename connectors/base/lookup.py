"""What one connector was told: its options and settings, where each value comes from, and what is redacted since."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from connectors.base.declaration import declaration_of, options_of
from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.runtime import Settings
from connectors.base.secrets import Redactor, Secret


@dataclass(frozen=True)
class Entry:
    """What connectors.yml says of one instance. `options` is None where it has no entry."""

    settings: Settings
    options: dict[str, Any] | None


class Lookup:
    """Finds the values of one connector's options. Variables are read at the time of the call."""

    def __init__(self, name: str, redactor: Redactor) -> None:
        self._name = name
        self._redactor = redactor
        self._environ: dict[str, str] = {}  # .env and over it the environment, once connectors.yml is read

    def entry(self, home: Home, *, needed: bool) -> Entry | None:
        """This instance's entry, when nobody gave its options. None without a connectors.yml: `.env` counts alone then.

        Raises ConfigError for one that is wrong, if it is `needed`.
        """
        from connectors.base import config

        if not home.config_file.exists() and not home.env_file.exists():
            return None
        loaded = config.load(home)
        self._environ = config.environ_for(loaded)
        if not home.config_file.exists():
            return None
        self._redactor.add(loaded.values)
        problems = [problem for problem in loaded.errors if problem.instance == self._name]
        if problems and needed:
            raise ConfigError("\n".join(map(str, problems)))
        entry = loaded.entry(self._name)
        found = entry or loaded
        options = None if entry is None else dict(entry.options)
        return Entry(Settings(found.delivery, found.limits, loaded.group), options)

    def read(self, cls: type[Any], config: Mapping[str, Any], *, expanded: bool) -> BaseModel:
        """The options as `cls` declares them. Raises ConfigError that names every problem."""
        declared = options_of(cls)
        if declared is None:
            raise ConfigError(f"{cls.__name__} declares no Options", hint="use get_config")
        from connectors.base.options import read_options

        given = config if expanded else self._expand(dict(config))
        found, data, problems = read_options(declared, given, self._variables())
        for info in declaration_of(cls).options or ():
            value = data.get(info.name)
            from_variable = info.env is not None and info.name not in config
            if (info.secret or from_variable) and isinstance(value, str | Secret):
                self._redactor.add([value.reveal() if isinstance(value, Secret) else value])
        self._redactor.add(value for info in declaration_of(cls).env if (value := self._variables().get(info.name)))
        if found is None:
            raise ConfigError("; ".join(problem.text for problem in problems), hint=f"see connectors.yml, {self._name}")
        return found

    def get(self, config: Mapping[str, Any], key: str, default: Any, env_key: str | None, *, expanded: bool) -> Any:
        """One option: from `config`, else from the variable `env_key`, else `default`."""
        value = config.get(key)
        variables = self._variables()
        if value is None:
            if env_key is None or env_key not in variables:
                return default
            self._redactor.add([variables[env_key]])
            return variables[env_key]
        if expanded or "${" not in str(value):
            return value
        from connectors.base.variables import substitute

        if isinstance(value, str) and substitute(value, variables).unset:
            return default
        return self._expand(value)

    def _variables(self) -> dict[str, str]:
        return {**self._environ, **os.environ}

    def _expand(self, value: Any) -> Any:
        """Expand `${VAR}`, and redact from now on what came from a variable. Raises ConfigError for one not set."""
        from connectors.base.variables import expand, substitute

        variables = self._variables()
        for text in _texts(value):
            self._redactor.add(use.value for use in substitute(text, variables).used if use.value)
        return expand(value, variables)


def exclusive_values(cls: type[Any], options: Callable[[], object]) -> Iterator[tuple[str, str]]:
    """(name, value) of the options that one process of this machine may use at a time."""
    for info in declaration_of(cls).options or ():
        value = getattr(options(), info.name, None) if info.exclusive else None
        text = value.reveal() if isinstance(value, Secret) else str(value or "")
        if text:
            yield info.name, text


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list | tuple):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _texts(item)
