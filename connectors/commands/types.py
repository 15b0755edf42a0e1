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
    from connectors.base.auth import Method
    from connectors.base.declaration import Declaration
    from connectors.base.home import Home
    from connectors.base.optioninfo import OptionInfo


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
    if declared.min_version:
        say(f"needs:    mailbox-connectors {declared.min_version} or newer")
    if declared.auth:
        prose("auth:     ", "; or ".join(map(_method, declared.auth)))
    if declared.options is None:
        say("options:  any; it declares none")
    elif declared.options:
        say()
        _show_options(declared.options)
    for feed in declared.feeds:
        say()
        schedule = f", every {feed.schedule}" if feed.schedule else ""
        prose(f"feed {feed.name}: ", f"{feed.description or 'options of each'}{schedule}")
        _show_options(feed.options, "  ")
    _show_needs(home, type_name, declared)
    if declared.setup_help:
        say()
        prose("", declared.setup_help)


def _show_needs(home: Home, type_name: str, declared: Declaration) -> None:
    """Variables, steps on the other side, programs: what is there already, and where the rest comes from."""
    from connectors.base.needs import Needs
    from connectors.base.onboarding import steps_of
    from connectors.commands.onboarding import show_need, show_step

    needs, steps = Needs(home).of_type(type_name), list(steps_of(declared))
    if needs or steps:
        say()
    for need in needs:
        show_need(need)
    for step in steps:
        show_step(step)


def _method(method: Method) -> str:
    """`keys (app_token, bot_token)`, `none: public repositories only`."""
    options = f" ({', '.join(method.options)})" if method.options else ""
    return f"{method.type}{options}" + (f": {method.description}" if method.description else "")


def _show_options(options: tuple[OptionInfo, ...], indent: str = "") -> None:
    """In a pipe a row each; on a terminal its text below it, where it has the whole width."""
    if not sys.stdout.isatty():
        table((), [(indent + info.name, info.env or "-", _default(info), _text(info)) for info in options])
        return
    for info in options:
        default = _default(info)
        facts = [info.env, default if default in ("-", "required") else f"default {default}"]
        print(indent + paint(visible(info.name), "bold"), end="  ")
        say(", ".join(fact for fact in facts if fact and fact != "-"))
        prose(f"{indent}    ", _text(info))


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
