"""Importing a connector's module and picking its class, with every failure said as what to do about it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import connectors
from connectors.base.errors import ConfigError, MissingDependency
from connectors.base.registry import Located, unknown_type
from connectors.base.versions import DISTRIBUTION, min_version_of, require, written_in

if TYPE_CHECKING:
    from connectors.base.connector import Connector

#: How the modules begin that were loaded from a file path.
UNIQUE = "_connector_"
#: Modules whose package to install has another name.
_PACKAGES = {
    "yaml": "PyYAML",
    "telegram": "python-telegram-bot",
    "slack_sdk": "slack-sdk",
    "discord": "discord.py",
    "nio": "matrix-nio",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
    "google": "google-api-python-client",
}


def load(located: Located, base_dir: Path) -> type[Connector]:
    """The connector class of a located type; errors as in `registry.load_class`."""
    cls = _pick(_import(located, base_dir), located)
    require(located.type, min_version_of(cls))
    return cls


def _import(located: Located, base_dir: Path) -> ModuleType:
    try:
        if located.file is not None:
            return _import_file(located.file)
        if located.folder is not None:
            package = located.module.rpartition(".")[0]
            _make_package(package, located.folder)
            return importlib.import_module(located.module)
        _allow_imports_from(base_dir)
        return importlib.import_module(located.module)
    except ConfigError:
        raise
    except ImportError as error:
        raise _explain(error, located, base_dir) from error
    except (Exception, SystemExit) as error:  # it is somebody else's code, and anything can come out of it
        raise ConfigError(f"cannot load {located}: {_where(error)}", hint="correct the file") from error


def _import_file(file: Path) -> ModuleType:
    """Import a file under a name of its own; with an `__init__.py` beside it, as a part of that package."""
    unique = f"{UNIQUE}{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if (file.parent / "__init__.py").is_file():
        _make_package(unique, file.parent)
        return importlib.import_module(f"{unique}.{file.stem}")
    _allow_imports_from(file.parent)
    name = f"{unique}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file} is no Python file", hint="name a file that ends in .py")
    return _execute(spec)


def _make_package(name: str, folder: Path) -> None:
    """Make `folder` importable as package `name`, instead of another folder that had the name before."""
    loaded = sys.modules.get(name)
    if loaded is not None and list(getattr(loaded, "__path__", ())) == [str(folder)]:
        return
    for other in [other for other in sys.modules if other == name or other.startswith(f"{name}.")]:
        del sys.modules[other]
    init = folder / "__init__.py"
    spec: ModuleSpec | None
    if init.is_file():
        spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
    else:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
    if spec is None:
        raise ConfigError(f"{folder} cannot be imported as a package", hint="look at its __init__.py")
    module = _execute(spec)
    parent, _, child = name.rpartition(".")
    if parent == connectors.__name__:
        setattr(connectors, child, module)


def _execute(spec: ModuleSpec) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        if spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _allow_imports_from(folder: Path) -> None:
    """What lies beside connectors.yml or the connector's file can be imported, and hides nothing else."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _pick(module: ModuleType, located: Located) -> type[Connector]:
    from connectors.base.connector import Connector

    if located.class_name is not None:
        cls = getattr(module, located.class_name, None)
        if not (isinstance(cls, type) and issubclass(cls, Connector)):
            raise ConfigError(
                f"{located} is no connector class",
                hint=f"name a subclass of {Connector.__name__} in that module",
            )
        return cls
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Connector) and value.__module__ == module.__name__
    ]
    named = {cls: str(cls.connector_type) for cls in own if getattr(cls, "connector_type", None)}
    if not named:
        hint = "set connector_type on it" if own else "define a subclass of connectors.base.connector.Connector"
        what = f"the class {own[0].__name__} has no connector_type" if own else "there is no connector class"
        raise ConfigError(f"{what} in {located}", hint=hint)
    whole = {cls: kind for cls, kind in named.items() if not inspect.isabstract(cls)}
    if not whole:
        cls = next(iter(named))
        lacks = ", ".join(sorted(cls.__abstractmethods__))
        raise ConfigError(f"the class {cls.__name__} in {located} lacks {lacks}", hint="define them")
    if len(whole) == 1:
        return next(iter(whole))
    wanted = {_plain(located.type), *(_plain(part) for part in _last_names(located))}
    matching = [cls for cls, kind in whole.items() if _plain(kind) in wanted]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(cls.__name__ for cls in whole)
    hint = f'say which: "type: {located.type}:{next(iter(whole)).__name__}"'
    raise ConfigError(f"{located} has several connector classes: {names}", hint=hint)


def _last_names(located: Located) -> list[str]:
    if located.file is not None:
        return [located.file.stem, located.file.parent.name]
    return located.module.split(".")[-2:]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _explain(error: ImportError, located: Located, base_dir: Path) -> ConfigError:
    """Which of the three an ImportError is: no such type, a package that is missing, a bug in the module."""
    missing = error.name or ""
    if isinstance(error, ModuleNotFoundError) and _is_target(missing, located):
        return unknown_type(located.type, base_dir)
    top = missing.partition(".")[0]
    if top == connectors.__name__ and (file := _source(located)) is not None:
        try:
            require(located.type, written_in(file))
        except MissingDependency as too_old:
            return too_old
    if not top or top in {connectors.__name__, located.module.partition(".")[0]} or top.startswith(UNIQUE):
        return ConfigError(f"cannot load {located}: {_where(error)}", hint="correct the file")
    if isinstance(error, ModuleNotFoundError):
        what = f"{located.type} needs the package {_PACKAGES.get(top, top)}, which is not installed"
        return MissingDependency(what, install=_install_command(located, top))
    # The package is there and lacks something: too old, or too new.
    return MissingDependency(
        f"{located.type} does not work with the installed {_PACKAGES.get(top, top)} ({error})",
        install=_install_command(located, top).replace("pip install", "pip install --upgrade", 1),
    )


def _source(located: Located) -> Path | None:
    """The file of a type; None where that cannot be told without importing it."""
    if located.file is not None or located.folder is not None:
        return located.file or (located.folder or Path()) / "connector.py"
    try:
        spec = importlib.util.find_spec(located.module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def _is_target(missing: str, located: Located) -> bool:
    return bool(missing) and located.file is None and (located.module + ".").startswith(missing + ".")


def _install_command(located: Located, module: str) -> str:
    if located.builtin:
        extra = _plain(located.module.split(".")[1]).replace("_", "-")
        if extra in _extras():
            return f"pip install '{DISTRIBUTION}[{extra}]'"
    return f"pip install {_PACKAGES.get(module, module)}"


def _extras() -> list[str]:
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        return [extra.replace("_", "-") for extra in metadata(DISTRIBUTION).get_all("Provides-Extra") or []]
    except PackageNotFoundError:
        return []


def _where(error: BaseException) -> str:
    """The error in one line, with the innermost place; a SyntaxError knows its own."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        return said
    frames = traceback.extract_tb(error.__traceback__)
    return f"{said} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else said
