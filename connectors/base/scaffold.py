"""The beginning of a connector of one's own: a folder in connectors/, and a test that fails until it is finished."""

from __future__ import annotations

import keyword
import os
import re
from pathlib import Path

from connectors.base.errors import ConfigError
from connectors.base.files import write_new
from connectors.base.home import Home
from connectors.base.registry import known_types
from connectors.base.starting import package_text

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def scaffold(home: Home, type_name: str) -> list[Path]:
    """Make the files of a type in this home; returns them. ConfigError when the name is none or is taken."""
    folder_name = type_name.replace("-", "_")
    if not _NAME.fullmatch(type_name) or keyword.iskeyword(folder_name) or folder_name.endswith("_"):
        raise ConfigError(
            f'"{type_name}" cannot be a type of connector', hint="use a-z, 0-9 and _ or -, and begin with a letter"
        )
    if folder_name.replace("_", "-") in known_types(home.root):
        raise ConfigError(f"there is a type {type_name} already", hint="connectors types lists them")
    folder = home.root / "connectors" / folder_name
    words = {
        "__TYPE__": folder_name.replace("_", "-"),
        "__FOLDER__": folder_name,
        "__CLASS__": "".join(part.capitalize() for part in folder_name.split("_")),
        "__VARIABLE__": folder_name.upper(),
    }
    plan = {
        folder / "__init__.py": "",
        folder / "connector.py": package_text("connector.py.txt"),
        folder / "README.md": package_text("connector-README.md.txt"),
        home.root / "tests" / f"test_{folder_name}.py": package_text("test_connector.py.txt"),
    }
    for path in plan:
        if os.path.lexists(path):
            raise ConfigError(f"{path} is there already", hint="choose another name, or move it away")
    for path, text in plan.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        for word, value in words.items():
            text = text.replace(word, value)
        write_new(path, text.encode(), 0o644)
    return list(plan)
