"""The options of connectors.yml against what the connector classes declare.

Imports the classes, and so runs in a process that may: `validate`, or a child of the manager.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.base import nix, registry
from connectors.base.auth import missing
from connectors.base.declaration import declaration_of
from connectors.base.errors import ConfigError
from connectors.base.feeds import feed_secrets, feeds_of
from connectors.base.home import Home
from connectors.base.options import OptionInfo, OptionProblem, describe, options_of, read_options
from connectors.base.problems import Problem
from connectors.base.reading import IN_THE_FILE
from connectors.base.secrets import MIN_LENGTH, Redactor, is_secret_name
from connectors.base.settings import Config, Entry
from connectors.base.variables import substitute


def check_options(config: Config, home: Home | str | os.PathLike[str]) -> tuple[Config, list[Problem]]:
    """Returns the config without the entries that have an error, and the problems that are new.

    The entries that stay have the values of the variables that their options declare (`env=`) among their
    options, and `Config.values` has them too. Disabled entries stay as they are: their type need not even be
    installed.
    """
    base_dir = home.root if isinstance(home, Home) else Path(os.path.abspath(home))
    entries: list[Entry] = []
    found: list[Problem] = []
    taken: dict[tuple[str, str, str], str] = {}
    values = dict.fromkeys(config.values)
    literal = {(problem.line, problem.instance) for problem in config.problems if IN_THE_FILE in problem.text}
    for entry in config.entries:
        checked, problems = (entry, []) if not entry.enabled else _check(entry, config, base_dir, values)
        if entry.enabled and not any(problem.severity == "error" for problem in problems):
            problems = [*problems, *_shared(checked, base_dir, taken)]
        if not any(problem.severity == "error" for problem in problems):
            entries.append(checked)
        redactor = Redactor(values)
        for problem in problems:
            where = (entry.line_of(problem.path), entry.name)
            if IN_THE_FILE not in problem.text or where not in literal:
                text = redactor.redact(problem.text)  # a validator of the author's may quote what it refused
                told = Problem(config.file.name, *where, text, problem.suggestion, problem.severity, problem.variable)
                found.append(told)
    every = tuple(sorted((*config.problems, *found), key=lambda problem: (problem.file, problem.line)))
    return replace(config, entries=tuple(entries), values=tuple(values), problems=every), found


def undeclared(config: Config, base_dir: Path) -> list[str]:
    """The enabled entries whose class declares no options: which variables it reads (`get_config(env_key=…)`) only a
    run of it would tell."""
    found = []
    for entry in config.entries:
        try:
            if entry.enabled and options_of(registry.load_class(entry.type, base_dir)) is None:
                found.append(entry.name)
        except ConfigError:
            continue  # its problem is told by check_options
    return found


def _check(entry: Entry, config: Config, base_dir: Path, values: dict[str, None]) -> tuple[Entry, list[OptionProblem]]:
    try:
        cls = registry.load_class(entry.type, base_dir)
    except ConfigError as error:
        hint = f": {error.hint}" if error.hint and error.hint not in str(error) else ""
        return entry, [OptionProblem(("type",), f"{error}{hint}")]
    around = list(_around(cls, entry, config, values))
    options = options_of(cls)
    if options is None:
        names = [name for name in entry.options if is_secret_name(name)]
        return entry, [*_empty_variables(names, entry, config), *around]
    infos = describe(options)
    secrets = [info.name for info in infos if info.secret]
    problems = list(_empty_variables(secrets, entry, config))
    said = {problem.path for problem in problems}
    read, data, more = read_options(options, entry.options, config.env)
    problems += [problem for problem in more if problem.path not in said]
    given = data if read is None else dict(read)
    problems += feeds_of(cls, given)[1]
    values.update(dict.fromkeys(feed_secrets(cls, given)))
    for info in infos:
        value = data.get(info.name)
        if isinstance(value, str) and value and (info.secret or info.name not in entry.options):
            values[value] = None
        problems += _warnings(info, value, entry)
    if read is not None and not around:
        problems += _no_credentials(cls, given)
    return replace(entry, options=data), [*problems, *around]


def _around(cls: type, entry: Entry, config: Config, values: dict[str, None]) -> Iterator[OptionProblem]:
    """What the class needs besides its options: variables, programs; and whether what it declares can be."""
    try:
        declared = declaration_of(cls)
    except ConfigError as error:
        yield OptionProblem(("type",), f"{error}: {error.hint}")
        return
    for variable in declared.env:
        value = config.env.get(variable.name)
        if variable.option is None and value:
            values[value] = None
        elif variable.option is None and variable.required:
            about = f": {variable.description}" if variable.description else ""
            where = f" (where it comes from: {variable.help})" if variable.help else ""
            text = f"variable {variable.name} is not set{about}: set it in .env{where}"
            yield OptionProblem((), text, variable=variable.name)
    try:
        nix.packages(cls, entry.nix, config.env)
    except ConfigError as error:
        yield OptionProblem(("nix",), str(error))


def _no_credentials(cls: type, given: Mapping[str, Any]) -> Iterator[OptionProblem]:
    lacks = missing(declaration_of(cls).auth, given)
    if lacks is not None:
        yield OptionProblem((), f"it has no credentials: give {lacks}")


def _shared(entry: Entry, base_dir: Path, taken: dict[tuple[str, str, str], str]) -> Iterator[OptionProblem]:
    """An exclusive value that an earlier entry has: the second one would wait for it for ever."""
    options = options_of(registry.load_class(entry.type, base_dir))
    for info in describe(options) if options is not None else ():
        value = entry.options.get(info.name)
        if info.exclusive and isinstance(value, str) and value:
            other = taken.setdefault((entry.type, info.name, value), entry.name)
            if other != entry.name:
                text = f'option "{info.name}" has the same value as that of {other}: one process at a time may use it'
                yield OptionProblem((info.name,), text)


def _empty_variables(names: list[str], entry: Entry, config: Config) -> Iterator[OptionProblem]:
    """A variable that a secret needs and that is empty: never "no secret"."""
    for name in names:
        raw = entry.raw.get(name)
        empty = substitute(raw, config.env).empty if isinstance(raw, str) else ()
        if empty:
            text = f'option "{name}" is secret and its variable {empty[0]} is set but empty: give it a value'
            yield OptionProblem((name,), text, variable=empty[0])


def _warnings(info: OptionInfo, value: Any, entry: Entry) -> Iterator[OptionProblem]:
    if not info.secret or not isinstance(value, str) or not value:
        return
    raw = entry.raw.get(info.name)
    if isinstance(raw, str) and "${" not in raw:
        advice = f"move it to .env and write ${{{info.env or 'NAME'}}} here"
        text = f"{info.name}: {IN_THE_FILE}: {advice}"
        yield OptionProblem((info.name,), text, severity="warning")
    if len(value) < MIN_LENGTH:
        text = f'option "{info.name}" is secret and shorter than {MIN_LENGTH} characters: logs will show it'
        yield OptionProblem((info.name,), text, severity="warning")
