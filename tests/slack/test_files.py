"""Files that come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base.secrets import Secret
from connectors.parts.downloads import FetchFailed
from connectors.slack.files import Files
from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for
from tests.slack.live import Live


def test_files_are_there_with_their_event(live: Live) -> None:
    live.fake.post("C1", "U1", "look", files={"note.txt": b"hello", "data.bin": b"\x00\x01"})
    first, second = live.event().content.attachments
    assert (live.home.root / first["path"]).read_bytes() == b"hello"
    assert (live.home.root / second["path"]).read_bytes() == b"\x00\x01"
    assert (first["name"], first["size"], first["media_type"]) == ("note.txt", 5, "text/plain")


def test_an_address_that_is_none_is_a_placeholder_at_once(live: Live) -> None:
    url = f"{live.fake.url}/files-pri/F1/a name with spaces"
    live.fake.post("C1", "U1", "look", files_given=[{"id": "F1", "name": "../../x", "url_private": url}])
    [entry] = live.event().content.attachments
    assert entry["error"]
    assert "/" not in entry["name"]


def test_the_acknowledgement_does_not_wait_for_the_file(live: Live) -> None:
    live.fake.fail_next("timeout", "download", always=True)
    live.fake.post("C1", "U1", "look", files={"slow.txt": b"hello"})
    live.settled()
    assert live.events == []
    live.fake.heal()
    live.fake.release()
    assert live.event().content.attachments[0]["path"]


def test_a_login_page_is_a_placeholder_that_names_the_scope_and_can_be_had_later(live: Live) -> None:
    live.fake.scopes.discard("files:read")
    live.fake.post("C1", "U1", "look", files={"photo.png": b"\x89PNG"})
    event = live.event()
    [entry] = event.content.attachments
    assert "files:read" in entry["error"]
    assert "path" not in entry
    live.fake.scopes.add("files:read")
    receipt = live.sent(action="fetch", target_id=event.id)
    assert receipt.metadata["fetched"] == 1
    wait_for(lambda: [e for e in live.events if e.content.attachments[0].get("path")])


def test_a_login_page_is_not_taken_for_a_page_that_was_shared(live: Live) -> None:
    live.fake.scopes.discard("files:read")
    live.fake.post("C1", "U1", "look", files={"page.html": b"<html>mine</html>"})
    assert "files:read" in live.event().content.attachments[0]["error"]


def test_a_file_of_another_workspace_is_asked_for(live: Live) -> None:
    live.fake.post_connect_stub("C1", "U1", "from afar", "plan.txt", b"the plan")
    [entry] = live.event().content.attachments
    assert (live.home.root / entry["path"]).read_bytes() == b"the plan"


def test_a_file_that_is_too_large_is_a_placeholder(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, download_max_bytes=10) as live:
        fake.post("C1", "U1", "look", files={"big.bin": b"x" * 11})
        [entry] = live.event().content.attachments
        assert "error" in entry
        assert fake.calls("download") == []


def test_downloads_can_be_off_and_done_by_hand(fake: FakeSlack, home: Path) -> None:
    with Live(fake, home, download=False) as live:
        fake.post("C1", "U1", "look", files={"a.txt": b"hello"})
        event = live.event()
        assert "fetch" in event.content.attachments[0]["error"]
        live.sent(action="fetch", target_id=event.id)
        wait_for(lambda: [e for e in live.events if e.content.attachments[0].get("path")])


def test_the_token_is_shown_to_slack_only(live: Live) -> None:
    outside = {
        "id": "F9",
        "name": "doc",
        "mode": "external",
        "is_external": True,
        "external_url": "https://d.example/1",
    }
    live.fake.post(
        "C1", "U1", "look", files_given=[outside, {"id": "F8", "name": "x", "url_private": "https://evil.example/x"}]
    )
    first, second = live.event().content.attachments
    assert first["url"] == "https://d.example/1"
    assert "not in Slack" in first["error"]
    assert "not in Slack" in second["error"]


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://files.slack.com/x", True),
        ("http://files.slack.com/x", False),
        ("https://files.slack.com.evil.example/x", False),
        ("https://evilslack.com/x", False),
        ("https://slack.com@evil.example/x", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_which_addresses_are_slacks(url: str, ours: bool) -> None:
    asked: list[str] = []

    def call(method: str, **arguments: object) -> dict[str, object]:
        asked.append(method)
        return {}

    files = Files(call, Secret("xoxb-t"), base_url="https://slack.com/api/", proxy=None, timeout_s=0.1)
    if not ours:
        with pytest.raises(FetchFailed):
            next(iter(files.fetch({"ref": {"url": url}})))
    else:
        assert files._is_slack(url)


def test_gone_files_have_their_reason(live: Live) -> None:
    live.fake.post("C1", "U1", "look", files_given=[{"id": "F1", "name": "x", "mode": "tombstone"}])
    assert "deleted" in live.event().content.attachments[0]["error"]


def test_a_page_instead_of_a_file_of_unknown_size_is_noticed(live: Live) -> None:
    live.fake.post("C1", "U1", "look", files={"photo.png": b"\x89PNG"})
    [info] = live.fake.messages("C1")[0]["files"]
    live.fake.scopes.discard("files:read")
    bare = {key: info[key] for key in ("id", "name", "mimetype", "url_private_download")}
    live.fake.post("C1", "U1", "again", files_given=[bare])
    entry = live.event(lambda event: event.content.text == "again").content.attachments[0]
    assert "files:read" in entry["error"]


@pytest.mark.parametrize("name", ["my file.txt", "日本語.txt", "100% #1?.txt"])
def test_a_files_name_may_have_any_characters(live: Live, name: str) -> None:
    live.fake.post("C1", "U1", "see", files={name: b"content"})
    [entry] = live.event().content.attachments
    assert (entry.get("error"), entry["size"]) == (None, 7)
