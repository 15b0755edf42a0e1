"""Feeds: one connector that polls several things, each with a schedule, a checkpoint and errors of its own."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from connectors.base.errors import AuthError, Rejected, RetryLater
from connectors.base.options import option
from connectors.parts import feeds
from connectors.parts.feeds import Feed, FeedsConnector, FeedType
from connectors.parts.polling import Event, PollResult, Report
from connectors.parts.runs import Note
from connectors.testing.process import RunningConnector
from tests.commands.program import answer, connectors, done
from tests.helpers import wait_for
from tests.parts.sources import Seen

TYPE = f"{__name__}:BoardConnector"


class Notes(feeds.FeedOptions):
    """What a board has."""

    board: str = option(description="which one")


class Pins(feeds.FeedOptions):
    """What is pinned to all of them."""

    colour: str = option("red", description="of the pins")


class BoardOptions(feeds.FeedsOptions):
    """Where the platform is."""

    folder: str = option(description="has a file for each board")


class BoardConnector(FeedsConnector):
    """The platform is a folder: <board>.json is {"records": [[id, text] …], "do": …}; polls.jsonl is what was asked."""

    connector_type = "board"
    schedule = "1h"
    kinds = ("note",)
    Options = BoardOptions
    feeds: ClassVar[tuple[FeedType, ...]] = (
        FeedType("notes", Notes, description="what is on a board", schedule="2h"),
        FeedType("pins", Pins, kinds=("pin",), shared_ids=True),
    )

    def poll_feed(self, feed: Feed, checkpoint: Any) -> PollResult:
        folder = Path(cast(BoardOptions, self.options).folder)
        entry = {"feed": feed.name, "checkpoint": checkpoint, "thread": threading.get_ident(), "pid": os.getpid()}
        with (folder / "polls.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        board = json.loads((folder / f"{getattr(feed.options, 'board', feed.name)}.json").read_bytes())
        kind = {"notes": "note", "pins": "pin"}[feed.type]
        events = [Event(key, text, platform_event=kind, parent=board.get("parent")) for key, text in board["records"]]
        self._do(feed, str(board.get("do", "")), events, folder)
        return PollResult(events, (checkpoint or 0) + 1)

    def _do(self, feed: Feed, do: str, events: list[Event], folder: Path) -> None:
        raised: dict[str, Exception] = {
            "down": ConnectionError("HTTP 404"),
            "auth": AuthError("refused"),
            "limit": RetryLater("too many requests", after_s=3600),
        }
        if do in raised:
            raise raised[do]
        if do == "halfway":
            feed.emit(events, checkpoint=41)
            raise ConnectionError("cut off")
        if do == "wait":
            while not (folder / "go").exists() and not self.wait(0.02):
                pass


class Parallel(BoardConnector):
    """The same, two at once."""

    parallel = 2


class Second(BoardConnector):
    """With events of another shape."""

    version = "2"


class Short(BoardConnector):
    """`board:` on the entry itself is a feed, too."""

    class Options(BoardOptions):
        board: str | None = option(None, description="the only one")

    feeds = BoardConnector.feeds[:1]

    @classmethod
    def feeds_given(cls, given: Mapping[str, Any]) -> list[Any]:
        own = [{"name": "main", "board": given["board"]}] if given.get("board") else []
        return [*own, *super().feeds_given(given)]


class Boards(Seen):
    """A home with the platform of a BoardConnector."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "boards", home / "boards")

    def has(self, board: str, *records: tuple[str, str], **more: Any) -> None:
        part = self.folder / f"{board}.part"
        part.write_text(json.dumps({"records": records, **more}))
        part.rename(self.folder / f"{board}.json")

    def config(self, *given: dict[str, Any], **options: Any) -> dict[str, Any]:
        return {"folder": str(self.folder), "feeds": list(given), **options}

    def run(self, *given: dict[str, Any], cls: type[BoardConnector] = BoardConnector, **more: Any) -> RunningConnector:
        return RunningConnector(cls, self.home, "boards", self.config(*given), **more)

    def once(
        self, *given: dict[str, Any], feed: str | None = None, cls: type[BoardConnector] = BoardConnector
    ) -> Report:
        connector = cls("boards", self.home, self.config(*given))
        try:
            return connector.sync(feed)
        finally:
            connector.close()

    def write(self, text: str, kind: str = TYPE) -> None:
        entry = f"connectors:\n  - name: boards\n    type: {kind}\n    folder: {self.folder}\n"
        (self.home / "connectors.yml").write_text(entry + text)

    def feed(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.status.get("source", {}).get("feeds", {}).get(name, {})
        return found

    def kept(self, name: str) -> Any:
        connector = BoardConnector("boards", self.home, self.config())
        try:
            return connector.checkpoint(name)
        finally:
            connector.close()


A = {"name": "a", "feed": "notes", "board": "one"}
B = {"name": "b", "feed": "notes", "board": "two"}
PINS = {"name": "pins", "feed": "pins"}


@pytest.fixture
def boards(home: Path) -> Boards:
    found = Boards(home)
    found.has("one", ("1", "first"))
    found.has("two", ("1", "another first"), ("2", "second"))
    return found


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_feed_has_a_checkpoint_of_its_own_and_ids_that_meet_no_others(boards: Boards) -> None:
    """Weakness: two feeds of a connector whose items have the same id were one item."""
    assert boards.once(A, B).counts.new == 3
    assert sorted(event.id for event in boards.events) == ["board:boards:a/1", "board:boards:b/1", "board:boards:b/2"]
    assert {event.event.provenance["feed"] for event in boards.events if event.event} == {"a", "b"}
    boards.once(A, B, feed="b")
    assert (boards.kept("a"), boards.kept("b"), boards.kept("main")) == (1, 2, None)


def test_a_parent_is_one_of_the_same_feed(boards: Boards) -> None:
    boards.has("one", ("2", "an answer"), parent="1")
    boards.once(A)
    (event,) = boards.events
    assert event.event is not None
    assert event.event.parent == "a/1"
    assert event.conversation.id == "a/1"


def test_feeds_that_share_ids_tell_of_one_record_once(boards: Boards) -> None:
    for name in ("p", "q"):
        boards.has(name, ("7", "pinned"))
    pins = [{"name": name, "feed": "pins"} for name in ("p", "q")]
    report = boards.once(*pins)
    assert (report.counts.new, report.counts.unchanged) == (1, 1)
    assert [event.id for event in boards.events] == ["board:boards:7"]


def test_the_kinds_of_a_feed_are_its_types(boards: Boards) -> None:
    class Wrong(BoardConnector):
        feeds = (FeedType("notes", Notes, kinds=("pin",)),)

    with pytest.raises(ValueError, match="Invalid kind 'note'"):
        boards.once(A, cls=Wrong)


def test_the_schedule_is_the_feeds_else_the_entrys_else_the_types_else_the_classs(boards: Boards) -> None:
    boards.has("pins")
    own = {**B, "schedule": "5m"}
    with boards.run(A, own, PINS):
        wait_for(lambda: all(boards.feed(name).get("last_success") for name in ("a", "b", "pins")))
    assert [boards.feed(name)["schedule"] for name in ("a", "b", "pins")] == ["2h", "5m", "1h"]
    connector = BoardConnector("boards", boards.home, boards.config(A, own, schedule="10m"))
    assert [turn.plan.text for turn in connector._turns] == ["10m", "5m"]


def test_after_a_restart_each_feed_is_due_when_it_would_have_been(boards: Boards) -> None:
    boards.once(A)
    with boards.run(A, B) as running:
        running.connected()
        wait_for(lambda: boards.feed("b").get("last_success"))
    assert [poll["feed"] for poll in boards.polls] == ["a", "b"]


def test_a_feed_that_fails_is_told_by_name_and_keeps_no_other_from_its_runs(boards: Boards) -> None:
    """Weakness: one feed that cannot be fetched ended the run of all, or was a line on a console."""
    boards.has("one", do="down")
    with boards.run(A, B):
        wait_for(lambda: boards.status.get("state") == "failing" and boards.feed("b").get("last_success"))
        assert re.match(r"a: HTTP 404; \d+ in a row; the next run is at ", boards.status["note"])
        assert boards.status["last_error"]["text"] == "a: HTTP 404"
        assert boards.feed("a")["failures"] > 0 == boards.feed("b")["failures"]
        assert boards.feed("a")["error"] == "HTTP 404"
        boards.has("one", ("1", "first"))
        ask(boards, "again.json", {"feed": "a"})
        wait_for(lambda: boards.status.get("state") == "connected")
    assert len(boards.events) == 3


def test_a_feed_that_the_platform_holds_holds_no_other(boards: Boards) -> None:
    boards.has("one", do="limit")
    with boards.run(A, B):
        wait_for(lambda: boards.status.get("state") == "limited" and boards.feed("b").get("last_success"))
        boards.has("one")
        ask(boards, "held.json", {"feed": "a"})
        wait_for(lambda: "may be asked again in" in reason(boards, "held.json"))
        ask(boards, "free.json", {"feed": "b"})
        wait_for(lambda: receipt(boards, "free.json"))
    assert [poll["feed"] for poll in boards.polls] == ["a", "b", "b"]


def test_one_after_the_other_in_one_thread_unless_the_class_wants_more(boards: Boards) -> None:
    boards.has("one", do="wait")
    with boards.run(A, B):
        wait_for(lambda: boards.polls)
        ask(boards, "first.json")  # comes to b only when a has ended
        (boards.folder / "go").touch()
        wait_for(lambda: receipt(boards, "first.json"))
    assert len({poll["thread"] for poll in boards.polls}) == 1


def test_a_slow_feed_delays_no_other_where_several_run_at_once(boards: Boards) -> None:
    boards.has("one", do="wait")
    with boards.run(A, B, cls=Parallel):
        wait_for(lambda: boards.feed("b").get("last_success"))
        assert not boards.feed("a").get("last_success")
        ask(boards, "b.json", {"feed": "b"})
        wait_for(lambda: receipt(boards, "b.json"))
        (boards.folder / "go").touch()
        wait_for(lambda: boards.feed("a").get("last_success"))


def test_how_far_a_long_run_is_is_the_feeds_own(boards: Boards) -> None:
    boards.has("one", ("1", "first"), do="halfway")
    with pytest.raises(ConnectionError, match="cut off"):
        boards.once(A, B)
    assert (boards.kept("a"), boards.kept("b")) == (41, None)
    assert len(boards.events) == 1


def test_another_version_starts_every_feed_afresh(boards: Boards) -> None:
    boards.once(A, B)
    boards.once(A, cls=Second)
    assert [poll["checkpoint"] for poll in boards.polls] == [None, None, None]
    assert (boards.kept("a"), boards.kept("b")) == (1, 1)
    assert Note.read(boards.kept(".runs/a")).version == "2"


def test_what_a_person_must_mend_ends_the_process(boards: Boards) -> None:
    boards.has("one", do="auth")
    with boards.run(A, B) as running:
        assert running.wait() == 77


# ── who asks ──────────────────────────────────────────────────────────────────────────────────────────────────


def ask(boards: Boards, file: str, given: dict[str, Any] | None = None) -> None:
    body = {"action": "sync", **({"input": given} if given else {})}
    (boards.home / "messages/outbox/boards" / file).write_text(json.dumps(body))


def receipt(boards: Boards, file: str) -> dict[str, Any]:
    records = [json.loads(path.read_text()) for path in (boards.home / "messages/sent/boards").glob("*.json")]
    return next((record for record in records if record["file"] == file), {})


def reason(boards: Boards, file: str) -> str:
    records = [json.loads(path.read_text()) for path in (boards.home / "messages/failed").glob("*.reason.json")]
    return next((str(record["reason"]) for record in records if record["file"] == file), "")


def test_an_outbox_file_runs_all_feeds_or_one(boards: Boards) -> None:
    with boards.run(A, B):
        wait_for(lambda: len(boards.events) == 3)
        boards.has("two", ("1", "another first"), ("2", "changed"), ("3", "new"))
        ask(boards, "one.json", {"feed": "b"})
        wait_for(lambda: receipt(boards, "one.json"))
        ask(boards, "all.json")
        wait_for(lambda: receipt(boards, "all.json"))
        for file, given in (("bad.json", {"feed": "c"}), ("odd.json", {"fed": "a"})):
            ask(boards, file, given)
            wait_for(lambda file=file: reason(boards, file))  # type: ignore[misc]  # mypy cannot infer this lambda
    counts = receipt(boards, "one.json")["metadata"]
    assert (counts["new"], counts["revised"], counts["unchanged"]) == (1, 1, 1)
    assert receipt(boards, "all.json")["metadata"]["unchanged"] == 4
    assert reason(boards, "bad.json") == 'there is no feed "c"'
    assert reason(boards, "odd.json").startswith("the input of sync is nothing, or")


def test_of_several_that_were_asked_for_those_that_fail_are_named(boards: Boards) -> None:
    boards.has("one", do="down")
    with boards.run(A, B):
        wait_for(lambda: boards.feed("b").get("last_success"))
        ask(boards, "all.json")
        wait_for(lambda: reason(boards, "all.json"))
    assert reason(boards, "all.json") == "a: the run failed: HTTP 404"


def test_sync_and_checkpoint_know_one_feed(boards: Boards) -> None:
    boards.write("    feeds:\n" + "".join(f"      - {json.dumps(feed)}\n" for feed in (A, B)))
    with boards.run(A, B) as running:
        running.connected()
        wait_for(lambda: len(boards.events) == 3)
        assert done("sync", "boards/b", home=boards.home).startswith("boards/b: 0 new, 0 revised, 2 unchanged")
        assert done("sync", home=boards.home).startswith("boards: 0 new, 0 revised, 3 unchanged")
        wrong = connectors("sync", "boards/c", home=boards.home)
        assert (wrong.returncode, 'boards/c: there is no feed "c"' in wrong.stderr) == (1, True)
    assert [poll["feed"] for poll in boards.polls].count("b") == 3
    found = answer("checkpoint", "show", "boards/b", home=boards.home)
    assert (found["name"], found["value"], found["version"]) == ("b", 3, "1")
    done("checkpoint", "reset", "boards/b", home=boards.home)
    assert (boards.kept("a"), boards.kept("b")) == (2, None)
    all_of_it = connectors("checkpoint", "reset", "boards", home=boards.home)
    assert (all_of_it.returncode, "there are: a, b" in all_of_it.stderr) == (78, True)


def test_a_checkpoint_is_not_changed_while_its_feed_is_polled(boards: Boards) -> None:
    boards.has("one", do="wait")
    boards.once(B)
    with boards.run(A, cls=Parallel):
        wait_for(lambda: any(poll["feed"] == "a" for poll in boards.polls))
        boards_b = connectors("checkpoint", "set", "boards/b", "7", home=boards.home)
        (boards.folder / "go").touch()
        wait_for(lambda: boards.feed("a").get("last_success"))
        boards.has("one", do="wait")
        (boards.folder / "go").unlink()
        ask(boards, "again.json")
        wait_for(lambda: len(boards.polls) == 3)
        refused = connectors("checkpoint", "reset", "boards/a", home=boards.home)
        (boards.folder / "go").touch()
    assert (boards_b.returncode, refused.returncode) == (0, 75)
    assert "in flight" in refused.stderr


# ── what is configured ────────────────────────────────────────────────────────────────────────────────────────


def problems(boards: Boards, text: str, kind: str = TYPE) -> list[str]:
    boards.write(text, kind)
    return connectors("validate", home=boards.home).stdout.splitlines()


def test_validate_names_every_problem_of_every_feed_with_its_line(boards: Boards) -> None:
    text = """\
    feeds:
      - name: a
        feed: notes
        bord: one
      - name: A
        feed: notes
        board: two
        schedule: sometimes
      - feed: note
      - name: ../b
        feed: notes
        board: x
      - name: c
        board: x
      - just text
"""
    found = [line.removeprefix("connectors.yml:") for line in problems(boards, text)]
    assert [(int(line.split(":")[0]), line.split("boards: ")[1].split(":")[0]) for line in found] == [
        (6, "feed a"),
        (8, "feed a"),
        (9, "feed A"),
        (12, "feed A"),
        (13, "feed number 3"),
        (13, "feed number 3"),
        (14, "feed ../b"),
        (17, "feed c"),
        (19, 'option "feeds.5" must be a mapping'),
    ]
    assert found[1].endswith('unknown option "bord" (did you mean "board"?)')
    assert found[2].endswith("the name is used twice")
    assert 'has no type "note": write "feed: notes|pins" (did you mean "notes"?)' in found[4]
    assert found[7].endswith('has no type: add "feed: notes|pins"')


def test_no_feeds_are_an_error_and_a_short_form_is_the_connectors_own(boards: Boards) -> None:
    assert "there are no feeds" in "".join(problems(boards, ""))
    short = f"{__name__}:Short"
    assert problems(boards, "    board: one\n", short) == ["connectors.yml is valid: 1 of 1 connectors are enabled"]
    listed = "    board: one\n    feeds:\n      - name: b\n        bord: two\n"
    assert {line.split(":")[1] for line in problems(boards, listed, short)} == {"7", "8"}
    connector = Short("boards", boards.home, {"folder": str(boards.folder), "board": "one", "feeds": [B]})
    try:
        assert connector.sync().counts.new == 3
        assert (connector.checkpoint("main"), connector.checkpoint("b")) == (1, 1)
    finally:
        connector.close()


def test_a_feed_that_is_wrong_ends_the_process_before_anything_is_polled(boards: Boards) -> None:
    with boards.run(A, {"name": "b", "feed": "notes"}) as running:
        assert running.wait() == 78
    assert 'feed b: option "board" is missing' in boards.status["last_error"]["text"]
    assert not boards.polls


def test_a_feed_is_asked_for_by_its_name_only(boards: Boards) -> None:
    with pytest.raises(Rejected, match='there is no feed "aa"') as caught:
        boards.once(A, B, feed="aa")
    assert caught.value.hint == "there are: a, b"


def test_an_option_of_a_feed_cannot_be_every_feeds_variable() -> None:
    class Keyed(feeds.FeedOptions):
        key: str = option(description="logs in", env="BOARD_KEY")

    with pytest.raises(ValueError, match="key can have no variable"):
        FeedType("keyed", Keyed)
