"""What waits for a connector: whole, in order, taken once, and set aside when it is nothing."""

import logging
import os
import time
from pathlib import Path

import pytest

from connectors.base.errors import ConfigError, RetryLater
from connectors.parts import spool
from connectors.parts.spool import Spool, Unreadable, mark_of

LOGGER = logging.getLogger("test.spool")


@pytest.fixture
def box(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def taken(box: Spool, **how: float) -> list[bytes]:
    found: list[bytes] = []
    box.take(found.append, LOGGER, max_bytes=1000, **how)
    return found


def test_what_was_put_is_taken_once_in_its_order_and_is_private(box: Spool) -> None:
    paths = [box.put(b"%d" % n) for n in range(12)]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert box.folder.stat().st_mode & 0o777 == 0o700
    assert taken(box) == [b"%d" % n for n in range(12)]
    assert taken(box) == []
    assert list(box.folder.iterdir()) == []


def test_nothing_was_put_and_nothing_is_taken(box: Spool) -> None:
    assert taken(box) == []


def test_what_is_young_is_left_to_who_posts_it(box: Spool) -> None:
    old, young = box.put(b"old"), box.put(b"young")
    long_ago = time.time() - 60
    os.utime(old, (long_ago, long_ago))
    assert taken(box, older_than_s=5) == [b"old"]
    assert young.exists()


def test_what_waits_under_another_name_can_be_adopted(box: Spool, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Spool(tmp_path / "other")
    box.put(b"own")
    box.adopt(other)
    other.put(b"told")
    box.adopt(other)
    assert sorted(taken(box)) == [b"own", b"told"]
    assert taken(other) == []


def test_what_cannot_be_written_now_stays(box: Spool) -> None:
    box.put(b"one")
    box.put(b"two")

    def full(body: bytes) -> None:
        raise RetryLater("the inbox is full")

    box.take(full, LOGGER, max_bytes=1000)
    assert taken(box) == [b"one", b"two"]


def test_a_bug_in_who_takes_loses_nothing_and_ends_nothing(box: Spool, caplog: pytest.LogCaptureFixture) -> None:
    box.put(b"one")

    def broken(body: bytes) -> None:
        raise KeyError("oops")

    box.take(broken, LOGGER, max_bytes=1000)
    assert "oops" in caplog.text
    assert taken(box) == [b"one"]


def test_what_is_nothing_is_set_aside_with_its_reason_and_delays_nobody(
    box: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    bad, huge, link = box.put(b"bad"), box.put(b"x" * 1001), box.folder / "0.json"
    link.symlink_to("/etc/passwd")
    box.put(b"good")

    def handle(body: bytes) -> None:
        if body == b"bad":
            raise Unreadable("session_id is missing")
        found.append(body)

    found: list[bytes] = []
    box.take(handle, LOGGER, max_bytes=1000)
    assert found == [b"good"]
    assert "session_id is missing" in caplog.text
    assert bad.with_name(bad.name + ".refused").read_bytes() == b"bad"
    assert len(list(box.folder.glob("*.refused"))) == 3
    assert not huge.exists()


def test_both_kinds_are_bounded(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_MAX_FILES", 3)
    monkeypatch.setattr(spool, "_MAX_REFUSED", 2)
    for n in range(3):
        box.put(b"%d" % n)
    with pytest.raises(ConfigError, match="3 wait"):
        box.put(b"one too many")

    def refuse(body: bytes) -> None:
        raise Unreadable("no")

    box.take(refuse, LOGGER, max_bytes=1000)
    assert [path.read_bytes() for path in sorted(box.folder.iterdir())] == [b"1", b"2"]


def test_the_same_bytes_have_the_same_mark() -> None:
    assert mark_of(b"a") == mark_of(b"a") != mark_of(b"b")
