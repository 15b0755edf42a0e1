"""Imports point one way: base ← parts ← platforms; base, parts ← services, commands, testing.

The graph is read from the source, imports inside functions and under TYPE_CHECKING included.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import connectors

PACKAGE = Path(connectors.__path__[0])
LAYERS = ("base", "parts", "services", "commands", "testing")
#: What each layer may import of the package, besides itself. A platform is every other folder.
ALLOWED = {
    "": {"base", "commands"},
    "base": set(),
    "parts": {"base"},
    "platform": {"base", "parts"},
    "services": {"base", "parts"},
    "commands": {"base", "parts", "services"},
    "testing": {"base", "parts"},
}
#: Who may name a platform, and why.
EXCEPTIONS = {
    "connectors.commands.chat": "connectors.cli.chat.attach",  # the client of that connector's own socket
    "connectors.base.supervisor": "cli",  # a terminal can be handed to one process only: to the chat
}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ["connectors", *path.relative_to(PACKAGE).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, source: str, *, package: bool = False) -> Iterator[str]:
    """The dotted names that a module's source imports; `from a import b` gives `a.b`."""
    here = name.split(".") if package else name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("import_module", "importlib.import_module"):
            text = node.args[0] if node.args else None
            if isinstance(text, ast.JoinedStr):
                text = text.values[0]
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield text.value


def folder(name: str) -> str:
    """`connectors.base.errors` → `base`; the package itself → ``."""
    parts = name.removesuffix(".__main__").split(".")
    return parts[1] if len(parts) > 1 else ""


def wrong_imports(name: str, source: str, known: set[str], *, package: bool = False) -> list[str]:
    """What a module imports against the direction."""
    own = folder(name)
    layer = own if own in LAYERS or not own else "platform"
    wrong = []
    for imported in imports_of(name, source, package=package):
        if imported.partition(".")[0] != "connectors":
            continue
        target = folder(imported)
        # `from connectors import Mailbox` is a name of the package, `from connectors import slack` is a folder.
        if target in ("", own) or not any(k == f"connectors.{target}" for k in known):
            continue
        if target not in ALLOWED[layer] and EXCEPTIONS.get(name) != imported:
            wrong.append(imported)
    return wrong


def test_imports_point_one_way() -> None:
    known = modules()
    wrong = {
        name: found
        for name, path in known.items()
        if (found := wrong_imports(name, path.read_text(), set(known), package=path.name == "__init__.py"))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("connectors.base.errors", "import connectors.slack.connector"),
        ("connectors.base.errors", "from connectors import slack"),
        ("connectors.base.errors", "from connectors import testing"),
        ("connectors.base.errors", "from .. import slack"),
        ("connectors.base.errors", "from ..slack import connector"),
        ("connectors.base.errors", "from connectors.parts import polling"),
        ("connectors.base.errors", "def f():\n    from connectors.commands import main"),
        ("connectors.base.errors", "import_module('connectors.slack.connector')"),
        ("connectors.slack.connector", "from connectors.telegram.connector import TelegramConnector"),
        ("connectors.slack.connector", "from connectors.testing import FakePlatform"),
        ("connectors.commands.run", "from connectors.slack.connector import SlackConnector"),
        ("connectors.parts.polling", "from connectors.services import relay"),
        ("connectors.testing.fake", "from connectors.slack import connector"),
    ],
)
def test_an_import_against_the_direction_is_found(name: str, source: str) -> None:
    folders = (*LAYERS, "slack", "telegram")
    assert wrong_imports(name, source, {f"connectors.{folder}" for folder in folders}) != []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("connectors.slack.connector", "from connectors.base.connector import Connector"),
        ("connectors.slack.connector", "from connectors.slack.client import Client\nfrom . import client"),
        ("connectors.slack.connector", "import slack_sdk"),
        ("connectors.commands.send", "from connectors import Mailbox"),
        ("connectors.testing.basis", "from connectors.base.home import Home"),
    ],
)
def test_an_import_along_the_direction_is_not(name: str, source: str) -> None:
    assert wrong_imports(name, source, {f"connectors.{folder}" for folder in (*LAYERS, "slack")}) == []


def test_the_vendor_sdk_is_imported_by_the_platforms_client_only() -> None:
    sdks = {"slack_sdk", "slack_bolt", "telegram", "discord", "nio"}
    found = [
        (name, imported)
        for name, path in modules().items()
        for imported in imports_of(name, path.read_text(), package=path.name == "__init__.py")
        if imported.partition(".")[0] in sdks and path.name != "client.py"
    ]
    assert found == []


def loaded_after(program: str) -> set[str]:
    """The modules that a fresh interpreter has after running a program."""
    printing = f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", printing], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_manager_process_imports_no_connector(home: Path) -> None:
    (home / "connectors.yml").write_text("connectors:\n  - {name: c, type: cli}\n  - {name: gone, type: nobody}\n")
    loaded = loaded_after(
        "from connectors.base.manager import ConnectorManager\n"
        f"manager = ConnectorManager.from_config({str(home / 'connectors.yml')!r})\n"
        "manager.status()\n"
        "manager._loader(True, None)()"
    )
    folders = {folder(name) for name in loaded if name.startswith("connectors.")}
    assert folders == {"base"}


def test_importing_the_package_loads_nothing_else() -> None:
    assert {name for name in loaded_after("import connectors") if name.startswith("connectors.")} == set()


def test_the_pytest_plugin_loads_nothing_of_the_package() -> None:
    loaded = loaded_after("import connectors.testing.plugin")
    assert {name for name in loaded if name.startswith("connectors.")} == {
        "connectors.testing",
        "connectors.testing.plugin",
    }


def test_no_module_names_a_platform() -> None:
    """A text such as "slack" in base would be a platform's special case. Its documentation may give examples."""
    platforms = {path.parent.name for path in PACKAGE.glob("*/connector.py")} - set(LAYERS)
    found = [
        (name, node.value)
        for name, path in modules().items()
        if folder(name) in ("base", "parts")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        for node in ast.walk(node)
        if isinstance(node, ast.Constant) and node.value in platforms and EXCEPTIONS.get(name) != node.value
    ]
    assert found == []
