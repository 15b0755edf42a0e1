"""What is posted to Slack, and what each of its answers means."""

from pathlib import Path
from typing import Any

import pytest

from connectors.base.errors import AuthError, ConfigError, Exit, Rejected
from connectors.base.message import OutgoingMessage
from connectors.slack_webhook.answers import explain
from connectors.slack_webhook.connector import SlackWebhookConnector
from connectors.testing import RunningConnector, wait_for
from tests.slack_webhook.live import Channel, Posting


def posted(home: Path, outgoing: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The body that Slack gets of an outgoing."""
    with Channel() as channel, Posting(home, channel.url, **options) as posting:
        posting.drop({"conversation_id": "team", **outgoing})
        wait_for(lambda: posting.receipts)
        [body] = channel.bodies
        return body


def test_markdown_becomes_mrkdwn(home: Path) -> None:
    text = "**red**: see [the log](https://ci/1) & <tell> ada"
    assert posted(home, {"text": text}) == {"text": "*red*: see <https://ci/1|the log> &amp; &lt;tell&gt; ada"}


@pytest.mark.parametrize(
    ("format_", "text", "body"),
    [
        ("plain", "*a* <b>", {"text": "*a* &lt;b&gt;", "mrkdwn": False}),
        ("native", "*a* <https://x|b>", {"text": "*a* <https://x|b>"}),
    ],
)
def test_other_formats_are_as_they_say(home: Path, format_: str, text: str, body: dict[str, Any]) -> None:
    assert posted(home, {"text": text, "format": format_}) == body


def test_the_template_is_filled_with_the_outgoing_s_fields(home: Path) -> None:
    """Weakness: the target posted a fixed text with the event's JSON in it."""
    template = {
        "text": "{{metadata.route}}: {{text}}",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{{text}}"}}],
        "unfurl_links": False,
    }
    body = posted(home, {"text": "**hi** {{id}}", "metadata": {"route": "ci"}}, body=template)
    assert body == {
        "text": "ci: *hi* {{id}}",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*hi* {{id}}"}}],
        "unfurl_links": False,
    }


def test_the_action_post_sends_its_input_as_it_is(home: Path) -> None:
    given = {"text": "fallback", "blocks": [{"type": "divider"}]}
    assert posted(home, {"action": "post", "input": given, "text": ""}) == given


@pytest.mark.parametrize(
    "outgoing",
    [
        {"text": "<!channel> all"},
        {"text": "<!channel> all", "format": "native"},
        {"text": "x", "metadata": {"who": "<!everyone>"}},
        {"action": "post", "input": {"text": "<!here|here> all"}},
    ],
)
def test_nobody_calls_everybody_unless_that_is_allowed(home: Path, outgoing: dict[str, Any]) -> None:
    template = {"body": {"text": "{{text}} {{metadata.who}}"}} if "metadata" in outgoing else {}
    assert "<!" not in str(posted(home, outgoing, **template))
    (home / "second").mkdir()
    allowed = str(posted(home / "second", outgoing, allow_broadcast=True, **template))
    assert "<!" in allowed


def test_a_long_text_is_several_posts_in_their_order(home: Path) -> None:
    words = [f"word{n:04}" for n in range(1200)]
    with Channel() as channel, Posting(home, channel.url) as posting:
        posting.drop({"conversation_id": "team", "text": " ".join(words)})
        wait_for(lambda: posting.receipts, deadline_s=20)
        assert len(channel.texts) > 1
        assert max(map(len, channel.texts)) <= 4000
        assert " ".join(channel.texts).split() == words


def test_posts_keep_slack_s_pace(home: Path) -> None:
    connector = SlackWebhookConnector("s", home, {"url": "https://hooks.slack.com/services/x", "post_interval_s": 30})
    connector.connect()
    message = OutgoingMessage(conversation_id="team", text="x")
    assert connector.pace(message) == 0.0
    assert 0 < connector.pace(message) <= 30
    connector.disconnect()


# ── what Slack says ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "word", "error"),
    [
        (400, "invalid_payload", Rejected),
        (400, "no_text", Rejected),
        (400, "user_not_found", Rejected),
        (404, "no_service", AuthError),
        (403, "invalid_token", AuthError),
        (404, "no_team", AuthError),
        (403, "action_prohibited", ConfigError),
        (403, "posting_to_general_channel_denied", ConfigError),
        (404, "channel_not_found", ConfigError),
        (410, "channel_is_archived", ConfigError),
        (200, "<html>Sign in to the network</html>", Rejected),
    ],
)
def test_each_word_of_slack_s_says_what_happens_next(status: int, word: str, error: type[Exception]) -> None:
    """Weakness: every answer but 2xx was one error, and each of them lost the message."""
    found = explain(status, word, names_channel=False)
    assert type(found) is error or (error is Rejected and isinstance(found, Rejected))
    assert found is not None
    assert found.hint


def test_what_the_status_says_is_left_to_it() -> None:
    assert [explain(status, word, names_channel=False) for status, word in ((200, "ok"), (429, ""), (500, "x"))] == [
        None,
        None,
        None,
    ]


def test_a_channel_that_the_template_names_is_the_outgoing_s_fault() -> None:
    assert isinstance(explain(404, "channel_not_found", names_channel=True), Rejected)


@pytest.mark.parametrize(
    ("answer", "code"), [((404, "no_service"), Exit.AUTH), ((410, "channel_is_archived"), Exit.CONFIG)]
)
def test_what_only_a_person_can_mend_keeps_the_message_and_ends_the_process(
    home: Path, answer: tuple[int, str], code: Exit
) -> None:
    with Channel() as channel:
        channel.answers.append(answer)
        config = {"url": channel.url, "post_interval_s": 0}
        with RunningConnector(SlackWebhookConnector, home, "team", config) as running:
            running.connected()
            (home / "messages/outbox/team/a.json").write_text('{"conversation_id": "team", "text": "hi"}')
            assert running.wait() == code
            assert answer[1] in running.output
            assert "hunter22" not in running.output
        with RunningConnector(SlackWebhookConnector, home, "team", config) as again:
            again.connected()
            wait_for(lambda: channel.texts == ["hi"])


def test_an_answer_that_is_not_slack_s_is_no_receipt_and_is_not_sent_again(home: Path) -> None:
    """Weakness: any 200 was a delivery, that of a proxy's sign-in page too."""
    with Channel() as channel, Posting(home, channel.url) as posting:
        channel.answers.append((200, "<html>Sign in</html>"))
        posting.drop({"conversation_id": "team", "text": "hi"})
        [reason] = wait_for(lambda: posting.reasons)
        assert reason.class_ == "ambiguous"
        assert len(channel.bodies) == 1


def test_files_are_refused_with_what_to_do(home: Path) -> None:
    (home / "messages/attachments").mkdir(parents=True)
    (home / "messages/attachments/a.txt").write_text("a")
    with Channel() as channel, Posting(home, channel.url) as posting:
        path = "messages/attachments/a.txt"
        posting.drop({"conversation_id": "team", "text": "hi", "attachments": [{"path": path}]})
        [reason] = wait_for(lambda: posting.reasons)
        assert "send a link" in reason.hint
        assert channel.bodies == []


def test_an_agent_s_answer_to_any_event_can_go_there(home: Path) -> None:
    assert posted(home, {"text": "hi", "conversation_id": "whatever"}) == {"text": "hi"}


@pytest.mark.parametrize(
    ("options", "text"), [({}, "SLACK_WEBHOOK_URL"), ({"url": "hooks"}, "url must"), ({"body": "text"}, "mapping")]
)
def test_options_that_cannot_work_are_errors(home: Path, options: dict[str, Any], text: str) -> None:
    given = options if not options or "url" in options else {"url": "https://hooks.slack.com/x", **options}
    with pytest.raises(ConfigError, match=text):
        _ = SlackWebhookConnector("s", home, given).options
