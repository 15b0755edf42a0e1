"""From `type:` to the class: names, folders, modules, files and entry points, and what goes wrong with each."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import connectors
from connectors.base import loading, registry
from connectors.base.connector import Connector
from connectors.base.errors import ConfigError, Exit, MissingDependency
from connectors.base.registry import CONNECTOR_REGISTRY, known_types, load_class

CLASS = """
from connectors.base.connector import Connector
{imports}

class {name}(Connector):
    connector_type = "{kind}"
    marker = "{marker}"
    def connect(self): pass
    def disconnect(self): pass
    def send_message(self, msg): return True
    def run_loop(self): pass
"""


def write(path: Path, *, name: str = "Mine", kind: str = "mine", imports: str = "", marker: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CLASS.format(name=name, kind=kind, imports=imports, marker=marker))
    return path


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a test imports from its own folder is gone after it, and what it replaced is back."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules, attributes = dict(sys.modules), dict(vars(connectors))
    yield
    for name, module in list(sys.modules.items()):
        places = [str(getattr(module, "__file__", "")), *map(str, getattr(module, "__path__", ()))]
        if any(place.startswith(str(tmp_path)) for place in places):
            del sys.modules[name]
            if name.startswith("connectors.") and name.count(".") == 1:
                delattr(connectors, name.rpartition(".")[2])
    sys.modules.update(modules)
    for name, value in attributes.items():
        setattr(connectors, name, value)


@pytest.fixture
def registered() -> Iterator[None]:
    yield
    CONNECTOR_REGISTRY._written.clear()


def test_every_folder_of_the_package_with_a_connector_is_a_type_and_nothing_else_is() -> None:
    package = Path(connectors.__path__[0])
    assert CONNECTOR_REGISTRY["cli"] == "connectors.cli.connector"
    for kind, module in CONNECTOR_REGISTRY.items():
        folder = kind.replace("-", "_")
        assert module == f"connectors.{folder}.connector"
        assert (package / folder / "connector.py").is_file()
    assert not {"base", "parts", "services", "commands", "testing"} & set(CONNECTOR_REGISTRY)
    assert len(CONNECTOR_REGISTRY) == len(list(CONNECTOR_REGISTRY))


@pytest.mark.usefixtures("registered")
def test_the_registry_can_be_written_to_and_what_is_written_is_loaded(tmp_path: Path) -> None:
    # given a module in the home, and the line that the document on writing connectors tells to write
    write(tmp_path / "connectors" / "myplatform" / "connector.py", kind="myplatform")
    CONNECTOR_REGISTRY["myplatform"] = "connectors.myplatform.connector"
    # then the registry has it like its own, and it loads
    assert CONNECTOR_REGISTRY["myplatform"] == "connectors.myplatform.connector"
    assert "myplatform" in dict(CONNECTOR_REGISTRY)
    assert "myplatform" in known_types(tmp_path)
    assert load_class("myplatform", tmp_path).connector_type == "myplatform"
    # and what was deleted is gone
    del CONNECTOR_REGISTRY["myplatform"]
    assert "myplatform" not in CONNECTOR_REGISTRY
    with pytest.raises(KeyError):
        del CONNECTOR_REGISTRY["myplatform"]


@pytest.mark.usefixtures("registered")
def test_what_is_written_to_the_registry_wins_over_the_package(tmp_path: Path) -> None:
    write(tmp_path / "other_cli.py", kind="cli", marker="other")
    CONNECTOR_REGISTRY["cli"] = "other_cli"
    assert load_class("cli", tmp_path).marker == "other"  # type: ignore[attr-defined]


@pytest.mark.usefixtures("registered")
def test_a_hyphen_and_an_underscore_are_the_same(tmp_path: Path) -> None:
    CONNECTOR_REGISTRY["google-chat"] = "x.y"
    assert CONNECTOR_REGISTRY["google_chat"] == "x.y"
    write(tmp_path / "connectors" / "my_chat" / "connector.py", kind="my-chat")
    assert load_class("my-chat", tmp_path) is load_class("my_chat", tmp_path)
    assert "my-chat" in known_types(tmp_path)


def test_a_folder_in_the_homes_connectors_is_a_type_with_and_without_an_init_file(tmp_path: Path) -> None:
    for name, init in (("first", True), ("second", False)):
        # given a connector that imports a module beside it, in both ways
        folder = tmp_path / "connectors" / name
        imports = f"from .client import VALUE\nfrom connectors.{name}.client import VALUE as AGAIN"
        write(folder / "connector.py", kind=name, imports=imports)
        (folder / "client.py").write_text("VALUE = 1\n")
        if init:
            (folder / "__init__.py").touch()
        # then both its name and its dotted module load it
        assert load_class(name, tmp_path).connector_type == name
        assert load_class(f"connectors.{name}.connector", tmp_path) is load_class(name, tmp_path)


def test_the_homes_own_connector_wins_over_the_packages(tmp_path: Path) -> None:
    write(tmp_path / "connectors" / "cli" / "connector.py", kind="cli", marker="from the home")
    assert load_class("cli", tmp_path).marker == "from the home"  # type: ignore[attr-defined]
    assert known_types(tmp_path)["cli"] == str(tmp_path / "connectors" / "cli" / "connector.py")


def test_two_homes_with_the_same_type_each_load_their_own(tmp_path: Path) -> None:
    for home in ("a", "b"):
        write(tmp_path / home / "connectors" / "same" / "connector.py", kind="same", marker=home)
    loaded = [load_class("same", tmp_path / home).marker for home in ("a", "b", "a")]  # type: ignore[attr-defined]
    assert loaded == ["a", "b", "a"]


def test_the_packages_own_parent_as_home_loads_the_package(tmp_path: Path) -> None:
    home = Path(connectors.__path__[0]).parent
    assert registry.locate("cli", home).builtin
    assert load_class("cli", home).__module__ == "connectors.cli.connector"
    assert known_types(home)["cli"] == "connectors.cli.connector"


@pytest.mark.parametrize("spelled", ["./mine.py", "mine.py", "sub/../mine.py", "{home}/mine.py", "./mine.py:Mine"])
def test_a_file_path_is_relative_to_the_folder_of_connectors_yml(tmp_path: Path, spelled: str) -> None:
    write(tmp_path / "mine.py")
    (tmp_path / "sub").mkdir()
    assert load_class(spelled.format(home=tmp_path), tmp_path).__name__ == "Mine"


def test_a_file_can_lie_above_the_home_and_import_what_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "shared_code" / "mine.py", imports="import my_helper_beside")
    (tmp_path / "shared_code" / "my_helper_beside.py").touch()
    home = tmp_path / "home"
    home.mkdir()
    assert load_class("../shared_code/mine.py", home).connector_type == "mine"


def test_a_file_in_a_package_can_import_its_siblings_relatively(tmp_path: Path) -> None:
    write(tmp_path / "thing" / "connector.py", imports="from .client import VALUE")
    (tmp_path / "thing" / "__init__.py").touch()
    (tmp_path / "thing" / "client.py").write_text("VALUE = 1\n")
    assert load_class("./thing", tmp_path) is load_class("./thing/connector.py", tmp_path)


def test_two_files_of_the_same_name_are_two_types(tmp_path: Path) -> None:
    write(tmp_path / "a" / "mine.py", marker="a")
    write(tmp_path / "b" / "mine.py", marker="b")
    assert load_class("./a/mine.py", tmp_path) is not load_class("./b/mine.py", tmp_path)


def test_a_dotted_module_beside_connectors_yml_loads_with_and_without_a_class(tmp_path: Path) -> None:
    write(tmp_path / "dotted_pkg" / "module.py", name="One", kind="one")
    assert load_class("dotted_pkg.module", tmp_path).__name__ == "One"
    assert load_class("dotted_pkg.module:One", tmp_path).__name__ == "One"
    with pytest.raises(ConfigError, match="no connector class"):
        load_class("dotted_pkg.module:Two", tmp_path)


@pytest.mark.parametrize("value", ["installed_thing", "installed_thing:Mine"])
def test_an_installed_package_is_found_by_its_entry_point(
    tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a package as pip installs it, outside the home
    site = tmp_path / "site"
    write(site / "installed_thing.py", kind="thing")
    info = site / "installed_thing-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-thing\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[connectors]\nthing = {value}\n")
    monkeypatch.syspath_prepend(str(site))
    # then its entry point is a type
    assert load_class("thing", tmp_path).__name__ == "Mine"
    assert known_types(tmp_path)["thing"] == value


def test_only_classes_of_the_module_itself_count(tmp_path: Path) -> None:
    write(tmp_path / "base_of_mine.py", name="Base", kind="base")
    write(tmp_path / "neither.py", imports="from base_of_mine import Base")
    assert load_class("./neither.py", tmp_path).__name__ == "Mine"


def test_of_several_classes_the_one_of_the_types_name_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "connectors" / "pair" / "connector.py"
    write(path, name="Other", kind="other")
    path.write_text(path.read_text() + CLASS.format(name="Pair", kind="pair", imports="", marker=""))
    assert load_class("pair", tmp_path).__name__ == "Pair"
    # and where none has that name, the error names them all
    path.rename(tmp_path / "odd.py")
    with pytest.raises(ConfigError, match="Other, Pair") as caught:
        load_class("./odd.py", tmp_path)
    assert "./odd.py:Other" in caught.value.hint
    # nor is one of two with the same name chosen
    text = (tmp_path / "odd.py").read_text()
    (tmp_path / "even.py").write_text(text.replace('"other"', '"even"').replace('"pair"', '"even"'))
    with pytest.raises(ConfigError, match="Other, Pair"):
        load_class("./even.py", tmp_path)


def test_an_abstract_base_in_the_same_file_does_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py")
    path.write_text(
        "from connectors.base.connector import Connector\nclass Half(Connector):\n    connector_type = 'half'\n"
        + path.read_text()
    )
    assert load_class("./mine.py", tmp_path).__name__ == "Mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "there is no connector class"),
        ("from connectors.base.connector import Connector\nclass A(Connector): pass\n", "no connector_type"),
        (
            "from connectors.base.connector import Connector\nclass A(Connector):\n    connector_type = 'a'\n",
            "lacks connect, disconnect, run_loop, send_message",
        ),
        ("def broken(:\n", "SyntaxError"),
        ("1 / 0\n", r"ZeroDivisionError: division by zero \(bad.py:1\)"),
        ("import sys; sys.exit(3)\n", "SystemExit: 3"),
        ("from connectors.base.connector import NoSuchThing\n", "NoSuchThing"),
        ("import connectors.no_such_module\n", "no_such_module"),
    ],
)
def test_a_module_that_is_no_connector_is_a_config_error_that_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_class("./bad.py", tmp_path)
    assert caught.value.exit_code == Exit.CONFIG
    assert caught.value.hint
    assert "bad.py" in str(caught.value)


def test_a_module_that_imports_from_itself_is_broken_and_not_missing(tmp_path: Path) -> None:
    write(tmp_path / "circular.py", imports="from circular import Nothing")
    with pytest.raises(ConfigError, match="cannot load circular"):
        load_class("circular:Mine", tmp_path)


def test_a_file_that_was_corrected_loads_in_the_same_process(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("1 / 0\n")
    with pytest.raises(ConfigError):
        load_class("./mine.py", tmp_path)
    write(path)
    assert load_class("./mine.py", tmp_path).connector_type == "mine"


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("clii", "cli"), ("CLI", "cli"), ("myplatfrom", "myplatform"), ("connectors.clii.connector", "cli")],
)
def test_an_unknown_type_says_what_was_meant(tmp_path: Path, kind: str, meant: str) -> None:
    write(tmp_path / "connectors" / "myplatform" / "connector.py", kind="myplatform")
    with pytest.raises(ConfigError, match=f'no connector type "{kind}".*did you mean "{meant}"') as caught:
        load_class(kind, tmp_path)
    assert "myplatform" in caught.value.hint
    assert not isinstance(caught.value, MissingDependency)


@pytest.mark.parametrize("kind", ["no.such.module", "./no-such.py", "../nowhere/x.py", "..", "a b", "", ":", "base"])
def test_what_cannot_be_a_type_is_a_config_error(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError):
        load_class(kind, tmp_path)


def test_a_package_that_a_connector_imports_and_that_is_missing_is_named_with_its_install_command(
    tmp_path: Path,
) -> None:
    for missing, package in (("no_such_sdk", "no_such_sdk"), ("nio.client", "matrix-nio")):
        write(tmp_path / "mine.py", imports=f"import {missing}")
        with pytest.raises(MissingDependency, match=package) as caught:
            load_class("./mine.py", tmp_path)
        assert caught.value.install == f"pip install {package}"
        assert caught.value.exit_code == Exit.DEPENDENCY


def test_a_package_that_is_too_old_says_so(tmp_path: Path) -> None:
    write(tmp_path / "mine.py", imports="from httpx import NoSuchName")
    with pytest.raises(MissingDependency, match="does not work with the installed httpx") as caught:
        load_class("./mine.py", tmp_path)
    assert caught.value.install == "pip install --upgrade httpx"


def test_a_builtin_with_an_extra_says_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    located = registry.Located("slack", "connectors.slack.connector", builtin=True)
    error = ModuleNotFoundError("No module named 'slack_sdk'", name="slack_sdk.web")
    explained = loading._explain(error, located, Path())
    assert isinstance(explained, MissingDependency)
    expected = "pip install 'mailbox-connectors[slack]'" if "slack" in loading._extras() else "pip install slack-sdk"
    assert explained.install == expected


def test_neither_listing_nor_locating_types_imports_any_connector(tmp_path: Path) -> None:
    write(tmp_path / "connectors" / "loud" / "connector.py", imports="raise SystemExit('imported')")
    program = (
        "import sys; from pathlib import Path; from connectors.base import registry\n"
        f"home = Path({str(tmp_path)!r})\n"
        "print(len(registry.known_types(home)), registry.locate('loud', home), registry.locate('cli', home))\n"
        "assert not [name for name in sys.modules if name.endswith('.connector') or name == 'pydantic']\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(connectors.__path__[0]).parent)


def test_what_is_loaded_is_a_connector(tmp_path: Path) -> None:
    assert issubclass(load_class("cli", tmp_path), Connector)
