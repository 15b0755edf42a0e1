"""Which files a program may hand over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connectors.base.home import Home
from connectors.command.files import Files

OWN = "state/prog/files"


def given(root: Path, *roots: str, cwd: str = ".") -> Files:
    """Of a home with secrets, mail, and files beside them."""
    texts = (".env", ".ENV.local", "connectors.yml", "state/prog/x", "state/other/x", "messages/x", "logs/x")
    for text in (*texts, "out/a.txt", "out/deep/a.txt", "outside.txt", f"{OWN}/a.txt"):
        path = root / text
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    (root / "out/link").symlink_to("a.txt")
    (root / "out/folder").symlink_to("deep")
    (root / "out/away").symlink_to(root)
    os.link(root / ".env", root / "out/hard")
    os.mkfifo(root / "out/pipe")
    return Files.of(Home(root), root / cwd, root / OWN, roots)


def read(files: Files, path: str | Path) -> bytes:
    with os.fdopen(files.open(str(path)), "rb") as file:
        return file.read()


def test_files_of_its_own_folder_and_of_those_that_are_named_may_be_handed_over(home: Path) -> None:
    for files, path in (
        (given(home / "a"), home / "a" / OWN / "a.txt"),
        (given(home / "b", "out"), "out/a.txt"),
        (given(home / "c", "out"), "outside/../out/deep/a.txt"),
        (given(home / "d", str(home / "d/out")), home / "d/out/a.txt"),
        (given(home / "e", "."), "outside.txt"),
        (given(home / "f", cwd="out"), "a.txt"),
        (given(home / "g", ".", cwd="out"), home / "g" / OWN / "a.txt"),
    ):
        assert read(files, path) == b"content"


@pytest.mark.parametrize(
    "path", ["outside.txt", ".env", "state/prog/x", "../x", "/etc/passwd", "out/../.env", "out", "."]
)
def test_what_lies_elsewhere_may_not(home: Path, path: str) -> None:
    with pytest.raises(OSError, match="attachment_roots"):
        given(home, "out").open(path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (".env", "for secrets"),
        (".ENV.local", "for secrets"),
        ("connectors.yml", "own"),
        ("state/prog/x", "own"),
        ("state/other/x", "own"),
        ("messages/x", "own"),
        ("logs/x", "own"),
        ("out/hard", "own"),
        ("out/link", "link"),
        ("out/folder/a.txt", "link"),
        ("out/away/outside.txt", "link"),
        ("out/pipe", "it is no file"),
        ("out/deep", "it is no file"),
        ("out/gone", "No such file"),
    ],
)
def test_secrets_mail_and_links_may_not_wherever_files_may_come_from(home: Path, path: str, why: str) -> None:
    with pytest.raises(OSError, match=why):
        given(home, ".").open(path)


@pytest.mark.parametrize("root", ["state", "messages", "state/other", "out/away/state"])
def test_the_mailbox_itself_is_no_folder_for_files(home: Path, root: str) -> None:
    with pytest.raises(OSError, match="own"):
        given(home, root).open(f"{root}/{'other/x' if root.endswith('state') else 'x'}")
