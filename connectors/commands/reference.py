"""docs/cli.md, made from the program itself: `python -m connectors.commands.reference >docs/cli.md`."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

from connectors.commands.main import SECTIONS, load

_HEAD = """\
# The command line

Made by `python -m connectors.commands.reference` from the program itself.

Every verb takes `--seed-home FOLDER`, the home: the folder of `connectors.yml` and `messages/`. Without it the
environment variable `MAILBOX_HOME` counts, and without that the current folder. Options stand after the verb.

What a verb prints is made for its reader: a table with colours on a terminal (no colours with `NO_COLOR`),
tab-separated lines without a heading in a pipe, JSON with `--json`. Errors go to stderr: a line `error: …`, and often a
line `hint:  …`.

| exit code | meaning |
|---|---|
| 0 | done; all is well |
| 1 | not done, nothing found, or something needs a person |
| 2 | wrong usage; `doctor`: errors |
| 75 | somebody else holds a lock |
| 77 | a credential was refused |
| 78 | connectors.yml, .env or an argument must be edited |
| 130 | Ctrl-C |
| 141 | nobody reads the output any longer: `connectors tail \\| head -1` |
"""


def reference() -> str:
    """The whole file."""
    lines = [_HEAD]
    for section, verbs in SECTIONS.items():
        lines.append(f"## {section}\n")
        for verb in verbs:
            lines += _command(f"connectors {verb}", load(verb), level=3)
    return "\n".join(lines).rstrip("\n") + "\n"


def _command(name: str, command: Any, level: int) -> Iterator[str]:
    yield f"{'#' * level} {name}\n"
    yield f"{cleandoc(command.help or '')}\n"
    below = getattr(command, "commands", None)
    if below:
        for verb, one in below.items():
            yield from _command(f"{name} {verb}", one, level + 1)
        return
    rows = [_row(param) for param in command.params]
    yield "| argument or option | default | meaning |\n|---|---|---|"
    yield from rows
    yield ""


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        shown = f"`{param.metavar or param.name.upper()}`"
        if param.nargs == -1:
            shown += " …"
        help_text = param.help or ""
    else:
        names = [*param.opts, *param.secondary_opts]
        value = "" if param.is_flag else f" {param.metavar or _choices(param)}"
        shown = ", ".join(f"`{name}{value}`" for name in names)
        help_text = param.help or ""
    return f"| {shown} | {_default(param)} | {help_text.replace('|', chr(92) + '|')} |"


def _choices(param: Any) -> str:
    choices = getattr(param.type_descriptor, "choices", None) if hasattr(param, "type_descriptor") else None
    return " or ".join(map(str, choices)) if choices else "VALUE"


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if param.envvar:
        return f"`{param.envvar}`, else `{param.default}`"
    if getattr(param, "is_flag", False) or param.default in (None, "", [], ()):
        return ""
    return f"`{param.default}`"


if __name__ == "__main__":
    print(reference(), end="")
