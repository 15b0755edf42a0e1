"""`connectors types`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connectors.base.errors import ConfigError
from connectors.base.logbook import visible
from connectors.commands.arguments import HERE, AsJson, SeedHome, home_of
from connectors.commands.output import paint, print_json, prose, say, table

if TYPE_CHECKING:
    from connectors.base.declaration import Declaration, OptionInfo
    from connectors.base.home import Home


def types(
    type_name: Annotated[str | None, typer.Argument(metavar="TYPE", help="Show this one's options.")] = None,
    seed_home: SeedHome = HERE,
    as_json: AsJson = False,
) -> None:
    """Those of this package, of installed packages, and of the folder connectors/ in the home. A dotted module or a
    file path (./mine.py) works, too.
    """
    home = home_of(seed_home, new=True)
    if type_name is not None:
        _show(home, type_name, as_json=as_json)
        return
    from connectors.base.registry import known_types

    rows: list[dict[str, Any]] = []
    for name, where in known_types(home.root).items():
        try:
            rows.append({**_declaration(home, name).to_dict(), "type": name, "where": where, "problem": None})
        except ConfigError as error:
            rows.append({"type": name, "summary": "", "where": where, "problem": str(error)})
    if as_json:
        print_json(rows)
    else:
        table(("TYPE", "WHAT IT IS"), [(row["type"], row["problem"] or row["summary"]) for row in rows])


def _show(home: Home, type_name: str, *, as_json: bool) -> None:
    declared = _declaration(home, type_name)
    if as_json:
        print_json(declared.to_dict())
        return
    prose(f"{type_name}: ", declared.summary)
    if declared.extra:
        say(f"install:  pip install 'mailbox-connectors[{declared.extra}]'")
    able = [name.replace("_", " ") for name, value in vars(declared.capabilities).items() if value]
    prose("can:      ", ", ".join(["send", *able, *(str(action["name"]) for action in declared.actions)]))
    if declared.limits.text_max:
        say(f"limits:   {declared.limits.text_max} {declared.limits.text_unit} a message; longer ones are split")
    if declared.options is None:
        say("options:  any; it declares none")
    elif declared.options:
        say()
        _show_options(declared.options)
    if declared.setup_help:
        say()
        prose("", declared.setup_help)


def _show_options(options: tuple[OptionInfo, ...]) -> None:
    """In a pipe a row each; on a terminal its text below it, where it has the whole width."""
    if not sys.stdout.isatty():
        table((), [(info.name, info.env or "-", _default(info), _text(info)) for info in options])
        return
    for info in options:
        default = _default(info)
        facts = [info.env, default if default in ("-", "required") else f"default {default}"]
        print(paint(visible(info.name), "bold"), end="  ")
        say(", ".join(fact for fact in facts if fact and fact != "-"))
        prose("    ", _text(info))


def _declaration(home: Home, type_name: str) -> Declaration:
    from connectors.base.declaration import declaration_of
    from connectors.base.registry import load_class

    return declaration_of(load_class(type_name, home.root))


def _default(info: OptionInfo) -> str:
    if info.required:
        return "required"
    default = info.default
    nothing = default in (None, "", [], {}) or (isinstance(default, dict) and not any(default.values()))
    return "-" if nothing else str(default)


def _text(info: OptionInfo) -> str:
    parts = (info.description, f"({info.type})", info.help_url or info.help_command)
    return " ".join(part for part in parts if part)
