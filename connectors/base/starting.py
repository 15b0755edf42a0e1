"""What a new home begins with. Nothing that is there is ever overwritten."""

from __future__ import annotations

import os
from importlib.resources import files as package_files
from pathlib import Path

from connectors.base.files import write_new
from connectors.base.home import Home

_CONFIG = """\
# Which connectors run. One entry per connector; `connectors types` lists what can stand after `type:`,
# `connectors add TYPE` writes an entry, `connectors validate` checks this file. A running manager picks up
# every saved change. Secrets belong into .env: write ${NAME} here.
connectors:
  - name: cli
    type: cli
"""
_ENV = """\
# Secrets for connectors.yml, one NAME=value a line; keep this file to yourself. `connectors env` lists
# what is needed.
"""
_IGNORED = (".env", "/state/", "/logs/", "/messages/*", "!/messages/README.md")


def begin(home: Home) -> list[tuple[Path, bool]]:
    """Make connectors.yml, .env, .gitignore and messages/README.md. Returns each with whether it was made or, for
    .gitignore, got lines."""
    home.make(home.root)
    readme = home.messages / "README.md"
    done = [
        (home.config_file, _write(home.config_file, _CONFIG, 0o644)),
        (home.env_file, _write(home.env_file, _ENV, 0o600)),
        (home.root / ".gitignore", _ignore(home.root / ".gitignore")),
    ]
    home.make_common()
    done.append((readme, _write(readme, package_text("messages-README.md"), home.modes.file)))
    return done


def package_text(name: str) -> str:
    """A template of this package."""
    return (package_files("connectors.base.templates") / name).read_text(encoding="utf-8")


def _write(path: Path, text: str, mode: int) -> bool:
    if os.path.lexists(path):
        return False
    write_new(path, text.encode(), mode)
    return True


def _ignore(path: Path) -> bool:
    """Add what is missing. A home that is no git repository gets the file too: it may become one."""
    try:
        had = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        had = ""
    lines = had.splitlines()
    missing = [line for line in _IGNORED if line not in lines and line.strip("/") not in [h.strip("/") for h in lines]]
    if not missing:
        return False
    gap = "" if not had or had.endswith("\n") else "\n"
    path.write_text(f"{had}{gap}{chr(10).join(missing)}\n", encoding="utf-8")
    return True
