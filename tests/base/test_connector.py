"""What the base does around a connector: settings, folders, locks, the state it tells of, and its ends."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.base import locks
from connectors.base.connector import Connector
from connectors.base.errors import AuthError, ConfigError, Exit, MissingDependency, Rejected, RetryLater
from connectors.base.home import Home
from connectors.base.message import ConnectorInfo, Content, Conversation, Message, OutgoingMessage, Receipt, Sender
from connectors.base.options import Options, option
from connectors.base.overview import overview
from connectors.base.running import CONNECT_AGAIN
from connectors.base.runtime import Settings, modes_for
from connectors.base.secrets import Secret
from connectors.base.settings import Limits
from connectors.base.status import StatusFile
from connectors.base.watch import Watch
from tests.folders import refusing
from tests.helpers import wait_for


class Scripted(Connector):
    """Does what its attributes say."""

    connector_type = "scripted"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent: list[OutgoingMessage] = []
        self.calls: list[str] = []
        self.on_connect: Exception | None = None
        self.on_run: Exception | None = None
        self.on_disconnect: Exception | None = None

    def connect(self) -> None:
        self.calls.append("connect")
        if self.on_connect:
            raise self.on_connect

    def disconnect(self) -> None:
        self.calls.append("disconnect")
        if self.on_disconnect:
            raise self.on_disconnect

    def send_message(self, msg: OutgoingMessage) -> Receipt:
        self.sent.append(msg)
        return Receipt(ids=["1"])

    def run_loop(self) -> None:
        self.calls.append("run_loop")
        if self.on_run:
            raise self.on_run
        self.wait()


def make(home: Path, name: str = "a", cls: type[Scripted] = Scripted, **config: Any) -> Scripted:
    connector = cls(name, home, config)
    if not (home / "connectors.yml").exists():
        connector._settings = Settings(limits=Limits(min_free_bytes=0), lock_wait_s=0.0)
    return connector


class Running:
    """`run()` in a thread; `code` is what the process would exit with."""

    def __init__(self, connector: Scripted) -> None:
        self.connector = connector
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.connector.run()
            self.code = 0
        except SystemExit as error:
            self.code = int(str(error.code))

    def end(self) -> int | None:
        self.connector.stop()
        self.thread.join(15)
        return self.code


def status(connector: Connector) -> dict[str, Any]:
    return StatusFile(Home(connector.seed_home), connector.name).read()


def event(event_id: str, **content: Any) -> Message:
    return Message(
        id=event_id,
        connector=ConnectorInfo(type="scripted", instance="a"),
        sender=Sender(id="U"),
        content=Content(text="t", **content),
        conversation=Conversation(id="C"),
    )


# ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("edit it"), Exit.CONFIG),
        (MissingDependency("no sdk", install="pip install sdk"), Exit.DEPENDENCY),
        (ImportError("no module named sdk"), Exit.DEPENDENCY),
        (AuthError("revoked"), Exit.AUTH),
        (ValueError("a bug"), Exit.CRASH),
    ],
)
@pytest.mark.parametrize("where", ["on_connect", "on_run"])
def test_the_class_of_an_error_is_the_exit_code_and_the_state_tells_of_it(
    home: Path, error: Exception, code: Exit, where: str
) -> None:
    connector = make(home)
    setattr(connector, where, error)
    with pytest.raises(SystemExit) as excinfo:
        connector.run()
    assert excinfo.value.code == code
    found = status(connector)
    assert (found["state"], found["exit_code"], found["pid"]) == ("failed", code, None)
    assert str(error) in found["last_error"]["text"]
    assert connector.calls[-1] == "disconnect"


def test_a_platform_that_goes_away_out_of_run_loop_is_a_crash(home: Path) -> None:
    """run_loop reconnects by itself; what it does not catch, the manager does."""
    connector = make(home)
    connector.on_run = RetryLater("down")
    assert connector._run() == Exit.CRASH


# ── a platform that is down at the start ──────────────────────────────────────────────────────────────────────


class Down(Scripted):
    """Its platform is there from the `up`th try on."""

    up = 3
    after_s: float | None = 0.1
    on_attempt: Callable[[], None] | None = None

    def connect(self) -> None:
        super().connect()
        if self.on_attempt is not None:
            self.on_attempt()
        if self.calls.count("connect") < self.up:
            raise RetryLater("nobody answers", after_s=self.after_s, hint="look at the network")


def down(home: Path, *, up: int = 1_000_000, after_s: float = 0.01) -> Down:
    connector = make(home, cls=Down)
    assert isinstance(connector, Down)
    connector.up, connector.after_s = up, after_s
    return connector


def test_a_platform_that_is_down_at_the_start_is_waited_for(home: Path) -> None:
    connector = down(home, up=3)
    running = Running(connector)
    wait_for(lambda: "run_loop" in connector.calls)
    assert connector.calls == ["connect", "disconnect", "connect", "disconnect", "connect", "run_loop"]
    assert status(connector)["note"] is None
    assert running.end() == 0


def test_while_it_waits_the_state_and_the_log_say_for_what_and_outgoings_queue(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    connector = down(home)
    (connector.outbox / "m.json").write_text('{"conversation_id": "C", "text": "hi"}')
    running = Running(connector)
    wait_for(lambda: connector.calls.count("connect") > 3)
    (shown,) = overview(Home(home)).instances
    assert (shown.state, shown.note, shown.backlog["outbox"]) == ("waiting", "nobody answers: look at the network", 1)
    assert shown.problem is not None
    found = status(connector)
    assert (found["state"], found["note"]) == ("waiting", "nobody answers: look at the network")
    assert (found["last_error"]["text"], found["last_error"]["hint"]) == ("nobody answers", "look at the network")
    assert len([record for record in caplog.records if "nobody answers" in record.getMessage()]) == 1
    assert connector.sent == []
    connector.up = 0
    wait_for(lambda: connector.sent)
    assert running.end() == 0


def test_a_platform_that_stays_down_is_a_stall_that_the_operator_is_told_of_once(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connector = down(home)
    connector.send_stall_s = 0.05  # type: ignore[misc]  # of this object alone
    running = Running(connector)
    wait_for(lambda: (status(connector).get("last_error") or {}).get("class") == "stall")
    calls = connector.calls.count("connect")
    wait_for(lambda: connector.calls.count("connect") > calls + 3)
    assert running.end() == 0
    assert len([record for record in caplog.records if "not connected for more than" in record.getMessage()]) == 1


def test_a_file_that_came_in_waits_while_its_folder_refuses(home: Path) -> None:
    connector = make(home)
    folder = connector._home.attachments
    folder.mkdir(parents=True)
    saved: list[dict[str, Any]] = []
    with refusing(folder):
        thread = threading.Thread(target=lambda: saved.append(connector.save_incoming([b"abc"], "a.txt")), daemon=True)
        thread.start()
        wait_for(lambda: status(connector).get("state") == "backpressure")
        assert "attachments" in str(status(connector)["note"])
        assert saved == []
        with pytest.raises(PermissionError):
            connector.save_incoming([b"abc"], "a.txt", wait=False)
    wait_for(lambda: saved)
    assert (home / saved[0]["path"]).read_bytes() == b"abc"
    connector.close()


def test_a_stop_while_it_waits_is_noticed_at_once_and_is_a_clean_end(home: Path) -> None:
    connector = down(home, after_s=1_000_000)
    running = Running(connector)
    wait_for(lambda: status(connector).get("state") == "waiting")
    assert running.end() == 0
    assert (status(connector)["state"], connector.calls) == ("stopped", ["connect", "disconnect", "disconnect"])
    assert status(connector)["note"] is None


def test_an_end_while_it_waits_has_its_code(home: Path) -> None:
    connector = down(home)

    def third() -> None:
        if connector.calls.count("connect") == 3:
            raise AuthError("revoked meanwhile")

    connector.on_attempt = third
    assert connector._run() == Exit.AUTH


def test_a_failing_disconnect_between_two_tries_does_not_end_it(home: Path) -> None:
    connector = down(home, up=3)
    connector.on_disconnect = RuntimeError("cannot close")
    running = Running(connector)
    wait_for(lambda: status(connector).get("state") == "connected")
    assert running.end() == 0


def test_the_wait_grows_to_30_seconds_where_the_platform_gives_none() -> None:
    assert [CONNECT_AGAIN.ceiling_s(failures) for failures in (1, 2, 3, 6, 50)] == [1, 2, 4, 30, 30]


def test_what_connect_itself_reports_is_what_is_shown(home: Path) -> None:
    connector = down(home, up=1)
    connector.on_attempt = lambda: connector.report_state("connected", "privacy mode is on")
    running = Running(connector)
    wait_for(lambda: status(connector).get("note") == "privacy mode is on")
    assert running.end() == 0


def test_a_disconnect_that_fails_hides_nothing(home: Path) -> None:
    connector = make(home)
    connector.on_run, connector.on_disconnect = AuthError("revoked"), RuntimeError("cannot close")
    with pytest.raises(SystemExit) as excinfo:
        connector.run()
    assert excinfo.value.code == Exit.AUTH
    assert "revoked" in status(connector)["last_error"]["text"]
    again = make(home)  # and the lock is free
    running = Running(again)
    wait_for(lambda: status(again).get("state") == "connected")
    assert running.end() == 0


def test_a_stop_is_a_clean_end_and_the_state_says_so(home: Path) -> None:
    connector = make(home)
    running = Running(connector)
    wait_for(lambda: status(connector).get("state") == "connected")
    assert status(connector)["pid"] == os.getpid()
    assert running.end() == 0
    assert (status(connector)["state"], status(connector)["pid"]) == ("stopped", None)


def test_it_delivers_while_run_loop_blocks_and_counts(home: Path) -> None:
    connector = make(home)
    running = Running(connector)
    wait_for(lambda: status(connector).get("state") == "connected")
    (connector.outbox / "m.json").write_text('{"conversation_id": "C", "text": "hi"}')
    (connector.outbox / "bad.json").write_text("[]")
    wait_for(lambda: len(connector.sent) == 1 and (connector.failed / "bad.json").exists())
    connector.write_to_inbox(event("e1"))
    connector.write_to_inbox(event("e1"))
    assert running.end() == 0
    found = status(connector)
    assert found["counters"] == {"sent": 1, "failed": 1, "received": 1, "duplicates": 1}
    assert found["backlog"] == {"outbox": 0, "sending": 0}
    assert found["last_sent"]
    assert found["last_received"]
    assert "a JSON object is needed" in found["last_error"]["text"]


def test_what_was_dropped_before_a_clean_end_of_run_loop_is_still_sent(home: Path) -> None:
    class Short(Scripted):
        def run_loop(self) -> None:
            (self.outbox / "m.json").write_text('{"conversation_id": "C", "text": "last words"}')

    connector = make(home, cls=Short)
    connector.run()
    assert [m.text for m in connector.sent] == ["last words"]
    assert status(connector)["state"] == "exited"


# ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────

YML = """
group: GROUP
limits: {min_free_bytes: 0, message_max_bytes: 1000}
connectors:
  - name: a
    type: cli
    delivery: {quiet_s: 0.05}
"""


def test_run_by_itself_it_takes_its_entry_in_connectors_yml(home: Path) -> None:
    (home / "connectors.yml").write_text(YML.replace("group: GROUP", ""))
    connector = make(home)
    running = Running(connector)
    (connector.outbox / "large.json").write_text(json.dumps({"conversation_id": "C", "text": "x" * 2000}))
    (connector.outbox / "half.json").write_text('{"half')
    wait_for(lambda: len(list(connector.failed.glob("*.reason.json"))) == 2)
    assert running.end() == 0
    assert "at most 1000" in (connector.failed / "large.json.reason.json").read_text()
    assert "0.05 s" in (connector.failed / "half.json.reason.json").read_text()


def test_a_group_may_use_every_folder_of_messages_and_none_of_the_state(home: Path) -> None:
    """Also where the constructor made the folders before connectors.yml was read."""
    (home / "connectors.yml").write_text(YML.replace("GROUP", str(os.getgid())))
    connector = make(home)
    running = Running(connector)
    wait_for(lambda: status(connector).get("state") == "connected")
    path = connector.write_to_inbox(event("e1"))
    assert running.end() == 0
    there = Home(home)
    own = [there.outbox("a").parent, there.outbox("a"), there.sent("a")]
    for folder in (there.messages, there.inbox, there.failed, there.claimed, there.attachments, *own):
        assert folder.stat().st_mode & 0o7777 == 0o2770, folder
    assert path.stat().st_mode & 0o777 == 0o660
    assert there.state.stat().st_mode & 0o777 == there.logs.stat().st_mode & 0o777 == 0o700


def test_a_group_that_nobody_knows_is_the_operators_error() -> None:
    with pytest.raises(ConfigError, match="no group 'nobody-knows-it'"):
        modes_for("nobody-knows-it")


def test_a_folder_of_a_newer_format_is_refused(home: Path) -> None:
    (home / "state").mkdir()
    (home / "state" / "format").write_text("999\n")
    with pytest.raises(SystemExit) as excinfo:
        make(home).run()
    assert excinfo.value.code == Exit.CONFIG


def test_a_file_where_a_folder_is_needed_is_the_operators_error(home: Path) -> None:
    (home / "messages").mkdir()
    (home / "messages" / "inbox").write_text("")
    with pytest.raises(ConfigError, match="needed as a folder and is a file"):
        make(home)


# ── locks ─────────────────────────────────────────────────────────────────────────────────────────────────────


class WithToken(Scripted):
    class Options(Options):
        token: Secret = option(description="The bot's token.", exclusive=True)


def test_an_exclusive_credential_is_locked_while_it_runs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "machine"
    machine.mkdir()
    monkeypatch.setattr(locks, "_machine_folder", lambda: machine)
    connector = make(home, cls=WithToken, token="xoxb-canary-1")
    running = Running(connector)
    wait_for(lambda: status(connector).get("state") == "connected")
    (note,) = machine.glob("*.holder")
    assert json.loads(note.read_text())["pid"] == os.getpid()
    assert len(connector._credentials) == 1
    assert running.end() == 0
    assert connector._credentials == []


# ── held events ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_whose_files_were_not_fetched_before_a_crash_is_published_with_placeholders(home: Path) -> None:
    """Of a connector that does not ask for what is held."""
    fetched = {"name": "a", "path": "messages/attachments/x"}
    hold(home, event("e1", attachments=[{"name": "b.png", "url": "https://x"}, fetched]))
    again = make(home)
    running = Running(again)
    wait_for(lambda: list(again.inbox.iterdir()))
    assert running.end() == 0
    (found,) = (Message.from_file(path) for path in again.inbox.iterdir())
    first, second = found.content.attachments
    assert first["error"]
    assert first["name"] == "b.png"
    assert second == fetched


WITHOUT_FILE = {"name": "b.png", "ref": {"file": "F1"}}


def hold(home: Path, *messages: Message, limit_s: float = 60) -> None:
    """As an earlier process would have left them."""
    connector = make(home)
    for message in messages:
        connector.hold(message, limit_s)
    connector.close()


def in_inbox(home: Path) -> list[str]:
    return [Message.from_file(path).id for path in sorted((home / "messages/inbox").iterdir())]


class Asking(Scripted):
    """Goes on with what is held."""

    def connect(self) -> None:
        self.found = self.held()
        super().connect()


def test_who_asks_for_held_events_in_connect_has_them_in_order_with_their_time(home: Path) -> None:
    hold(home, event("e1", attachments=[WITHOUT_FILE]), event("e2"), limit_s=50)
    connector = make(home, cls=Asking)
    assert isinstance(connector, Asking)
    running = Running(connector)
    wait_for(lambda: status(connector).get("state") == "connected")
    assert [held.message.id for held in connector.found] == ["e1", "e2"]
    assert all(0 < held.left_s <= held.limit_s == 50 for held in connector.found)
    assert in_inbox(home) == []
    for held in connector.found:
        connector.release(held.message)
    assert in_inbox(home) == ["e1", "e2"]
    assert running.end() == 0


@pytest.mark.parametrize("error", [AuthError("revoked"), ConfigError("edit it")])
def test_where_no_next_start_comes_by_itself_nothing_stays_held(home: Path, error: Exception) -> None:
    hold(home, event("e1", attachments=[WITHOUT_FILE]))
    connector = make(home, cls=Asking)
    connector.on_connect = error
    with pytest.raises(SystemExit):
        connector.run()
    assert in_inbox(home) == ["e1"]


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_where_a_next_start_comes_held_events_wait_for_it(home: Path, end: str) -> None:
    hold(home, event("e1", attachments=[WITHOUT_FILE]), event("text behind it"))
    connector = make(home, cls=Asking)
    connector.on_run = ValueError("a bug") if end == "crash" else None
    running = Running(connector)
    wait_for(lambda: "run_loop" in connector.calls)
    assert running.end() == (1 if end == "crash" else 0)
    assert in_inbox(home) == []


def test_while_the_platform_is_down_held_events_keep_their_time_limit_and_order(home: Path) -> None:
    elsewhere = {"conversation": Conversation(id="another")}
    in_time = [event("in time", attachments=[WITHOUT_FILE]), event("text behind that")]
    hold(home, event("late", attachments=[WITHOUT_FILE]), event("text behind it"), limit_s=0.3)
    hold(home, *[message.model_copy(update=elsewhere) for message in in_time], limit_s=1_000)
    connector = down(home, after_s=1_000_000)
    running = Running(connector)
    wait_for(lambda: in_inbox(home) == ["late", "text behind it"])
    path = min(connector.inbox.iterdir())
    assert Message.from_file(path).content.attachments[0]["error"] == "not fetched within 0.3 s"
    assert running.end() == 0
    assert in_inbox(home) == ["late", "text behind it"]


# ── the outbox by hand ────────────────────────────────────────────────────────────────────────────────────────


def test_process_outbox_never_raises_and_a_fault_of_the_disk_ends_the_process(home: Path) -> None:
    connector = make(home)
    connector.process_outbox()
    connector.outbox.rmdir()
    connector.outbox.write_text("a file where the folder was")
    assert connector.process_outbox() == 0
    assert isinstance(connector._fatal, OSError)
    assert not connector._running
    connector.close()


def test_the_names_of_two_instances_that_differ_only_in_case_do_not_meet(home: Path) -> None:
    one, two = make(home, "bot"), make(home, "Bot")
    one.write_to_inbox(event("e1"))
    two.write_to_inbox(event("e1"))
    assert len(list(one.inbox.iterdir())) == 2
    one.close()
    two.close()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".x", "x" * 65, "ü", "a b", "a\n"])
def test_a_name_that_is_no_folders_name_is_refused(home: Path, name: str) -> None:
    with pytest.raises((ConfigError, SystemExit)):
        make(home, name).run()
    assert {p.name for p in home.parent.iterdir()} == {home.name}


@pytest.mark.parametrize(
    ("error", "shows_where"),
    [
        (AuthError("revoked", hint="renew it"), False),
        (Rejected("no such room"), False),
        (ConnectionError("refused"), True),
        (KeyError("bug"), True),
    ],
)
def test_only_an_error_that_nobody_foresaw_is_logged_with_its_place(
    error: Exception, shows_where: bool, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(home)
    connector.on_connect = error

    assert connector._run() == (Exit.AUTH if isinstance(error, AuthError) else Exit.CRASH)

    (said,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert ("Traceback" in caplog.text) is shows_where
    assert str(error) in said.getMessage()
    assert getattr(error, "hint", "") in said.getMessage()


def test_an_outbox_folder_that_is_moved_away_is_made_anew_and_watched(home: Path) -> None:
    """Without a hint the new one would be looked at every 15 s only."""
    woken = threading.Event()
    folder = home / "outbox"
    folder.mkdir()
    watch = Watch([folder], woken.set)
    watch.start()
    try:
        folder.rename(home / "elsewhere")
        assert woken.wait(10)
        folder.mkdir()
        watch.renew()
        woken.clear()
        (folder / "a.json").write_text("{}")
        assert woken.wait(10)
    finally:
        watch.stop()
