"""Files that messages carry: incoming names are data, outgoing paths are only trusted below the allowed folders."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base.attachments import TooLarge, copy_outgoing, save_incoming
from connectors.base.errors import Rejected
from connectors.base.home import Home, Modes
from connectors.base.message import OutgoingMessage
from connectors.base.settings import Limits
from tests.base.box import Box


def put(box: Box, name: str = "a.txt", data: bytes = b"content") -> str:
    (box.home.attachments / name).write_bytes(data)
    return f"messages/attachments/{name}"


def drop(box: Box, *paths: str, **fields: Any) -> None:
    attachments = [{"path": path} for path in paths]
    box.drop("m.json", {"conversation_id": "C", "text": "see", "attachments": attachments, **fields})


def seen(box: Box) -> list[bytes]:
    """What the connector could read while it sent."""
    found: list[bytes] = []

    def answer(message: OutgoingMessage) -> object:
        found.extend(Path(a.path).read_bytes() for a in message.attachments)
        return True

    box.answer = answer
    return found


def reason(box: Box) -> str:
    (found,) = box.dead().values()
    assert found["class"] == "rejected"
    assert found["hint"]
    return str(found["reason"])


# ── outgoing ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_below_attachments_is_sent_as_a_private_copy_that_is_gone_afterwards(home: Path) -> None:
    box = Box(home)
    found = seen(box)
    drop(box, put(box))
    box.deliver()
    assert found == [b"content"]
    (attachment,) = box.sent[0].attachments
    assert attachment.name == "a.txt"
    assert Path(attachment.path).parent == box.sending_folder
    assert box.waiting() == []


def test_a_relative_an_absolute_and_a_deep_path_are_the_same(home: Path) -> None:
    box = Box(home)
    found = seen(box)
    (box.home.attachments / "ab" / "cd").mkdir(parents=True)
    put(box, "ab/cd/e.txt", b"deep")
    drop(box, "messages/attachments/ab/cd/e.txt", str(box.home.attachments / "ab/cd/e.txt"),
         "messages/attachments/ab/../ab/./cd//e.txt")  # fmt: skip
    box.deliver()
    assert found == [b"deep"] * 3


def test_a_configured_root_is_allowed_and_may_itself_be_a_link(home: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "a.txt").write_bytes(b"shared")
    (tmp_path / "link").symlink_to(real)
    box = Box(home, limits=Limits(min_free_bytes=0, attachment_roots=(str(tmp_path / "link"),)))
    found = seen(box)
    drop(box, str(tmp_path / "link" / "a.txt"))
    box.deliver()
    assert found == [b"shared"]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../secret", "messages/attachments/../../secret", "messages/inbox/x.json", "state/x/store.db",
     "messages/attachments", "messages/attachments/", ".", "/", "messages/attachments-other/x", "connectors.yml",
     ".env"],
)  # fmt: skip
def test_a_path_outside_of_the_allowed_folders_is_refused(home: Path, path: str) -> None:
    box = Box(home)
    (home / "secret").write_text("secret")
    (home / ".env").write_text("TOKEN=secret")
    drop(box, path)
    box.deliver()
    assert box.sent == []
    assert "outside the allowed folders" in reason(box)


@pytest.mark.parametrize("name", ["\0", "a\0b", "x" * 300, "x/" * 3000 + "x"])
def test_a_name_that_no_file_can_have_is_refused_and_crashes_nothing(home: Path, name: str) -> None:
    box = Box(home)
    drop(box, f"messages/attachments/{name}")
    box.drop("n.json", {"conversation_id": "D", "text": "next"})
    box.deliver()
    assert box.texts() == ["next"]
    assert reason(box)


def test_a_missing_file_is_refused_and_the_hint_says_in_which_order_to_write(home: Path) -> None:
    box = Box(home)
    drop(box, "messages/attachments/nothing.txt")
    box.deliver()
    assert "No such file" in reason(box)
    assert "before the outgoing" in next(iter(box.dead().values()))["hint"]


def test_no_link_is_followed(home: Path) -> None:
    for number, prepare in enumerate((_link_to_file, _link_to_folder, _link_inside)):
        box = Box(home / str(number))
        drop(box, prepare(box))
        box.deliver()
        assert box.sent == []
        assert "symbolic link" in reason(box)


def _link_to_file(box: Box) -> str:
    (box.home.attachments / "link").symlink_to("/etc/passwd")
    return "messages/attachments/link"


def _link_to_folder(box: Box) -> str:
    (box.home.attachments / "folder").symlink_to("/etc")
    return "messages/attachments/folder/passwd"


def _link_inside(box: Box) -> str:
    """Even one that stays inside: tomorrow it may not."""
    put(box)
    (box.home.attachments / "link").symlink_to("a.txt")
    return "messages/attachments/link"


def test_a_fifo_a_folder_a_socket_and_a_device_are_refused_without_waiting(home: Path) -> None:
    for name in ("fifo", "folder", "socket"):
        box = Box(home / name)
        path = box.home.attachments / "x"
        if name == "fifo":
            os.mkfifo(path)
        elif name == "folder":
            path.mkdir()
        else:
            with socket.socket(socket.AF_UNIX) as server:
                where = os.open(path.parent, os.O_RDONLY)
                server.bind(f"/proc/self/fd/{where}/x")
                os.close(where)
        drop(box, "messages/attachments/x")
        box.deliver()
        assert box.sent == []
        assert reason(box)


def test_a_file_that_is_too_large_is_refused_with_the_figures(home: Path) -> None:
    box = Box(home, limits=Limits(min_free_bytes=0, attachment_max_bytes=10))
    found = seen(box)
    drop(box, put(box, data=b"x" * 11))
    box.deliver()
    assert "11 bytes" in reason(box)
    assert "attachment_max_bytes" in next(iter(box.dead().values()))["hint"]
    drop(box, put(box, "fits.txt", b"x" * 10))
    box.deliver()
    assert found == [b"x" * 10]


def test_a_file_that_grows_while_it_is_copied_is_refused(home: Path) -> None:
    """/proc's files have a size of 0 and content all the same: as a file that grows has."""
    box = Box(home, limits=Limits(min_free_bytes=0, attachment_max_bytes=10, attachment_roots=("/proc/self",)))
    drop(box, "/proc/self/status")
    box.deliver()
    assert box.sent == []
    assert "more than 10" in reason(box)
    assert box.waiting() == []


def test_a_file_that_cannot_be_read_now_is_tried_again_and_ends_nothing(home: Path) -> None:
    """A network folder that is gone for a while answers with EIO or ESTALE."""
    box = Box(home, limits=Limits(min_free_bytes=0, attachment_roots=("/proc/self",)))
    drop(box, "/proc/self/mem")
    box.drop("n.json", {"conversation_id": "D", "text": "next"})
    box.deliver()
    assert box.texts() == ["next"]
    (row,) = box.store.under_way()
    assert "cannot be read" in row.error
    for _ in range(8):
        box.clocks.tick(301)
        box.deliver()
    (found,) = box.dead().values()
    assert found["class"] == "exhausted"


def test_what_is_sent_is_what_lay_there_at_the_first_attempt(home: Path) -> None:
    box = Box(home, answer=lambda message: False)
    drop(box, put(box, data=b"first"))
    box.deliver()
    put(box, data=b"second")
    found = seen(box)
    box.clocks.tick(2)
    box.deliver()
    assert found == [b"first"]
    assert box.waiting() == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [("../../x", "_.._x"), ("a/b\\c", "a_b_c"), ("\x1b[2J\n", "_[2J_"), (".hidden", "hidden"), ("ü" * 300, "ü" * 100),
     ("..", "file")],
)  # fmt: skip
def test_the_name_that_the_platform_sees_is_no_path(home: Path, given: str, shown: str) -> None:
    box = Box(home)
    path = put(box)
    box.drop("m.json", {"conversation_id": "C", "text": "", "attachments": [{"path": path, "name": given}]})
    box.deliver()
    assert box.sent[0].attachments[0].name == shown.lstrip(".")


def test_the_copies_of_a_dead_letter_and_of_a_cancelled_outgoing_go_too(home: Path) -> None:
    box = Box(home, answer=lambda message: _refuse())
    drop(box, put(box), put(box, "b.txt"))
    box.deliver()
    assert box.waiting() == []
    box.answer = lambda message: False
    drop(box, put(box))
    box.deliver()
    (row,) = box.store.under_way()
    (box.sending_folder / f"{row.key}.json").unlink()
    box.clocks.tick(2)
    box.deliver()
    assert box.waiting() == []


def test_the_copies_of_what_ended_while_nothing_ran_go_at_the_next_start(home: Path) -> None:
    box = Box(home, answer=lambda message: False)
    drop(box, put(box))
    box.deliver()
    (row,) = box.store.under_way()
    (box.sending_folder / f"{row.key}.json").unlink()
    (box.sending_folder / "0123456789abcdef.file3.tmp").write_text("of a process that died")
    (box.sending_folder / "mine.file0").write_text("none of ours")
    box.reopen()
    assert box.waiting() == ["mine.file0"]


def _refuse() -> object:
    raise Rejected("no")


def test_the_files_go_with_the_last_part_of_a_long_text(home: Path) -> None:
    box = Box(home, split=lambda message: message.text.split("|"))
    box.drop("m.json", {"conversation_id": "C", "text": "a|b", "attachments": [{"path": put(box)}]})
    box.deliver()
    assert [len(message.attachments) for message in box.sent] == [0, 1]


def test_what_is_handed_over_to_a_connectors_own_code_is_checked_too(home: Path) -> None:
    box = Box(home)
    (home / ".env").write_text("TOKEN=secret")
    drop(box, ".env")
    assert box.delivery.hand_over() == []
    assert "outside the allowed folders" in reason(box)
    drop(box, put(box))
    (message,) = box.delivery.hand_over()
    assert Path(message.attachments[0].path).read_bytes() == b"content"


def test_a_message_without_attachments_costs_nothing(home: Path) -> None:
    box = Box(home)
    message = OutgoingMessage(conversation_id="C", text="x")
    assert copy_outgoing(box.home, box.limits, message, box.sending_folder, "key") is message


# ── incoming ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_comes_in_is_stored_by_its_content(home: Path) -> None:
    there = Home(home)
    entry = save_incoming(there, [b"con", b"tent"], "../../etc/passwd", 100)
    digest = hashlib.sha256(b"content").hexdigest()
    assert entry == {"path": f"messages/attachments/{digest[:2]}/{digest}", "name": "_.._etc_passwd", "size": 7,
                     "sha256": digest}  # fmt: skip
    assert (home / str(entry["path"])).read_bytes() == b"content"
    again = save_incoming(there, [b"content"], "b", 100)
    assert again["path"] == entry["path"]
    assert len([p for p in there.attachments.rglob("*") if p.is_file()]) == 1


def test_too_much_is_refused_while_it_comes_in_and_leaves_nothing_behind(home: Path) -> None:
    pulled = []

    def endless() -> Iterator[bytes]:
        while True:
            pulled.append(1)
            yield b"x" * 1000

    with pytest.raises(TooLarge):
        save_incoming(Home(home), endless(), "a", 5000)
    assert len(pulled) == 6
    assert [p for p in Home(home).attachments.rglob("*") if p.is_file()] == []


def test_a_download_that_breaks_leaves_nothing_behind(home: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError("cut")

    with pytest.raises(ConnectionResetError):
        save_incoming(Home(home), broken(), "a", 5000)
    assert [p for p in Home(home).attachments.rglob("*") if p.is_file()] == []


def test_what_comes_in_can_be_sent_out_again(home: Path) -> None:
    box = Box(home)
    found = seen(box)
    drop(box, str(save_incoming(box.home, [b"content"], "a", 100)["path"]))
    box.deliver()
    assert found == [b"content"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_incoming_files_are_private_or_the_groups(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private = save_incoming(Home(home), [b"a"], "a", 10)
        shared = save_incoming(Home(home / "g", Modes.for_group(os.getgid())), [b"a"], "a", 10)
    finally:
        os.umask(before)
    assert (home / str(private["path"])).stat().st_mode & 0o777 == 0o600
    assert (home / "g" / str(shared["path"])).stat().st_mode & 0o777 == 0o660
