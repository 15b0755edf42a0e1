"""Files of events: durable first, fetched next, published last; and nothing waits for a server that hangs."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.base import steps
from connectors.base.errors import Rejected, RetryLater
from connectors.parts.downloads import Downloads
from connectors.parts.pool import MAX_STALLED
from connectors.testing.platform import FakePlatform
from connectors.testing.process import RunningConnector
from tests.faults.test_full_disk import _mounted
from tests.helpers import wait_for
from tests.parts.filing import FileServer, FilingConnector, event

Begin = Callable[..., Downloads]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as made:
        yield made


@pytest.fixture
def begin(home: Path, server: FileServer) -> Iterator[Begin]:
    """Downloads of a connector with these options."""
    made: list[FilingConnector] = []

    def begin(folder: Path = home, **options: Any) -> Downloads:
        config = {"url": "http://127.0.0.1:1", "files": server.url, **options}
        connector = FilingConnector("files", folder, config)
        made.append(connector)
        return connector.begin()

    yield begin
    server.release()
    for connector in made:
        connector.disconnect()
        connector.close()


def inbox(home: Path) -> dict[str, dict[str, Any]]:
    """The published events by their text, in the order of the names of their files."""
    found = [json.loads(path.read_text()) for path in sorted((home / "messages/inbox").glob("*.json"))]
    return {message["content"]["text"]: message for message in found}


def staged(home: Path) -> list[Path]:
    return list((home / "messages/.staging/files").glob("*.json"))


def published(home: Path, text: str) -> list[dict[str, Any]]:
    """The attachments of an event, once it is published."""
    found = wait_for(lambda: inbox(home).get(text), what=f"{text} is published")
    assert found is not None
    attachments: list[dict[str, Any]] = found["content"]["attachments"]
    return attachments


@pytest.fixture
def download_threads() -> Callable[[], int]:
    """How many there are now; those of earlier tests may be about to end."""
    before = set(threading.enumerate())
    return lambda: sum(thread.name == "download" for thread in set(threading.enumerate()) - before)


# ── the event and its files ───────────────────────────────────────────────────────────────────────────────────────


def test_an_event_is_durable_when_it_is_accepted_and_published_when_its_files_are_there(
    begin: Begin, home: Path, server: FileServer
) -> None:
    server.files["hang-a.bin"] = bytes(range(256)) * 40
    begin().accept(event("one", ["hang-a.bin", "b.txt"], media_type="image/png"))
    assert len(staged(home)) == 1
    wait_for(lambda: server.asked["b.txt"])
    assert not inbox(home)
    server.release()
    a, b = published(home, "one")
    assert (home / a["path"]).read_bytes() == server.files["hang-a.bin"]
    assert a["sha256"] == hashlib.sha256(server.files["hang-a.bin"]).hexdigest()
    assert (a["size"], a["media_type"], a["ref"]) == (10_240, "image/png", {"file": "hang-a.bin"})
    assert (home / b["path"]).read_bytes() == b"b.txt"
    assert not staged(home)


def test_an_event_that_comes_again_is_fetched_and_published_once(begin: Begin, home: Path, server: FileServer) -> None:
    downloads = begin()
    downloads.accept(event("one", ["hang-a"]))
    downloads.accept(event("one", ["hang-a"]))
    server.release()
    published(home, "one")
    downloads.accept(event("one", ["hang-a"]))
    downloads.accept(event("two", ["b"]))
    published(home, "two")
    assert list(inbox(home)) == ["one", "two"]
    assert server.asked["hang-a"] == 1


def test_events_of_a_conversation_are_published_in_their_order_and_others_do_not_wait(
    begin: Begin, home: Path, server: FileServer
) -> None:
    downloads = begin()
    downloads.accept(event("first", ["hang-a"], "C1"))
    downloads.accept(event("second", [], "C1"))
    downloads.accept(event("third", ["c"], "C1"))
    downloads.accept(event("elsewhere", [], "C2"))
    downloads.accept(event("elsewhere with a file", ["d"], "C3"))
    assert "elsewhere" in inbox(home)
    published(home, "elsewhere with a file")
    wait_for(lambda: server.asked["c"])
    assert not {"first", "second", "third"} & inbox(home).keys()
    server.release()
    published(home, "third")
    assert [text for text in inbox(home) if "else" not in text] == ["first", "second", "third"]
    downloads.accept(event("fourth", [], "C1"))
    published(home, "fourth")  # nothing is held any more that it would have to wait for


def test_fifty_events_at_once_are_all_published_with_their_files_by_two_threads(
    begin: Begin, home: Path, download_threads: Callable[[], int]
) -> None:
    downloads = begin()
    most = 0
    for number in range(50):
        downloads.accept(event(f"{number:02}", [f"{number}-a", f"{number}-b"], f"C{number % 3}"))
        most = max(most, download_threads())
    for number in range(50):
        assert all(entry.get("path") for entry in published(home, f"{number:02}"))
    assert most <= 2
    assert list(inbox(home)) == [f"{number:02}" for number in range(50)]


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────


def test_more_hung_downloads_than_threads_delay_no_other_and_end_at_the_time_limit(
    begin: Begin, home: Path, server: FileServer, download_threads: Callable[[], int]
) -> None:
    downloads = begin(limit_s=4)
    downloads.accept(event("stuck", [f"hang-{n}" for n in range(5)] + ["good"], "C1"))
    downloads.accept(event("well", ["fine"], "C2"))
    assert published(home, "well")[0]["path"]
    *hung, good = published(home, "stuck")
    stuck, well = sorted((home / "messages/inbox").iterdir())
    assert well.stat().st_ctime_ns < stuck.stat().st_ctime_ns, "published while the others hung"
    assert {entry["error"] for entry in hung} == {"not fetched within 4 s"}
    assert good["path"]
    server.release()
    wait_for(lambda: download_threads() <= 2)


def test_however_many_downloads_hang_there_are_never_more_threads_than_the_bound(
    begin: Begin, home: Path, server: FileServer, download_threads: Callable[[], int]
) -> None:
    downloads = begin(limit_s=2)
    for number in range(20):
        downloads.accept(event(f"{number}", [f"hang-{number}"], f"C{number}"))
    for number in range(20):
        assert "not fetched within 2 s" in published(home, f"{number}")[0]["error"]
        assert download_threads() <= 2 + MAX_STALLED
    server.release()
    wait_for(lambda: download_threads() <= 2)
    downloads.accept(event("after", ["a"]))
    assert published(home, "after")[0]["path"]


def test_a_file_that_is_announced_as_too_large_is_not_asked_for(begin: Begin, home: Path, server: FileServer) -> None:
    begin(max_bytes=1000).accept(event("one", ["a"], size=1001))
    assert published(home, "one")[0]["error"] == "too large: it has 1001 bytes, and 1000 is the limit"
    assert not server.asked


@pytest.mark.parametrize("announced", [None, 10, -1, "many"])
def test_a_file_that_turns_out_to_be_too_large_is_cut_off(
    begin: Begin, home: Path, server: FileServer, announced: object
) -> None:
    server.files["a"] = bytes(1001)
    begin(max_bytes=1000).accept(event("one", ["a"], size=announced))
    (entry,) = published(home, "one")
    assert entry["error"] == "too large: it has more than 1000 bytes, which is the limit"
    assert "path" not in entry
    assert not [path for path in (home / "messages/attachments").rglob("*") if path.is_file()]


def test_a_file_that_cannot_be_had_for_now_is_tried_again_within_the_limit(
    begin: Begin, home: Path, server: FileServer
) -> None:
    begin().accept(event("one", ["later-a"]))
    wait_for(lambda: server.asked["later-a"] >= 3)
    server.busy = False
    assert published(home, "one")[0]["path"]


def test_at_the_limit_the_placeholder_says_what_was_in_the_way(begin: Begin, home: Path) -> None:
    begin(limit_s=0.3).accept(event("one", ["later-a"]))
    assert "503 from the file server" in published(home, "one")[0]["error"]


def test_what_is_no_file_becomes_a_placeholder_with_the_platforms_reason(begin: Begin, home: Path) -> None:
    begin().accept(event("one", ["html-a", "b"]))
    page, b = published(home, "one")
    assert "files:read is missing" in page["error"]
    assert b["path"]


def test_a_reason_never_holds_a_signed_address(
    begin: Begin, home: Path, server: FileServer, caplog: pytest.LogCaptureFixture
) -> None:
    begin().accept(event("one", ["gone-a"]))
    assert published(home, "one")[0]["error"] == "404 from http://127.0.0.1"
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\x00b\nc\x1b[2J.txt", "..", "", "x" * 5000])
def test_a_name_is_never_a_path_nor_steers_a_terminal(begin: Begin, home: Path, server: FileServer, name: str) -> None:
    message = event("one", ["a", "gone-b"], "C1")
    message = message.model_copy(
        update={
            "content": message.content.model_copy(
                update={"attachments": [{**entry, "name": name} for entry in message.content.attachments]}
            )
        }
    )
    begin().accept(message)
    there, missing = published(home, "one")
    assert there["path"] == f"messages/attachments/{there['sha256'][:2]}/{there['sha256']}"
    assert there["name"] == missing["name"]
    assert there["name"].isprintable()
    assert "/" not in there["name"]
    assert 0 < len(there["name"]) <= 200


def test_above_the_bound_the_oldest_event_is_published_without_its_files(
    begin: Begin, home: Path, server: FileServer
) -> None:
    downloads = begin(max_held=2)
    for number in range(3):
        downloads.accept(event(f"{number}", [f"hang-{number}"], f"C{number}"))
    assert published(home, "0")[0]["error"] == "not fetched: more than 2 events wait for their files"
    assert list(inbox(home)) == ["0"]
    assert len(staged(home)) == 2


def test_a_bug_in_the_platforms_code_costs_one_file(begin: Begin, home: Path) -> None:
    downloads = begin()
    broken = event("one", ["a", "b"])
    del broken.content.attachments[0]["ref"]["file"]
    broken.content.attachments[0]["ref"]["other"] = 1
    downloads.accept(broken)
    first, second = published(home, "one")
    assert first["error"].startswith("fetching it failed: KeyError")
    assert second["path"]


def test_a_full_disk_is_waited_for_and_then_said(begin: Begin, server: FileServer, tmp_path: Path) -> None:
    with _mounted(tmp_path / "small", "size=3m,mode=700"):
        home = tmp_path / "small"
        (home / "connectors.yml").write_text("limits: {min_free_bytes: 0}\nconnectors: []\n")
        server.files["a"] = bytes(4_000_000)
        downloads = begin(home, limit_s=1.5, max_bytes=10_000_000)
        downloads.accept(event("one", ["a", "b"]))
        large, small = published(home, "one")
        assert "the disk is full" in large["error"]
        assert small["path"]
        server.files["a"] = b"smaller"
        downloads.accept(event("two", ["a"]))
        assert published(home, "two")[0]["path"]
        downloads.close()


# ── stop and death ────────────────────────────────────────────────────────────────────────────────────────────────


def running(home: Path, platform: FakePlatform, server: FileServer, **how: Any) -> RunningConnector:
    options = {"url": platform.url, "files": server.url, **how.pop("options", {})}
    return RunningConnector(FilingConnector, home, "files", options, **how)


def leftovers(home: Path) -> list[Path]:
    """What lies in staging, and files that no event names: torn ones."""
    named = {entry.get("path") for found in inbox(home).values() for entry in found["content"]["attachments"]}
    files = [path for path in (home / "messages/attachments").rglob("*") if path.is_file()]
    torn = [path for path in files if path.relative_to(home).as_posix() not in named]
    return torn + list((home / "messages/.staging/files").iterdir())


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_after_an_end_while_files_are_fetched_the_next_start_goes_on(home: Path, server: FileServer, end: str) -> None:
    with FakePlatform() as platform:
        platform.post("hang-a hang-b b", id="with files")
        platform.post("", id="behind it")
        platform.post("later-c", id="elsewhere", conversation="C2")
        with running(home, platform, server) as first:
            first.connected()
            wait_for(lambda: not platform.waiting and server.asked["hang-a"] and server.asked["later-c"])
            if end == "stop":
                first.terminate()
                assert first.wait() == 0
            else:
                first.kill()
        assert not inbox(home)
        assert len(staged(home)) == 3
        server.release()
        server.busy = False
        with running(home, platform, server) as second:
            second.connected()
            wait_for(lambda: len(inbox(home)) == 3)
            assert list(inbox(home)) == ["with files", "behind it", "elsewhere"]
            for text in ("with files", "elsewhere"):
                for entry in published(home, text):
                    assert (home / entry["path"]).read_bytes() == entry["ref"]["file"].encode()
            wait_for(lambda: not leftovers(home))
        assert platform.redeliveries.total() == 3


@pytest.mark.parametrize(
    ("step", "nth"),
    [
        (step, nth)
        for step in steps.INTAKE
        for nth in range(1, 5 if step in ("intake.staged", "intake.recorded") else 3)
    ],
)
def test_killed_at_every_step_no_event_is_lost_or_comes_twice(
    home: Path, server: FileServer, step: str, nth: int
) -> None:
    """Both are held, which is two steps each, and then published, which is four each."""
    with FakePlatform() as platform:
        platform.post("later-a", id="with a file")
        platform.post("", id="behind it")
        with running(home, platform, server, kill_at=(step, nth)) as killed:
            wait_for(lambda: killed.process.poll() is not None or not platform.waiting)
            server.busy = False
            assert killed.wait() == -9
        server.busy = False
        with running(home, platform, server) as again:
            again.connected()
            wait_for(lambda: len(inbox(home)) == 2 and not platform.waiting)
            wait_for(lambda: not staged(home))
            with_file, behind = arrived(home)
            assert ("with a file" in with_file.read_text(), "behind it" in behind.read_text()) == (True, True)
            # The kernel's clock for this has ticks of some ms.
            assert with_file.stat().st_ctime_ns <= behind.stat().st_ctime_ns, "published in this order"
            assert published(home, "with a file")[0]["path"]


def test_several_deaths_while_a_file_comes_leave_one_event_and_no_torn_file(home: Path, server: FileServer) -> None:
    server.files["hang-a"] = bytes(50_000)
    with FakePlatform() as platform:
        platform.post("hang-a", id="one")
        for number in range(1, 4):
            with running(home, platform, server) as killed:
                wait_for(lambda number=number: server.asked["hang-a"] >= number and torn_bytes(home))  # type: ignore[misc]
                killed.kill()
        server.release()
        with running(home, platform, server) as again:
            again.connected()
            assert (home / published(home, "one")[0]["path"]).read_bytes() == bytes(50_000)
            wait_for(lambda: not leftovers(home))
        assert len(arrived(home)) == 1


def torn_bytes(home: Path) -> bool:
    """Whether half a file is on the disk."""
    return any(path.stat().st_size for path in (home / "messages/.staging/files").glob(".*.tmp"))


def arrived(home: Path) -> list[Path]:
    return sorted((home / "messages/inbox").glob("*.json"))


def test_the_time_in_which_nothing_ran_counts(home: Path, server: FileServer) -> None:
    with FakePlatform() as platform:
        platform.post("hang-a", id="long ago")
        with running(home, platform, server) as killed:
            wait_for(lambda: not platform.waiting and server.asked["hang-a"])
            killed.kill()
        (path,) = staged(home)
        os.utime(path, (0, time.time() - 31))
        with running(home, platform, server) as again:
            again.connected()
            assert published(home, "long ago")[0]["error"] == "not fetched within 30 s"
            server.release()
            (home / "messages/outbox/files/f.json").write_text(
                json.dumps({"action": "fetch", "target_id": "filing:long ago"})
            )
            wait_for(lambda: "path" in published(home, "long ago")[0])


def test_of_the_time_limit_an_event_has_what_is_left(begin: Begin, home: Path) -> None:
    first = begin(limit_s=30)
    first.accept(event("one", ["hang-a"]))
    first.close()
    (path,) = staged(home)
    os.utime(path, (0, time.time() - 29.5))
    begin(limit_s=30)
    assert published(home, "one")[0]["error"].startswith("not fetched within 30 s")


def test_a_clock_that_was_set_back_makes_no_event_wait_for_ever(begin: Begin, home: Path) -> None:
    """The limit counts anew, once: in a loop of crashes it ends as well."""
    first = begin(limit_s=1)
    first.accept(event("one", ["hang-a"]))
    first.close()
    (path,) = staged(home)
    os.utime(path, (0, time.time() + 1_000_000))
    second = begin(limit_s=1)
    second.close()
    assert path.stat().st_mtime < time.time() + 1
    begin(limit_s=1)
    assert published(home, "one")[0]["error"].startswith("not fetched within 1 s")


def test_a_start_after_a_close_goes_on_in_the_same_process(begin: Begin, home: Path, server: FileServer) -> None:
    downloads = begin()
    downloads.accept(event("one", ["hang-a"]))
    wait_for(lambda: server.asked["hang-a"])
    downloads.close()
    server.release()
    downloads.start()
    assert published(home, "one")[0]["path"]


def test_a_close_publishes_what_is_complete_and_holds_the_rest(begin: Begin, home: Path, server: FileServer) -> None:
    downloads = begin()
    downloads.accept(event("stuck", ["hang-a"], "C1"))
    downloads.accept(event("whole", ["a"], "C2"))
    wait_for(lambda: server.asked["a"] and server.asked["hang-a"])
    downloads.close()
    downloads.close()
    assert [path for path in staged(home) if "stuck" in path.read_text()]
    assert "stuck" not in inbox(home)


# ── fetching again ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_not_fetched_can_be_fetched_again_and_comes_into_the_inbox_again(
    begin: Begin, home: Path, server: FileServer
) -> None:
    downloads = begin(limit_s=0.3)
    downloads.accept(event("one", ["later-a", "b", "gone-c"]))
    assert [("path" in entry) for entry in published(home, "one")] == [False, True, False]
    for path in (home / "messages/inbox").iterdir():
        path.unlink()
    server.busy = False
    receipt = downloads.fetch_again("filing:one")
    gone = {"name": "gone-c", "error": "404 from http://127.0.0.1"}
    assert receipt.metadata == {"fetched": 1, "failed": [gone]}
    a, b, c = published(home, "one")
    assert "error" not in a
    assert (home / a["path"]).read_bytes() == b"later-a"
    assert b["path"]
    assert c["error"] == gone["error"]
    assert server.asked["b"] == 1, "what is there is not fetched again"


def refusal(downloads: Downloads, event_id: str) -> str:
    with pytest.raises(RetryLater) as found:
        downloads.fetch_again(event_id)
    return str(found.value)


def test_fetching_again_says_what_is_wrong(begin: Begin, home: Path, server: FileServer) -> None:
    downloads = begin(limit_s=0.3)
    with pytest.raises(Rejected, match="no kept event has the id 'filing:none'"):
        downloads.fetch_again("filing:none")
    with pytest.raises(Rejected, match="target_id"):
        downloads.fetch_again("")
    downloads.accept(event("text", []))
    with pytest.raises(Rejected, match="no file that is missing"):
        downloads.fetch_again("filing:text")
    downloads.accept(event("gone", ["gone-a"]))
    published(home, "gone")
    with pytest.raises(Rejected, match="gone-a: 404 from http://127.0.0.1$"):
        downloads.fetch_again("filing:gone")
    downloads.accept(event("later", ["later-a"]))
    published(home, "later")
    with pytest.raises(RetryLater, match="503"):
        downloads.fetch_again("filing:later")
    downloads.accept(event("hung", ["hang-a"]))
    with pytest.raises(RetryLater, match="are being fetched"):
        downloads.fetch_again("filing:hung")
    published(home, "hung")
    wait_for(lambda: "hang-a: not fetched within 0.3 s" in refusal(downloads, "filing:hung"))
