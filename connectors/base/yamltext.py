"""YAML with line numbers: what a file says, and in which line it says it.

Plain data only (no tags that make objects), duplicate keys are faults, keys are texts as written (`on:` is
`on`), and size, depth and aliases are bounded, so that no file can make the manager hang.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from connectors.base.problems import DataPath

MAX_BYTES = 1_000_000
MAX_VALUES = 100_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset({"null", "bool", "int", "float", "str", "timestamp", "merge", "value"})
_TRUE = frozenset({"yes", "true", "on"})
# YAML 1.1 reads 010 as eight and 12:30 as seven hundred and fifty. What is not written as Python would write
# it stays the text that it is; an option that wants a number reads that too.
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Fault:
    """Something wrong in the file. `path` is where in the data, `line` counts from 1."""

    line: int
    path: DataPath
    text: str


@dataclass
class Document:
    """`data` is None if the file is empty or cannot be read; `broken` says that it is the latter."""

    data: Any = None
    lines: dict[DataPath, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    broken: bool = False

    def line(self, path: DataPath) -> int:
        """The line of the value at this path, or of the nearest value above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Broken(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def read_yaml(raw: bytes) -> Document:
    """Read one YAML document. Never raises; what is wrong is in `faults`."""
    try:
        text = _decode(raw)
        _check_bounds(text)
        node = yaml.compose(text, Loader=_loader())
        builder = _Builder()
        data = builder.build(node, ()) if node is not None else None
    except _Broken as error:
        return Document(faults=[Fault(error.line, (), str(error))], broken=True)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        said = ", ".join(part for part in (error.context, error.problem) if part)
        return Document(faults=[Fault(line, (), f"not YAML: {said}{_quoting_hint(text, line)}")], broken=True)
    except yaml.YAMLError as error:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 1
        reason = getattr(error, "reason", None) or "cannot be read"
        return Document(faults=[Fault(line, (), f"not YAML: {reason}")], broken=True)
    return Document(data, builder.lines, builder.faults)


def _loader() -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _decode(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _Broken(0, f"larger than {MAX_BYTES} bytes: this is no list of connectors")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _Broken(line, "not UTF-8: save the file in that encoding") from None


def _check_bounds(text: str) -> None:
    """Refuse what is too deep before anything recurses into it (PyYAML composes on the C stack)."""
    depth = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark is not None else 1
                raise _Broken(line, f"nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _quoting_hint(text: str, line: int) -> str:
    lines = text.splitlines()
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    if "${" in here and ("[" in here or "{" in here.replace("${", "")):
        return ' (inside [ ] and { }, put "${VARIABLE}" into quotes)'
    if ": @" in here or ": `" in here or ": %" in here or ": *" in here or ": &" in here or ": !" in here:
        return " (a text that begins with one of @ ` % * & ! must be in quotes)"
    return ""


class _Builder:
    """Turns nodes into data. Aliases share nodes, so the values that come out are counted, not the nodes."""

    def __init__(self) -> None:
        self.lines: dict[DataPath, int] = {}
        self.faults: list[Fault] = []
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: DataPath) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._tally(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            raise _Broken(line, "an alias that contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise _Broken(line, f"nested more than {MAX_DEPTH} deep")
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            self._fault(node, path, f'the tag "{node.tag.removeprefix(_TAG)}" is not supported here: remove it')
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: DataPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                merged += self._merged(value, path)
            elif not isinstance(key, yaml.ScalarNode):
                self._fault(key, path, "a key must be a text")
            elif key.value in data:
                where = f"the first one is in line {self.lines[(*path, key.value)]}"
                self._fault(key, (*path, key.value), f'"{key.value}" is given twice: {where}')
            else:
                self._pair(key, value, path, data)
        # What is merged in never replaces what the mapping itself says, and of several the first wins.
        for key, value in merged:
            if isinstance(key, yaml.ScalarNode) and key.value not in data:
                self._pair(key, value, path, data)
        return data

    def _pair(self, key: yaml.ScalarNode, value: yaml.Node, path: DataPath, data: dict[str, Any]) -> None:
        self.lines[(*path, key.value)] = key.start_mark.line + 1
        data[key.value] = self.build(value, (*path, key.value))

    def _merged(self, value: yaml.Node, path: DataPath) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """The pairs that `<<: *alias` brings in, also those that the merged mapping merges in itself."""
        for node in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(node, yaml.MappingNode):
                self._fault(node, path, '"<<" takes a mapping, or a list of them')
                continue
            if id(node) in self._open:
                raise _Broken(node.start_mark.line + 1, "an alias that contains itself")
            self._open.add(id(node))
            deeper = []
            for key, item in node.value:
                self._tally(key)
                if key.tag == _TAG + "merge":
                    deeper.append(item)
                else:
                    yield key, item
            for item in deeper:
                yield from self._merged(item, path)
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode, path: DataPath) -> Any:
        tag, text = node.tag.removeprefix(_TAG), str(node.value)
        if tag == node.tag or tag not in _PLAIN_TAGS:
            self._fault(node, path, f'the tag "{tag}" is not supported here: remove it')
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() in _TRUE
        if tag == "int" and _INT.fullmatch(text):
            return int(text)
        if tag == "float" and _FLOAT.fullmatch(text):
            return float(text)
        return text

    def _tally(self, node: yaml.Node) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            text = f"more than {MAX_VALUES} values once its aliases are filled in"
            raise _Broken(node.start_mark.line + 1, text)

    def _fault(self, node: yaml.Node, path: DataPath, text: str) -> None:
        self.faults.append(Fault(node.start_mark.line + 1, path, text))
