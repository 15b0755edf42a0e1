"""Files of the fake: uploads by slack-sdk's files_upload_v2, downloads with and without the right to them."""

from __future__ import annotations

import urllib.error
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient

from connectors.testing.slack import FakeSlack
from tests.testing.slack.conftest import refused


def fetch(url: str, token: str | None) -> tuple[str, bytes]:
    """What a download gives: its type and its bytes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(url, headers=headers).raise_for_status()
    return answer.headers["Content-Type"].partition(";")[0], answer.content


def shared(fake: FakeSlack, **files: bytes) -> dict[str, Any]:
    """A file that somebody shared in C1."""
    fake.post("C1", "U1", "look", files={name.replace("_", "."): data for name, data in files.items()})
    file: dict[str, Any] = fake.messages("C1")[-1]["files"][0]
    return file


def test_an_upload_becomes_one_message_with_its_files(fake: FakeSlack, web: WebClient) -> None:
    root = fake.post("C1", "U1", "send me two")

    web.files_upload_v2(
        channel="C1",
        thread_ts=root,
        initial_comment="here",
        file_uploads=[
            {"content": b"\x00one", "filename": "a.bin", "title": "A"},
            {"content": b"two", "filename": "b.txt", "title": "B"},
        ],
    )

    message = fake.messages("C1")[-1]
    assert (message["text"], message["thread_ts"], message["subtype"]) == ("here", root, "file_share")
    assert [(file["name"], file["title"], file["size"]) for file in message["files"]] == [
        ("a.bin", "A", 4),
        ("b.txt", "B", 3),
    ]
    assert [upload.data for upload in fake.uploads] == [b"\x00one", b"two"]
    assert web.files_info(file=message["files"][1]["id"])["file"]["shares"]["public"]["C1"][0]["ts"] == message["ts"]


def test_an_upload_that_stops_halfway_shows_nothing(fake: FakeSlack, web: WebClient) -> None:
    fake.fail_next("unavailable", "upload")

    with pytest.raises(urllib.error.HTTPError, match="503") as error:
        web.files_upload_v2(channel="C1", content=b"one", filename="a.bin")
    error.value.close()

    assert fake.messages("C1") == []
    assert fake.uploads == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel_id": "C404"}, "channel_not_found"),
        ({"channel_id": "general"}, "invalid_channel"),
        ({"channel_id": "C2"}, "not_in_channel"),
        ({"channel_id": "C1", "thread_ts": "1700000000.000001"}, "thread_not_found"),
    ],
)
def test_where_a_file_cannot_go_is_said(fake: FakeSlack, web: WebClient, arguments: dict[str, Any], error: str) -> None:
    ticket = web.files_getUploadURLExternal(filename="a.txt", length=3)
    assert httpx.post(str(ticket["upload_url"]), content=b"one").text == "OK - 3"

    answer_of_call = refused(web.files_completeUploadExternal, files=[{"id": ticket["file_id"]}], **arguments)

    assert answer_of_call["error"] == error


def test_bytes_of_another_length_than_announced_are_refused(web: WebClient) -> None:
    ticket = web.files_getUploadURLExternal(filename="a.txt", length=4)

    assert httpx.post(str(ticket["upload_url"]), content=b"one").status_code == 400
    assert refused(web.files_completeUploadExternal, files=[{"id": ticket["file_id"]}])["error"] == "file_not_found"


def test_a_shared_file_is_downloaded_with_the_bots_token(fake: FakeSlack) -> None:
    file = shared(fake, note_txt=b"milk")

    assert fetch(file["url_private_download"], fake.bot_token) == ("text/plain", b"milk")
    assert (file["name"], file["mimetype"], file["size"]) == ("note.txt", "text/plain", 4)


@pytest.mark.parametrize("token", [None, "xoxb-wrong"])
def test_without_the_token_a_download_is_a_login_page(fake: FakeSlack, token: str | None) -> None:
    file = shared(fake, note_txt=b"milk")

    kind, data = fetch(file["url_private_download"], token)

    assert kind == "text/html"
    assert data.startswith(b"<!DOCTYPE html>")


def test_without_the_scope_a_download_is_a_login_page(fake: FakeSlack) -> None:
    file = shared(fake, note_txt=b"milk")
    fake.scopes.discard("files:read")

    assert fetch(file["url_private_download"], fake.bot_token)[0] == "text/html"


def test_a_download_can_fail(fake: FakeSlack) -> None:
    file = shared(fake, note_txt=b"milk")
    fake.fail_next("unavailable", "download")

    with pytest.raises(httpx.HTTPStatusError, match="503"):
        fetch(file["url_private_download"], fake.bot_token)
    assert fetch(file["url_private_download"], fake.bot_token)[1] == b"milk"


def test_a_file_of_another_organisation_has_to_be_looked_up(fake: FakeSlack, web: WebClient) -> None:
    fake.post_connect_stub("C1", "U1", "from outside", "plan.txt", b"the plan")

    (stub,) = fake.messages("C1")[-1]["files"]
    assert (stub["file_access"], "url_private" in stub) == ("check_file_info", False)
    full: Any = web.files_info(file=stub["id"])["file"]
    assert fetch(full["url_private_download"], fake.bot_token)[1] == b"the plan"


def test_the_bot_deletes_its_own_files_only(fake: FakeSlack, web: WebClient) -> None:
    theirs = shared(fake, note_txt=b"milk")
    web.files_upload_v2(channel="C1", content=b"one", filename="a.txt")
    own = fake.uploads[0].info["id"]

    assert refused(web.files_delete, file=theirs["id"])["error"] == "cant_delete_file"
    web.files_delete(file=own)
    assert refused(web.files_info, file=own)["error"] == "file_not_found"
