"""One more entry in connectors.yml, as text: comments and everything else stay as they are.

The new text is read back before it is written: whatever is unusual about the file, it changes either by exactly this
entry, or not at all.
"""

from __future__ import annotations

import json
import os
import re
import secrets as random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from connectors.base import config as configuration
from connectors.base.auth import usable
from connectors.base.declaration import Declaration, declaration_of
from connectors.base.entrytext import BY_HAND, entry_text, insert
from connectors.base.errors import ConfigError
from connectors.base.files import write_new
from connectors.base.home import Home, check_name
from connectors.base.onboarding import Step, steps_of
from connectors.base.optioninfo import OptionInfo
from connectors.base.problems import Problem
from connectors.base.registry import load_class
from connectors.base.settings import Config
from connectors.base.yamltext import read_yaml


@dataclass(frozen=True)
class Fill:
    """A variable that the operator still has to give a value, in .env."""

    variable: str
    description: str
    help: str


@dataclass(frozen=True)
class Added:
    """What was written, and what is left to do. `taken`: the name that it would have had, were it free."""

    name: str
    text: str
    fill: tuple[Fill, ...]
    taken: str = ""
    steps: tuple[Step, ...] = ()


def add(home: Home, type_name: str, options: Mapping[str, str], name: str | None = None) -> Added:
    """Append an entry of this type. Required secrets become `${VARIABLE}`, with a line in .env to fill in.

    Raises ConfigError, and writes nothing, for a type, a name or an option that is none, and for a connectors.yml
    that is not valid or of a shape that only a person should edit.
    """
    config = _current(home)
    declared = declaration_of(load_class(type_name, home.root))
    taken = {entry.name.lower() for entry in config.entries}
    plain = "" if name else _plain_name(type_name)
    name = check_name(name) if name else _free_name(plain, taken)
    if name.lower() in taken:
        raise ConfigError(f"there is a connector {name} already", hint="choose another one: --name NAME")
    dotenv = _read(home.env_file)
    values, env_lines, fill = _values(name, declared, options, dotenv, config)
    lists = {"feeds", *(info.name for info in declared.options or () if info.is_list_of_mappings)}
    entry = entry_text(name, type_name, values, lists)
    text = insert(_read(home.config_file), entry)
    env_text = dotenv + ("" if not dotenv or dotenv.endswith("\n") else "\n") + "".join(env_lines)
    _check(home, config, text, env_text, (name, type_name), {item.variable for item in fill})
    if env_lines:
        _replace(home.env_file, env_text, 0o600)
    _replace(home.config_file, text, 0o644)
    return Added(name, entry, tuple(fill), plain if plain != name else "", tuple(steps_of(declared)))


def _current(home: Home) -> Config:
    if not home.config_file.exists():
        raise ConfigError(f"there is no {home.config_file}", hint="connectors init makes one")
    config = configuration.load(home)
    if not config.usable:
        if _is_empty(home.config_file):
            return config
        raise ConfigError("\n".join(map(str, config.errors)), hint="mend the file first: connectors validate")
    return config


def _is_empty(path: Path) -> bool:
    """Without entries: `connectors:` alone, or nothing at all."""
    try:
        data = yaml.safe_load(_read(path))
    except yaml.YAMLError:
        return False
    return data is None or (isinstance(data, dict) and data.get("connectors", 0) is None)


def _plain_name(type_name: str) -> str:
    """A type's own, or that of its module or file."""
    base = re.sub(r"[^A-Za-z0-9._-]", "-", Path(type_name).stem if "/" in type_name else type_name.rpartition(".")[2])
    return check_name(base.strip("-._")[:60] or "connector")


def _free_name(plain: str, taken: set[str]) -> str:
    numbered = (f"{plain}-{number}" for number in range(2, 1000))
    return next(name for name in (plain, *numbered) if name.lower() not in taken)


def _values(
    name: str, declared: Declaration, given: Mapping[str, str], dotenv: str, config: Config
) -> tuple[dict[str, str], list[str], list[Fill]]:
    """Options as they are to be written, lines for .env, and what is left to fill in."""
    values = dict(given)
    lines: list[str] = []
    fill: list[Fill] = []
    # Of several ways to prove who it is, none of which is given, the best one.
    best = () if usable(declared.auth, given) or not declared.auth else declared.auth[0].options
    for info in declared.options or ():
        literal = given.get(info.name)
        wanted = (info.secret or info.env) and (info.required or info.name in best) and literal is None
        if not wanted and not (info.secret and literal and "${" not in literal):
            continue
        variable = _variable(name, info, dotenv + "".join(lines), config)
        values[info.name] = f"${{{variable}}}"
        if literal:
            lines.append(f"{variable}={_quoted(literal)}\n")
        elif not config.env.get(variable):
            about = " ".join(filter(None, (info.description, info.help_url or info.help_command)))
            lines.append(f"# {name}: {about}\n{variable}=\n")
            fill.append(Fill(variable, info.description, info.help_url or info.help_command or ""))
    for one in declared.env:
        if one.option is None and one.required and not config.env.get(one.name):
            fill.append(Fill(one.name, one.description, one.help))
            if not _is_written(one.name, dotenv):
                lines.append(f"# {name}: {' '.join(filter(None, (one.description, one.help)))}\n{one.name}=\n")
    return values, lines, fill


def _variable(name: str, info: OptionInfo, dotenv: str, config: Config) -> str:
    """The declared variable; for a second instance of the type, which needs a value of its own, one by its name."""
    first = info.env or _upper(f"{name}_{info.name}")
    used = any(first in json.dumps(entry.raw, default=str) for entry in config.entries)
    written = _is_written(first, dotenv)
    return _upper(f"{name}_{info.name}") if used or (written and not config.env.get(first)) else first


def _is_written(variable: str, dotenv: str) -> bool:
    return re.search(rf"^\s*(?:export\s+)?{re.escape(variable)}\s*=", dotenv, re.MULTILINE) is not None


def _upper(text: str) -> str:
    name = re.sub(r"\W", "_", text.upper(), flags=re.ASCII)
    return f"_{name}" if name[0].isdigit() else name


def _quoted(value: str) -> str:
    if re.fullmatch(r"[\w./:@+=~-]+", value):
        return value
    if "\n" in value or "'" in value:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return f"'{value}'"


def _check(home: Home, before: Config, text: str, env_text: str, entry: tuple[str, str], fill: set[str]) -> None:
    """Read both files as they would be. Raises ConfigError unless they say what they said, and the entry."""
    name, type_name = entry
    with tempfile.TemporaryDirectory(prefix="connectors-") as folder:
        path = Path(folder, "connectors.yml")
        path.write_text(text, encoding="utf-8")
        write_new(path.with_name(".env"), env_text.encode())
        after = configuration.load(path)
        checked, _ = configuration.check_options(after, home)
    data = read_yaml(text.encode()).data
    entries = data.get("connectors") if isinstance(data, dict) else None
    last = entries[-1] if isinstance(entries, list) and entries else None
    kept = {one.name: one.raw for one in before.entries}.items() <= {one.name: one.raw for one in after.entries}.items()
    if not kept or not isinstance(last, dict) or str(last.get("name")) != name:
        raise ConfigError("the entry cannot be written into this connectors.yml", hint=BY_HAND)
    wrong = [problem for problem in checked.errors if problem.instance == name and not _mends(fill, problem)]
    if wrong:
        raise ConfigError("\n".join(map(str, wrong)), hint=f"connectors types {type_name}")


def _mends(fill: set[str], problem: Problem) -> bool:
    """Whether the problem goes when the operator fills in .env."""
    return any(re.search(rf"\b{re.escape(variable)}\b", problem.text) for variable in fill)


def _replace(path: Path, text: str, mode: int) -> None:
    """As a whole, with the mode that it has; a link stays a link."""
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{random.token_hex(4)}.tmp")
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        pass
    write_new(temporary, text.encode(), mode)
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8", hint="save it in that encoding") from error
