"""Files that are there whole or not at all, and are never overwritten."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import files
from connectors.base.errors import BadMessage
from connectors.base.files import (
    fit_name,
    move,
    publish,
    publish_here,
    read_json,
    read_regular,
    replace_private,
    safe_name,
    write_new,
)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    staging, folder = tmp_path / "staging", tmp_path / "folder"
    staging.mkdir()
    folder.mkdir()
    return staging, folder


def test_publish_puts_the_whole_file_there_and_leaves_nothing_staged(folders: tuple[Path, Path]) -> None:
    staging, folder = folders
    path = publish(b"data", staging, folder, "a.json", "key")
    assert path == folder / "a.json"
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(staging) == []


def test_a_taken_name_gets_the_key_and_nothing_is_overwritten(folders: tuple[Path, Path]) -> None:
    staging, folder = folders
    first = publish(b"1", staging, folder, "a.json", "k1")
    second = publish(b"2", staging, folder, "a.json", "k2")
    assert (first.read_bytes(), second.read_bytes(), second.name) == (b"1", b"2", "a~k2.json")
    with pytest.raises(FileExistsError):
        publish(b"3", staging, folder, "a.json", "k2")
    with pytest.raises(FileExistsError):
        publish(b"3", staging, folder, "a.json", "k3", exact=True)
    assert sorted(os.listdir(folder)) == ["a.json", "a~k2.json"]
    assert os.listdir(staging) == []


def test_a_dangling_link_is_a_taken_name(folders: tuple[Path, Path]) -> None:
    staging, folder = folders
    (folder / "a.json").symlink_to("nowhere")
    assert publish(b"1", staging, folder, "a.json", "k1").name == "a~k1.json"


@pytest.mark.parametrize("flags", [True, False], ids=["renameat2", "without flags, as on NFS"])
def test_of_many_who_move_to_one_name_each_keeps_its_file(
    folders: tuple[Path, Path], flags: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not flags:
        monkeypatch.setattr(files, "_rename", None)
    staging, folder = folders
    start = threading.Barrier(8)

    def worker(number: int) -> None:
        start.wait()
        for turn in range(20):
            if flags or number == 0:  # a check and a rename are not one step: there nobody races
                publish(f"{number}-{turn}".encode(), staging, folder, f"{turn}.json", f"k{number}")

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(os.listdir(folder)) == (160 if flags else 20)
    assert len({p.read_bytes() for p in folder.iterdir()}) == len(os.listdir(folder))


def test_without_flags_a_taken_name_is_not_overwritten_either(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_rename", None)
    staging, folder = folders
    publish(b"1", staging, folder, "a.json", "k1")
    assert publish(b"2", staging, folder, "a.json", "k2").name == "a~k2.json"


def test_move_of_what_somebody_else_took_says_so(folders: tuple[Path, Path]) -> None:
    staging, folder = folders
    with pytest.raises(FileNotFoundError):
        move(staging / "gone", folder, "a.json", "key")


def test_write_new_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_new(tmp_path / "a", "no bytes")  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []
    write_new(tmp_path / "a", b"1")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_a_groups_file_has_its_mode_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_new(tmp_path / "a", b"1", 0o660, os.getgid())
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o660


def test_replace_private_replaces_as_a_whole_and_publish_here_uses_a_hidden_name(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    for text in (b"1", b"22"):
        replace_private(path, text, durable=True)
        assert path.read_bytes() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert publish_here(tmp_path, "x.json", b"x").read_bytes() == b"x"
    assert sorted(os.listdir(tmp_path)) == ["status.json", "x.json"]


def test_read_regular_reads_regular_files_only(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5)[0] == b"12345"
    with pytest.raises(BadMessage, match="5 bytes; at most 4"):
        read_regular(tmp_path / "a", 4)
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(BadMessage, match="symbolic link"):
        read_regular(tmp_path / "link", 5)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BadMessage, match="not a regular file"):
        read_regular(tmp_path / "fifo", 5)
    with pytest.raises(BadMessage, match="not a regular file"):
        read_regular(tmp_path, 5)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "nothing", 5)


@given(st.text())
def test_a_safe_name_is_one_name_that_every_file_system_takes(text: str) -> None:
    name = safe_name(text)
    assert 1 <= len(name.encode()) <= 200
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert all(ord(c) >= 32 and ord(c) != 127 for c in name)


@given(st.binary(min_size=1, max_size=250).filter(lambda b: b"/" not in b and b"\0" not in b))
def test_a_fitted_name_leaves_room_for_the_key_and_the_reason(stem: bytes) -> None:
    name = os.fsdecode(stem + b".json")
    fitted = fit_name(name, "0123456789abcdef")
    assert len(os.fsencode(fitted)) + len("~0123456789abcdef") + len(".reason.json") <= 255
    assert fitted.endswith(".json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff"])
def test_read_json_of_what_is_none_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_json(tmp_path / "a") == {}
    assert read_json(tmp_path / "nothing") == {}
    (tmp_path / "a").write_text(json.dumps({"a": 1}))
    assert read_json(tmp_path / "a") == {"a": 1}


def test_a_file_of_ours_that_somebody_replaced_reads_as_empty(tmp_path: Path) -> None:
    """A FIFO would hang who opens it, a deep nesting would end the parser."""
    os.mkfifo(tmp_path / "fifo.json")
    (tmp_path / "deep.json").write_text("[" * 200_000)
    (tmp_path / "link.json").symlink_to("/etc/hostname")
    assert [read_json(tmp_path / f"{name}.json") for name in ("fifo", "deep", "link", "missing")] == [{}] * 4
