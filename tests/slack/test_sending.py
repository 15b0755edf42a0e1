"""What goes out, against the fake: one test for each promise."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from connectors.base.errors import AuthError, ConfigError, Rejected, RetryLater
from connectors.base.message import OutgoingMessage
from connectors.slack.answers import error_for
from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.slack.live import Live


def test_markdown_becomes_slacks_own_and_nothing_is_read_into_the_rest(live: Live) -> None:
    live.sent(conversation_id="C1", text="**bold** and a < b & c [site](https://example.com)")
    live.sent(conversation_id="G1", text="**as it is** <tag>", format="plain")
    live.sent(conversation_id="D1", text="*native* <https://example.com|x>", format="native")
    assert live.fake.said() == [
        "*bold* and a &lt; b &amp; c <https://example.com|site>",
        "**as it is** &lt;tag&gt;",
        "*native* <https://example.com|x>",
    ]
    assert live.fake.calls("chat.postMessage")[1].args["mrkdwn"] == "false"


@pytest.mark.parametrize("form", ["markdown", "plain", "native"])
def test_a_text_calls_nobody_together_unless_that_is_allowed(live: Live, form: str) -> None:
    live.sent(conversation_id="C1", text="hey <!channel> and <!subteam^S123|@ops>", format=form)
    [said] = live.fake.said()
    assert "<!" not in said
    assert "channel" in said


def test_a_text_may_call_everybody_when_that_is_allowed(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, allow_broadcast=True) as live:
        live.sent(conversation_id="C1", text="hey <!channel>")
        assert fake.said() == ["hey <!channel>"]


def test_blocks_are_passed_on_and_call_nobody(live: Live) -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "<!here> *look*"}}
    live.sent(conversation_id="C1", text="fallback", format="native", metadata={"blocks": [block]})
    [message] = live.fake.messages("C1")
    assert message["blocks"] == [{"type": "section", "text": {"type": "mrkdwn", "text": "@here *look*"}}]


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ([{"type": "divider"}] * 51, "block-kit-builder"),  # more than Slack takes
        ([{"text": "Yes"}], "block-kit-builder"),  # no type
        ({"type": "divider"}, "no list"),
        ("Yes", "no list"),
    ],
)
def test_bad_blocks_are_a_dead_letter_that_says_what_to_mend(live: Live, blocks: object, says: str) -> None:
    reason = live.refused(conversation_id="C1", text="fallback", metadata={"blocks": blocks})
    assert says in f"{reason.reason} {reason.hint}"
    assert reason.class_ == "rejected"
    assert live.fake.messages("C1") == []


def test_html_is_refused_with_a_way_out(live: Live) -> None:
    reason = live.refused(conversation_id="C1", text="<b>x</b>", format="html")
    assert "markdown" in reason.hint


def test_a_long_text_is_cut_where_slack_counts_and_comes_in_order(live: Live) -> None:
    words = [f"word{n}<&>" for n in range(900)]
    receipt = live.sent(conversation_id="C1", text=" ".join(words))
    said = live.fake.said("C1")
    assert len(said) == len(receipt.ids) > 1
    assert all(len(text) <= 4000 for text in said)
    assert " ".join(said).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").split() == words


def test_a_thread_is_answered_in_and_never_the_channel_instead(live: Live) -> None:
    root = live.fake.post("C1", "U1", "question")
    reply = live.fake.post("C1", "U1", "more", thread_ts=root)
    live.event(lambda event: event.content.text == "more")
    live.sent(reply_to=f"slack:T1:C1:{reply}", text="in the thread")
    reason = live.refused(conversation_id="C1", thread_id="1234567890.000001", text="no such thread")
    odd = live.refused(conversation_id="C1", thread_id="yesterday", text="no ts at all")
    [message] = [m for m in live.fake.messages("C1") if m.get("bot_id")]
    assert message["thread_ts"] == root
    assert "thread_not_found" in reason.reason
    assert "thread_id" in odd.reason
    assert "C1" in odd.reason


@pytest.mark.parametrize("option", [False, True])
def test_an_answer_in_a_channel_opens_a_thread_only_if_configured(fake: FakeSlack, home: Path, option: bool) -> None:
    with Live(fake, home, reply_in_thread=option) as live:
        ts = fake.post("C1", "U1", "question")
        direct = fake.post("D1", "U1", "question")
        live.event(lambda event: event.conversation.id == "D1")
        live.event(lambda event: event.conversation.id == "C1")
        live.sent(reply_to=f"slack:T1:C1:{ts}", text="answer")
        live.sent(reply_to=f"slack:T1:D1:{direct}", text="answer")
        channel, person = (next(m for m in fake.messages(place) if m.get("bot_id")) for place in ("C1", "D1"))
        assert channel.get("thread_ts") == (ts if option else None)
        assert person.get("thread_ts") is None


def test_a_persons_id_is_the_direct_conversation_with_them(live: Live) -> None:
    live.sent(conversation_id="U2", text="hello bob")
    assert live.fake.said("D2") == ["hello bob"]


def test_a_name_is_refused_with_the_way_to_the_id(live: Live) -> None:
    reason = live.refused(conversation_id="#general", text="x")
    assert "#general" in reason.reason
    assert "id" in reason.hint
    assert live.fake.calls("chat.postMessage") == []


def test_the_agent_writes_only_where_it_may(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, allow={"conversations": ["C1"], "send": ["C1", "U2"]}) as live:
        live.sent(conversation_id="C1", text="here")
        live.sent(conversation_id="U2", text="there")
        reason = live.refused(conversation_id="G1", text="not there")
        edit = live.refused(action="edit", target_id="slack:T1:G1:1700000000.000100", text="nor change it")
        assert "allow.send" in reason.hint
        assert "allow.send" in edit.hint
        assert [call.args["channel"] for call in fake.calls("chat.postMessage")] == ["C1", "D2"]


@pytest.mark.parametrize(
    ("channel", "word"),
    [("C2", "not_in_channel"), ("C404", "channel_not_found"), ("C3", "is_archived")],
)
def test_where_the_bot_cannot_write_is_a_dead_letter_that_says_what_to_do(live: Live, channel: str, word: str) -> None:
    live.fake.add_channel("C3", "old", members=["UBOT"])
    live.fake.archive("C3")
    reason = live.refused(conversation_id=channel, text="x")
    assert word in reason.reason
    assert reason.hint
    assert reason.attempts <= 1


def test_a_missing_scope_is_named(live: Live) -> None:
    live.fake.fail_next("scope", "reactions.add", error="reactions:write")
    ts = live.fake.post("C1", "U1", "x")
    reason = live.refused(action="react", conversation_id="C1", target_id=ts, emoji="eyes")
    assert "reactions:write" in reason.reason + reason.hint


def test_an_edit_a_deletion_and_reactions(live: Live) -> None:
    ts = live.sent(conversation_id="C1", text="first").ids[0]
    live.sent(action="edit", conversation_id="C1", target_id=ts, text="**second**")
    assert live.fake.said("C1") == ["*second*"]
    said = live.fake.post("C1", "U1", "hello")
    live.event(lambda event: event.content.text == "hello")
    for outgoing in (
        {"target_id": said, "conversation_id": "C1", "emoji": ":eyes:"},
        {"target_id": said, "conversation_id": "C1", "emoji": "eyes"},
        {"reply_to": f"slack:T1:C1:{said}", "emoji": "👍"},
        {"target_id": f"slack:T1:C1:{said}", "emoji": "-eyes"},
        {"target_id": f"slack:T1:C1:{said}", "emoji": "eyes", "metadata": {"remove": True}},
    ):
        live.sent(action="react", **outgoing)
    [message] = [m for m in live.fake.messages("C1") if m["ts"] == said]
    assert [reaction["name"] for reaction in message["reactions"]] == ["+1"]
    live.sent(action="delete", conversation_id="C1", target_id=ts)
    assert live.fake.said("C1") == []


def test_what_has_no_target_is_refused(live: Live) -> None:
    assert "target_id" in live.refused(action="edit", conversation_id="C1", text="x").reason
    assert "emoji" in live.refused(action="react", conversation_id="C1", target_id="1700000000.000100").reason


def test_typing_is_shown_in_threads_and_fails_quietly(live: Live) -> None:
    root = live.fake.post("C1", "U1", "question")
    live.sent(action="typing", conversation_id="C1", thread_id=root)
    assert live.fake.statuses("C1")
    live.fake.fail_next("scope", "assistant.threads.setStatus", always=True)
    live.sent(action="typing", conversation_id="G1", thread_id=root)
    live.sent(action="typing", conversation_id="D1")


def test_a_rate_limit_delays_that_conversation_and_no_other(live: Live) -> None:
    live.fake.fail_next("rate_limit", "chat.postMessage", retry_after_s=1)
    slow = live.drop(conversation_id="C1", text="slow")
    live.connector.process_outbox()
    live.sent(conversation_id="G1", text="quick")
    receipt = live.end_of(slow)
    assert live.fake.said() == ["quick", "slow"]
    assert receipt.attempts == 1


def test_a_channel_gets_no_more_posts_than_slack_takes(home: Path) -> None:
    with FakeSlack(rates={"chat.postMessage": (1, 1.0)}) as fake, Live(fake, home, post_interval_s=1.05) as live:
        for name in [live.drop(conversation_id="C1", text=str(n)) for n in range(3)]:
            live.end_of(name)
        assert fake.said("C1") == ["0", "1", "2"]
        assert [call.outcome for call in fake.calls("chat.postMessage")] == ["ok"] * 3


@pytest.mark.parametrize("kind", ["cut", "internal", "unavailable", "drop"])
@pytest.mark.parametrize("thread", [False, True])
def test_a_post_with_an_unknown_outcome_is_seen_once(live: Live, kind: str, thread: bool) -> None:
    where = {"thread_id": live.fake.post("C1", "U1", "root")} if thread else {}
    live.fake.fail_next(kind, "chat.postMessage")  # type: ignore[arg-type]
    receipt = live.sent(conversation_id="C1", text="once", **where)
    assert live.fake.said("C1") == ["once"]
    assert (receipt.ambiguous, len(receipt.ids)) == (False, 1)
    assert receipt.ids[0] in [m["ts"] for m in live.fake.messages("C1")]


def test_where_it_cannot_be_looked_up_the_receipt_says_so(live: Live) -> None:
    live.fake.scopes.discard("channels:history")
    live.fake.fail_next("cut", "chat.postMessage")
    receipt = live.sent(conversation_id="C1", text="twice, maybe")
    assert receipt.ambiguous is True


def test_a_refused_credential_is_no_dead_letter(live: Live) -> None:
    live.fake.fail_next("auth", "chat.postMessage", error="account_inactive")
    live.drop(conversation_id="C1", text="later")
    live.connector.process_outbox()
    assert not list(live.home.failed.glob("*.json"))
    assert isinstance(live.connector._fatal, AuthError)


def test_files_go_out_together_behind_the_text(live: Live) -> None:
    files = [live.attachment("a.txt", b"first"), {**live.attachment("b.txt", b"second"), "caption": "the second"}]
    receipt = live.sent(conversation_id="C1", text="see these", attachments=files)
    text, shared = live.fake.messages("C1")
    assert (text["text"], shared["text"]) == ("see these", "the second")
    assert [file["name"] for file in shared["files"]] == ["a.txt", "b.txt"]
    assert [stored.data for stored in live.fake.uploads] == [b"first", b"second"]
    assert len(receipt.ids) == 3
    assert len(live.fake.calls("files.completeUploadExternal")) == 1


def test_files_go_into_the_thread_and_to_a_person(live: Live) -> None:
    root = live.fake.post("C1", "U1", "root")
    live.sent(conversation_id="C1", thread_id=root, attachments=[live.attachment("a.txt", b"x")], text="")
    live.sent(conversation_id="U2", attachments=[live.attachment("b.txt", b"y")], text="")
    assert live.fake.messages("C1")[-1]["thread_ts"] == root
    assert live.fake.messages("D2")[-1]["files"][0]["name"] == "b.txt"


@pytest.mark.parametrize("step", ["files.getUploadURLExternal", "upload", "files.completeUploadExternal"])
def test_an_upload_that_fails_sends_no_text_again(live: Live, step: str) -> None:
    live.fake.fail_next("unavailable", step)
    receipt = live.sent(conversation_id="C1", text="once", attachments=[live.attachment("a.txt", b"x")])
    assert live.fake.said("C1") == ["once", ""]
    assert receipt.ambiguous is False


def test_a_completion_with_an_unknown_outcome_shows_the_files_once(live: Live) -> None:
    live.fake.fail_next("cut", "files.completeUploadExternal")
    receipt = live.sent(conversation_id="C1", attachments=[live.attachment("a.txt", b"x")], text="")
    assert len([m for m in live.fake.messages("C1") if m.get("files")]) == 1
    assert receipt.ambiguous is False


def test_a_file_that_slack_does_not_take_is_refused(live: Live) -> None:
    assert "empty" in live.refused(conversation_id="C1", text="", attachments=[live.attachment("e.txt", b"")]).reason
    reason = live.refused(conversation_id="C2", text="", attachments=[live.attachment("a.txt", b"x")])
    assert "not_in_channel" in reason.reason


def test_one_slow_conversation_delays_no_other(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home) as live:
        fake.fail_next("timeout", "chat.postMessage")
        live.drop(conversation_id="C1", text="slow")
        slow = threading.Thread(target=live.connector.process_outbox)
        slow.start()
        wait_for(lambda: fake.hanging)
        live.sent(conversation_id="G1", text="quick")
        fake.release()
        slow.join()
        assert "quick" in fake.said("G1")


def test_typing_yields_where_slack_asked_for_a_pause(live: Live) -> None:
    root = live.fake.post("C1", "U1", "question")
    live.fake.fail_next("rate_limit", "chat.postMessage", retry_after_s=30)
    live.drop(conversation_id="C1", text="later")
    live.connector.process_outbox()
    live.sent(action="typing", conversation_id="G1", thread_id=root)
    assert len(live.fake.calls("assistant.threads.setStatus")) == 1
    direct = live.connector.send_message(OutgoingMessage(action="typing", conversation_id="C1", thread_id=root))
    assert (direct.ids, len(live.fake.calls("assistant.threads.setStatus"))) == ([], 1)


def test_what_slack_does_not_take_as_markdown_goes_as_plain_text(live: Live) -> None:
    live.fake.fail_next("reject", "chat.postMessage", error="msg_too_long")
    live.sent(conversation_id="C1", text="**bold** & more")
    assert live.fake.said("C1") == ["**bold** &amp; more"]
    live.fake.fail_next("reject", "chat.postMessage", error="msg_too_long")
    assert "msg_too_long" in live.refused(conversation_id="C1", text="as it is", format="native").reason


@pytest.mark.parametrize("status", [404, 405, 410, 413, 501, 505])
def test_what_waiting_does_not_change_is_refused_at_once_with_what_to_do(status: int) -> None:
    error = error_for("chat.postMessage", {}, status)
    assert isinstance(error, Rejected)
    assert str(error) == f"chat.postMessage: HTTP {status}"
    assert "base_url" in error.hint


@pytest.mark.parametrize(("status", "ambiguous"), [(500, True), (502, True), (503, True), (403, True), (429, False)])
def test_what_may_pass_is_tried_again(status: int, ambiguous: bool) -> None:
    error = error_for("chat.postMessage", {}, status)
    assert isinstance(error, RetryLater)
    assert error.ambiguous is ambiguous


def test_an_address_where_no_web_api_is_is_the_configurations_fault(fake: FakeSlack, home: Path) -> None:
    live = Live(fake, home, base_url=f"{fake.url}/nowhere/")
    with pytest.raises(ConfigError, match="auth.test: HTTP 404") as raised:
        live.connector.connect()
    live.connector.disconnect()
    live.connector.close()
    assert "base_url is https://slack.com/api/" in raised.value.hint


def test_what_sends_is_loaded_when_something_is_sent(home: Path) -> None:
    """So that a connector that only listens has its memory for itself."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from connectors.testing.slack import FakeSlack\n"
        "from tests.slack.live import Live\n"
        "with FakeSlack() as fake, Live(fake, Path(sys.argv[1])) as live:\n"
        "    fake.post('C1', 'U1', 'hello')\n"
        "    live.event()\n"
        "    names = {'connectors.slack.sending', 'connectors.parts.markup'}\n"
        "    print(sorted(names & sys.modules.keys()))\n"
        "    live.sent(conversation_id='C1', text='**hi**')\n"
        "    print(sorted(names & sys.modules.keys()))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True, timeout=60, cwd=Path.cwd()
    )
    assert out.stdout.splitlines() == ["[]", "['connectors.parts.markup', 'connectors.slack.sending']"]
