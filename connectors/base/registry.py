"""From `type:` to the connector class. The folder is the registration: no list has to be edited.

A type is, in this order: a name that was put into CONNECTOR_REGISTRY; `connectors/<type>/connector.py` beside
connectors.yml; the same in this package; a service of this package (`services/<type>/`); an entry point of the group
`connectors`. Besides, a dotted module (with `:Class` if it has several), and a file path relative to the folder of
connectors.yml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import connectors
from connectors.base.errors import ConfigError
from connectors.base.problems import did_you_mean, nearest

if TYPE_CHECKING:
    from connectors.base.connector import Connector

ENTRY_POINT_GROUP = "connectors"
#: Folders of the package that hold no platform, although `base` has a connector.py.
_NOT_TYPES = frozenset({"base", "parts", "services", "commands", "testing"})
_FOLDER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IN_PACKAGE = re.compile(r"connectors\.(\w+)\.connector", re.ASCII)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Located:
    """Where a type's code is. Either `module` (importable, and in `folder` if the home has it) or `file`."""

    type: str
    module: str = ""
    file: Path | None = None
    folder: Path | None = None
    class_name: str | None = None
    builtin: bool = False

    def __str__(self) -> str:
        file = self.file if self.folder is None else self.folder / "connector.py"
        where = self.module if file is None else str(file)
        return f"{where}:{self.class_name}" if self.class_name else where


class ConnectorRegistry(MutableMapping[str, str]):
    """Type -> module. Reads the package's folder whenever it is asked, so a new folder is there at once.

    Can be written to: `CONNECTOR_REGISTRY["myplatform"] = "connectors.myplatform.connector"`. A hyphen and an
    underscore are the same when looking up.
    """

    def __init__(self) -> None:
        self._written: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        known = self._all()
        for spelling in (name, _type_name(name), _folder_name(name)):
            if spelling in known:
                return known[spelling]
        raise KeyError(name)

    def __setitem__(self, name: str, module: str) -> None:
        self._written[name] = module

    def __delitem__(self, name: str) -> None:
        if name not in self._all():
            raise KeyError(name)
        self._written[name] = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"CONNECTOR_REGISTRY({self._all()!r})"

    def written(self, name: str) -> str | None:
        """The module that somebody put here for this name, if any."""
        return self._written.get(name)

    def _all(self) -> dict[str, str]:
        found = {_type_name(folder): f"connectors.{folder}.connector" for folder in builtin_folders()}
        found.update((name, module) for name, module in self._written.items() if module is not None)
        return {name: module for name, module in found.items() if self._written.get(name, "") is not None}


CONNECTOR_REGISTRY = ConnectorRegistry()


def builtin_folders() -> list[str]:
    """The folders of this package that hold a connector, in the order of their names."""
    package = Path(connectors.__path__[0])
    return [name for name in _folders(package) if name not in _NOT_TYPES]


def known_types(base_dir: Path) -> dict[str, str]:
    """Every type that has a name -> where its code is. Imports none of it."""
    types = {**_entry_points(), **CONNECTOR_REGISTRY}
    home = base_dir / "connectors"
    if not _is_package(home):
        found = {_type_name(name): str(home / name / "connector.py") for name in _folders(home)}
        types.update((name, file) for name, file in found.items() if CONNECTOR_REGISTRY.written(name) is None)
    return dict(sorted(types.items()))


def locate(type_name: str, base_dir: Path) -> Located:
    """Find a type's code without importing it. Raises ConfigError if there is none."""
    name, _, class_name = type_name.strip().partition(":")
    wanted = class_name or None
    if "/" in name or name.endswith(".py") or name.startswith("~"):
        return _locate_file(name, wanted, base_dir)
    written = CONNECTOR_REGISTRY.written(name)
    if written is not None:
        return _locate_module(name, written, wanted, base_dir)
    folder = _home_folder(_folder_name(name), base_dir)
    if folder is not None:
        return Located(name, f"connectors.{folder.name}.connector", folder=folder, class_name=wanted)
    if name in CONNECTOR_REGISTRY:
        return _locate_module(name, CONNECTOR_REGISTRY[name], wanted, base_dir)
    if (Path(connectors.__path__[0]) / "services" / _folder_name(name) / "connector.py").is_file():
        return Located(name, f"connectors.services.{_folder_name(name)}.connector", class_name=wanted, builtin=True)
    point = None if "." in name else _entry_points().get(name)
    if point is not None:
        return _locate_module(name, point, wanted, base_dir)
    if ("." in name or wanted) and _DOTTED.fullmatch(name):
        return _locate_module(name, name, wanted, base_dir)
    raise unknown_type(type_name, base_dir)


def load_class(type_name: str, base_dir: Path) -> type[Connector]:
    """Import the connector class of a type.

    Raises MissingDependency if a package that its module imports is not installed, and ConfigError if there
    is no such type, no class in it, or the module cannot be imported for any other reason.
    """
    from connectors.base import loading

    return loading.load(locate(type_name, base_dir), base_dir)


def unknown_type(type_name: str, base_dir: Path) -> ConfigError:
    known = known_types(base_dir)
    inside = _IN_PACKAGE.fullmatch(type_name.partition(":")[0])
    near = did_you_mean(nearest(inside[1] if inside else type_name, known))
    hint = f"use one of {', '.join(known)}, a dotted module, or a file path that begins with ./"
    return ConfigError(f'there is no connector type "{type_name}"{near}', hint=hint)


def _locate_module(name: str, target: str, class_name: str | None, base_dir: Path) -> Located:
    module, _, own_class = target.partition(":")
    inside = _IN_PACKAGE.fullmatch(module)
    folder = _home_folder(inside[1], base_dir) if inside else None
    builtin = folder is None and inside is not None and inside[1] in builtin_folders()
    return Located(name, module, folder=folder, class_name=class_name or own_class or None, builtin=builtin)


def _home_folder(name: str, base_dir: Path) -> Path | None:
    """`<home>/connectors/<name>` if that holds a connector, and the home is not where this package is."""
    folder = base_dir / "connectors" / name
    if _FOLDER.fullmatch(name) and not _is_package(folder.parent) and (folder / "connector.py").is_file():
        return folder.resolve()
    return None


def _locate_file(name: str, class_name: str | None, base_dir: Path) -> Located:
    path = (base_dir / Path(name).expanduser()).resolve()
    if path.is_dir():
        path /= "connector.py"
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", hint='a path after "type:" is relative to connectors.yml')
    return Located(name, file=path, class_name=class_name)


def _folders(parent: Path) -> list[str]:
    try:
        names = [path.name for path in parent.iterdir() if _FOLDER.fullmatch(path.name)]
    except OSError:
        return []
    return sorted(name for name in names if (parent / name / "connector.py").is_file())


def _is_package(folder: Path) -> bool:
    """Whether a folder `connectors/` is this very package: the home is where the source is."""
    try:
        return folder.samefile(connectors.__path__[0])
    except OSError:
        return False


def _entry_points() -> dict[str, str]:
    from importlib.metadata import entry_points  # slow to import, and needed for few types only

    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


def _type_name(folder: str) -> str:
    return folder.replace("_", "-")


def _folder_name(type_name: str) -> str:
    return type_name.replace("-", "_")
