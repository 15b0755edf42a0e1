"""Who may talk, and where may be written to."""

import logging
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base.connector import Connector
from connectors.base.errors import Rejected
from connectors.base.message import Sender
from connectors.base.options import read_options
from connectors.parts.access import Access, AccessOptions, Allow, Approach
from connectors.parts.loops import EVENTS, WINDOW_S, LoopCap
from connectors.testing import FakeConnector, FakePlatform
from connectors.testing.fake import FakeOptions, normalise
from tests.helpers import wait_for
from tests.parts.gates import NAME, Gate, direct, group


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# ── direct messages ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["allow", "pair"])
def test_without_any_option_nobody_gets_in(home: Path, mode: str) -> None:
    access = Gate(home, direct=mode).access

    assert not access.admit(direct()).ok
    assert not access.admit(group()).ok
    assert not access.admit(group(is_bot=True)).ok
    assert not access.admit(direct(is_bot=True)).ok


def test_a_listed_user_may_write_directly_and_nobody_else(home: Path) -> None:
    access = Gate(home, direct="allow", allow={"users": ["U1"]}).access

    verdict = access.admit(direct("U1"))
    assert (verdict.ok, verdict.trust, verdict.why, verdict.say) == (True, "allowed", "direct", None)
    refused = access.admit(direct("U2"))
    assert (refused.ok, refused.why, refused.say) == (False, "sender not allowed", None)


def test_a_user_is_known_by_id_never_by_name(home: Path) -> None:
    access = Gate(home, direct="allow", allow={"users": ["ada"]}).access

    assert not access.admit(direct("U2", sender_name="ada")).ok


def test_direct_open_lets_everybody_in_but_no_bot(home: Path) -> None:
    access = Gate(home, direct="open", allow={"users": ["U1"]}).access

    assert access.admit(direct("U1")).trust == "allowed"
    assert access.admit(direct("U2")).trust == "open"
    assert not access.admit(direct("B1", is_bot=True)).ok


@pytest.mark.parametrize("listed", [[""], [" "], ["*"]])
def test_who_has_no_id_is_in_no_list(home: Path, listed: list[str]) -> None:
    allow = {"users": listed, "bots": listed, "group_users": ["U1"], "conversations": ["C1"]}
    access = Gate(home, allow=allow).access

    verdict = access.admit(direct(""))
    assert (verdict.ok, verdict.say) == (False, None)
    assert not access.admit(direct("", is_bot=True)).ok
    assert not access.admit(group("", is_bot=True)).ok
    assert not access.admit(group("")).ok
    assert not access.admit(group("U1", "")).ok


# ── groups ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_an_allowed_group_what_addresses_the_account_comes_in(home: Path) -> None:
    access = Gate(home, allow={"conversations": ["C1"]}).access

    verdict = access.admit(group(why="reply"))
    assert (verdict.ok, verdict.trust, verdict.why) == (True, "open", "reply")
    assert access.admit(group()).why == "mention"
    assert access.admit(group(mentions_me=False)).why == "not addressed to this account"
    assert access.admit(group(conversation="C2")).why == "conversation not allowed"


def test_groups_all_and_groups_none(home: Path) -> None:
    assert Gate(home, groups="all", allow={"conversations": "*"}).access.admit(group(mentions_me=False)).why == "all"
    assert Gate(home, groups="none", allow={"conversations": "*"}).access.admit(group()).why == "groups are off"


def test_group_users_narrow_an_allowed_group(home: Path) -> None:
    access = Gate(home, allow={"conversations": ["C1"], "group_users": ["U1"], "users": ["U2"]}).access

    assert access.admit(group("U1")).trust == "allowed"
    assert access.admit(group("U2")).why == "sender not allowed in groups"


def test_a_thread_is_allowed_by_the_conversation_that_it_belongs_to(home: Path) -> None:
    access = Gate(home, allow={"conversations": ["C1"]}).access

    assert access.admit(group(conversation="T1", parent_id="C1")).ok
    assert not access.admit(group(conversation="T1", parent_id="C2")).ok


def test_ids_of_older_options_count_too(home: Path) -> None:
    access = Gate(home).open(users=["U1"], conversations=["C1"])

    assert access.admit(direct("U1")).ok
    assert access.admit(group("U2")).ok


@given(
    sender=st.sampled_from(["", "U1", "U2", "B1", "*"]),
    conversation=st.sampled_from(["", "C1", "C2", "D1"]),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    groups=st.sampled_from(["mention", "all", "none"]),
    mode=st.sampled_from(["open", "allow"]),
    allow=st.fixed_dictionaries(
        {
            "users": st.lists(st.sampled_from(["U1", "*", ""])),
            "conversations": st.lists(st.sampled_from(["C1", "*", ""])),
            "group_users": st.lists(st.sampled_from(["U1"])),
            "bots": st.lists(st.sampled_from(["B1", "*"])),
        }
    ),
)
def test_nothing_comes_in_that_no_rule_opens(
    tmp_path_factory: pytest.TempPathFactory,
    sender: str,
    conversation: str,
    flags: tuple[bool, bool, bool],
    groups: str,
    mode: str,
    allow: dict[str, list[str]],
) -> None:
    is_direct, mentions_me, is_bot = flags
    gate = Gate(tmp_path_factory.mktemp("home"), groups=groups, direct=mode, allow=allow)
    approach = Approach(sender, conversation, is_direct, mentions_me, is_bot)

    if gate.access.admit(approach).ok:
        rule = allow["users"] or mode == "open" or allow["bots"] if is_direct else allow["conversations"]
        assert rule
        assert not is_bot or {sender, "*"} & set(allow["bots"])
        assert is_direct or groups == "all" or (groups == "mention" and mentions_me)
        assert is_direct or {conversation, "*"} & set(allow["conversations"]) - {""}


# ── bots ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_listed_bot_obeys_the_rules_of_the_group(home: Path) -> None:
    access = Gate(home, allow={"conversations": ["C1"], "bots": ["B1"], "group_users": ["U1"]}).access

    assert access.admit(group("B1", is_bot=True)).trust == "allowed"
    assert access.admit(group("B2", is_bot=True)).why == "bot not allowed"
    assert not access.admit(group("B1", "C2", is_bot=True)).ok
    assert not access.admit(group("B1", is_bot=True, mentions_me=False)).ok


def test_all_bots_in_groups_are_no_bots_in_direct_chats(home: Path) -> None:
    access = Gate(home, allow={"bots": ["*", "B1"]}).access

    assert access.admit(direct("B1", is_bot=True)).ok
    verdict = access.admit(direct("B2", is_bot=True))
    assert (verdict.ok, verdict.say) == (False, None)


def test_of_one_bot_only_so_many_events_a_minute_come_in(home: Path) -> None:
    gate = Gate(home, groups="all", allow={"conversations": ["*"], "bots": ["*"]})
    admit, bot = gate.access.admit, group("B1", is_bot=True)

    assert all(admit(bot).ok for _ in range(EVENTS))
    assert admit(bot).why == "bot loop"
    assert admit(group("B2", is_bot=True)).ok, "another bot is not to blame"
    assert admit(group("B1", "C2", is_bot=True)).ok, "nor another conversation"
    assert admit(group("U1")).ok, "nor a person"
    gate.clocks.tick(WINDOW_S)
    assert admit(bot).ok
    (drop,) = gate.access.drops.entries()
    assert (drop.reason, drop.count) == ("bot loop", 1)


def test_the_window_slides_and_remembers_no_more_than_it_needs() -> None:
    now = 0.0
    cap = LoopCap(lambda: now)
    for now in range(EVENTS):  # noqa: B007 - the clock that the cap reads
        assert cap.take(("C", "B"))
    assert not cap.take(("C", "B"))
    now = WINDOW_S
    assert cap.take(("C", "B")), "the first one is a minute old"
    assert not cap.take(("C", "B"))
    for number in range(5000):
        cap.take(("C", str(number)))
    assert len(cap._times) <= 1000


# ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_list_of_destinations_everything_may_be_written_to(home: Path) -> None:
    Gate(home).access.check_send("anywhere")


def test_what_is_not_listed_is_rejected_with_the_key_to_edit(home: Path) -> None:
    access = Gate(home, allow={"send": ["C1"]}).access

    access.check_send("C1")
    for refused in ("C2", ""):
        with pytest.raises(Rejected) as error:
            access.check_send(refused)
    with pytest.raises(Rejected) as error:
        access.check_send("C2")
    assert error.value.hint == 'connectors.yml: fake-main: allow.send: add "C2"'
    Gate(home, allow={"send": "*"}).access.check_send("C2")
    with pytest.raises(Rejected):
        Gate(home, allow={"send": []}).access.check_send("C2")


# ── a conversation with a new id ──────────────────────────────────────────────────────────────────────────────


def test_a_moved_conversation_stays_allowed_over_restarts_and_the_key_to_edit_is_said(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"allow": {"conversations": ["-5"], "send": ["-5"]}}
    gate = Gate(home, **options)
    assert not gate.access.admit(group(conversation="-1005")).ok

    gate.access.moved("-5", "-1005")
    gate.access.moved("-1005", "-1006")

    for access in (gate.access, gate.again(**options).access):
        assert access.admit(group(conversation="-1006")).ok
        access.check_send("-1006")
        access.check_send("-5")
        assert access.current("-5") == "-1006"
    said = 'it is still allowed: connectors.yml: fake-main: {}: replace "-5" by "-1006"'
    for key in ("allow.conversations", "allow.send"):
        assert any(line.endswith(said.format(key)) for line in warnings(caplog))


def test_an_edited_list_is_not_warned_of(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate(home, allow={"conversations": ["-5"]})
    gate.access.moved("-5", "-1005")
    caplog.clear()

    access = gate.again(allow={"conversations": ["-1005"]}).access

    assert access.admit(group(conversation="-1005")).ok
    assert warnings(caplog) == []


def test_what_was_not_allowed_is_not_allowed_after_a_move_and_a_circle_ends(home: Path) -> None:
    access = Gate(home, allow={"conversations": ["C1"]}).access

    access.moved("C2", "C3")
    access.moved("C3", "C2")
    access.moved("C2", "C2")
    access.moved("", "C9")

    assert access.current("C2") in ("C2", "C3")
    assert not access.admit(group(conversation="C3")).ok
    assert not access.admit(group(conversation="C9")).ok


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"C1": 7, "": "C2", "C3": "C3"}', b"\xff" * 100])
def test_a_moves_file_that_is_wrong_moves_nothing(home: Path, content: bytes) -> None:
    gate = Gate(home, allow={"conversations": ["C1"]})
    (gate.state / "moved.json").write_bytes(content)

    access = gate.again(allow={"conversations": ["C1"]}).access

    assert access.admit(group()).ok
    assert access.current("C3") == "C3"
    access.moved("C1", "C8")
    assert access.admit(group(conversation="C8")).ok


# ── options ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_are_taken_as_people_write_them() -> None:
    given_ = {"allow": {"users": 12345, "conversations": "C1, C2", "bots": [7, "B8"], "send": "-100123"}}
    read, _, problems = read_options(AccessOptions, given_, {})

    assert problems == []
    allow = cast(AccessOptions, read).allow
    assert allow.users == ["12345"]
    assert (allow.conversations, allow.bots, allow.send) == (["C1", "C2"], ["7", "B8"], ["-100123"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"allow": {"user": ["U1"]}}, 'unknown option "allow.user"'),
        ({"groups": "some"}, 'option "groups" must be'),
        ({"allow": ["U1"]}, "allow"),
        ({"allow": {"users": [1.5]}}, "allow.users"),
        ({"allow": {"users": True}}, "allow.users"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(options: dict[str, Any], text: str) -> None:
    read, _, problems = read_options(AccessOptions, options, {})

    assert read is None
    assert text in problems[0].text


def test_a_misspelt_key_gets_a_suggestion() -> None:
    _, _, problems = read_options(AccessOptions, {"allow": {"user": ["U1"]}}, {})

    assert problems[0].suggestion == "users"


def test_every_option_is_in_the_documentation_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    defaults = {"allow." + name: field.default for name, field in Allow.model_fields.items()}
    defaults |= {name: field.default for name, field in AccessOptions.model_fields.items() if name != "allow"}

    for name, default in defaults.items():
        shown = "not given" if default is None else f"`{default}`"
        assert f"| `{name}` | {shown} |" in page


def test_an_option_that_is_a_mapping_of_nothing_has_no_default_to_show() -> None:
    from connectors.base.optioninfo import describe
    from connectors.commands.types import _default

    shown = {info.name: (info.type, _default(info)) for info in describe(AccessOptions)}
    assert shown["allow"] == ("a mapping", "-")
    assert shown["groups"] == ('"mention" or "all" or "none"', "mention")


# ── in a connector that runs ──────────────────────────────────────────────────────────────────────────────────


class Gated(FakeConnector):
    """The fake platform's connector with the gate before its inbox; every conversation `D…` is a direct chat."""

    connector_type = "gated"

    class Options(FakeOptions, AccessOptions):
        """Both."""

    def connect(self) -> None:
        super().connect()
        self.access = Access(self, cast(AccessOptions, self.options))

    def disconnect(self) -> None:
        super().disconnect()
        access: Access | None = getattr(self, "access", None)
        if access is not None:
            access.close()

    def run_loop(self) -> None:
        while self._running:
            for event in self._client.updates(1.0):
                message = normalise(event, self.name)
                place = message.conversation.id
                is_direct = place.startswith("D")
                verdict = self.access.admit(Approach(message.sender.id, place, is_direct, not is_direct))
                if verdict.ok:
                    sender = Sender(id=message.sender.id, username=message.sender.username, trust=verdict.trust)
                    self.write_to_inbox(message.model_copy(update={"sender": sender}))
                elif verdict.say is not None:
                    self._client.call("POST", "/send", {"conversation": place, "text": verdict.say, "thread": None})
                self._client.call("POST", "/ack", {"ids": [event["id"]]})


def start(connector: Connector) -> threading.Thread:
    thread = threading.Thread(target=connector.run)
    thread.start()
    return thread


def test_a_stranger_gets_in_after_an_approval_without_a_restart_and_nothing_before(home: Path) -> None:
    from tests.commands.program import done

    with FakePlatform() as platform:
        connector = Gated(NAME, home, {"url": platform.url})
        thread = start(connector)
        try:
            platform.post("let me in", conversation="D1", sender="U1")
            platform.post("hello?", conversation="D1", sender="U1")
            wait_for(lambda: not platform.waiting)
            (said,) = platform.sent
            code = said.text.split("code is ")[1][:8]
            assert list(connector.inbox.iterdir()) == []

            done("pair", "approve", code.lower(), home=home)
            platform.post("and now?", conversation="D1", sender="U1")
            (path,) = wait_for(lambda: list(connector.inbox.glob("*.json")))
        finally:
            connector.stop()
            thread.join(20)
    assert '"trust": "paired"' in path.read_text()
    assert "and now?" in path.read_text()
    left = "".join(p.read_text(errors="replace") for p in (home / "state" / NAME).glob("*.json"))
    assert "let me in" not in left
    assert "hello?" not in left
