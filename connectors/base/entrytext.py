"""An entry of connectors.yml as text, and the file's text with it: comments and everything else stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

import yaml

from connectors.base.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*")
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "none"})
BY_HAND = "write the entry by hand; `connectors validate` checks it"


def entry_text(name: str, type_name: str, values: Mapping[str, str], lists: Collection[str] = ("feeds",)) -> str:
    """The entry, not indented. Of the options that are `lists` of mappings, `feeds.url` is the url of the one feed."""
    lines = [f"- name: {_scalar(name)}", f"  type: {_scalar(type_name)}"]
    inner: dict[str, list[str]] = {}
    for option, value in values.items():
        head, dot, rest = option.partition(".")
        if dot and rest and head in lists:
            inner.setdefault(head, []).append(f"{_scalar(rest)}: {_scalar(value)}")
        else:
            lines.append(f"  {_scalar(option)}: {_scalar(value)}")
    for head, (first, *others) in inner.items():
        lines += [f"  {head}:", f"  - {first}", *(f"    {other}" for other in others)]
    return "\n".join(lines) + "\n"


def _scalar(value: str) -> str:
    """As one would write it by hand: whole numbers, true and false as such, other texts quoted where YAML needs it."""
    if _WHOLE.fullmatch(value) or value in ("true", "false"):
        return value
    if re.fullmatch(r"\$\{\w+\}", value) or (_PLAIN.fullmatch(value) and value.lower() not in _WORDS):
        return value
    return json.dumps(value, ensure_ascii=False)


def insert(text: str, entry: str) -> str:
    """The file with the entry behind the last one."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"connectors.yml is not YAML: {error}", hint=BY_HAND) from error
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if root is None:
        return "".join([*lines, "connectors:\n", _indented(entry, 2)])
    pairs = root.value if isinstance(root, yaml.MappingNode) and not root.flow_style else []
    key, entries = next(((k, v) for k, v in pairs if k.value == "connectors"), (None, None))
    if key is None or entries is None:
        raise ConfigError('connectors.yml has no "connectors:" list', hint=BY_HAND)
    if not entries.value:  # `connectors:`, or `connectors: []`
        at = key.start_mark.line
        if entries.end_mark.line != at:
            raise ConfigError("the list of connectors.yml is written over several lines", hint=BY_HAND)
        return "".join([*lines[:at], "connectors:\n", _indented(entry, 2), *lines[at + 1 :]])
    if not isinstance(entries, yaml.SequenceNode) or entries.flow_style:
        raise ConfigError("the list of connectors.yml is written in brackets", hint=BY_HAND)
    end = _last_line(entries)
    return "".join([*lines[:end], _indented(entry, entries.start_mark.column), *lines[end:]])


def _last_line(node: yaml.Node) -> int:
    """The number of the line behind the node's last character: its end mark may lie behind comments that follow."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return int(node.end_mark.line) + (1 if node.end_mark.column else 0)


def _indented(entry: str, column: int) -> str:
    return "".join(" " * column + line for line in entry.splitlines(keepends=True))
