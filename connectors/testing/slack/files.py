"""Files: files.getUploadURLExternal, the upload, files.completeUploadExternal, info, delete, and downloads.

https://docs.slack.dev/messaging/working-with-files#upload : three steps; the bytes go to `upload_url` by POST.
https://docs.slack.dev/reference/methods/files.getUploadURLExternal, …/files.completeUploadExternal : a channel's ID,
`files` as a list of id and title, `initial_comment`, `thread_ts`; …/files.info, …/files.delete.
"""

from __future__ import annotations

import mimetypes
import secrets
from urllib.parse import quote

from connectors.testing.slack import messages
from connectors.testing.slack.api import Args, SlackError, method
from connectors.testing.slack.chat import thread_root
from connectors.testing.slack.state import Channel, Json, StoredFile, World

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Slack</title></head><body>Sign in to Fakes | Slack</body></html>"


def make(
    world: World, name: str, data: bytes | None, *, user: str, title: str = "", media_type: str = ""
) -> StoredFile:
    """A file comes into being."""
    file_id = world.new_id("F")
    kind = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    address = f"{world.origin}/files-pri/{file_id}"
    info: Json = {
        "id": file_id,
        "created": int(world.clock()),
        "timestamp": int(world.clock()),
        "name": name,
        "title": title or name,
        "mimetype": kind,
        "filetype": name.rpartition(".")[2] if "." in name else "text",
        "pretty_type": kind,
        "user": user,
        "user_team": world.team_id,
        "editable": False,
        "size": len(data or b""),
        "mode": "hosted",
        "is_external": False,
        "is_public": True,
        "url_private": f"{address}/download/{quote(name)}",
        "url_private_download": f"{address}/download/{quote(name)}",
        "permalink": f"https://fakes.slack.com/files/{user}/{file_id}/{name}",
        "file_access": "visible",
        "shares": {},
    }
    world.files[file_id] = StoredFile(info, data)
    return world.files[file_id]


@method("files.getUploadURLExternal", scope="files:write")
def get_upload_url(world: World, args: Args) -> Json:
    """Where to put the bytes of a file that is yet to come."""
    if "filename" not in args or "length" not in args:
        raise SlackError("invalid_arguments")
    length = args.number("length", 0, error="invalid_arguments")
    if length < 1:
        raise SlackError("invalid_arguments")
    file = make(world, args.text("filename"), None, user=world.bot_user)
    file.ticket, file.length = secrets.token_hex(8), length
    return {"upload_url": f"{world.origin}/upload/{file.ticket}", "file_id": file.info["id"]}


def receive(world: World, ticket: str, data: bytes) -> str:
    """The bytes arrive."""
    for file in world.files.values():
        if file.ticket == ticket:
            if len(data) != file.length:
                raise SlackError("length_mismatch", status=400)
            file.data = data
            file.info["size"] = len(data)
            return f"OK - {len(data)}"
    raise SlackError("not_found", status=404)


@method("files.completeUploadExternal", scope="files:write")
def complete_upload(world: World, args: Args) -> Json:
    """The uploaded files are finished and, when a channel is given, shared there in one message."""
    wanted = args.json("files", [])
    if not isinstance(wanted, list) or not wanted:
        raise SlackError("invalid_arguments")
    if not all(isinstance(entry, dict) for entry in wanted):
        raise SlackError("invalid_arguments")
    found = [_uploaded(world, str(entry.get("id", ""))) for entry in wanted]
    channels = [_channel(world, channel_id) for channel_id in args.names("channels") or args.names("channel_id")]
    threads = [thread_root(channel, args) for channel in channels]
    for file, entry in zip(found, wanted, strict=True):
        file.info["title"] = entry.get("title") or file.info["title"]
        file.ticket = None
        world.uploads.append(file)
    for channel, thread in zip(channels, threads, strict=True):
        content = {"text": args.text("initial_comment"), "upload": True}
        if not content["text"] and args.json("blocks"):
            content["blocks"] = args.json("blocks")
        message = messages.by_bot(world, channel, {**content, "files": [f.info for f in found]}, thread=thread)
        message["subtype"] = "file_share"
        share(world, channel, message, found)
    return {"files": [{"id": f.info["id"], "title": f.info["title"]} for f in found]}


def share(
    world: World, channel: Channel, message: Json, found: list[StoredFile], *, mention_first: bool = False
) -> None:
    """Publish a message with files."""
    for file in found:
        where = file.info["shares"].setdefault("public" if channel.kind == "channel" else "private", {})
        where[channel.id] = [{"ts": message["ts"], "thread_ts": message.get("thread_ts")}]
    messages.publish(world, channel, message, mention_first=mention_first)


@method("files.info", scope="files:read")
def info(world: World, args: Args) -> Json:
    """One file."""
    return {"file": {**_known(world, args.text("file")).info, "file_access": "visible"}, "comments": []}


@method("files.delete", scope="files:write")
def delete(world: World, args: Args) -> Json:
    """Remove a file of the bot's own."""
    file = _known(world, args.text("file"))
    if file.info["user"] != world.bot_user:
        raise SlackError("cant_delete_file")
    del world.files[file.info["id"]]
    return {}


def download(world: World, file_id: str, token: str | None) -> object:
    """The bytes; a login page with status 200 when the token is missing, wrong, or may not read files."""
    from connectors.testing.slack.calls import Outcome

    file = world.files.get(file_id)
    if token != world.bot_token or "files:read" not in world.scopes or world.revoked:
        return Outcome(LOGIN_PAGE, content_type="text/html")
    if file is None or file.data is None:
        raise SlackError("file_not_found", status=404)
    return Outcome(file.data, content_type=file.info["mimetype"])


def _known(world: World, file_id: str) -> StoredFile:
    file = world.files.get(file_id)
    if file is None:
        raise SlackError("file_not_found")
    return file


def _uploaded(world: World, file_id: str) -> StoredFile:
    file = _known(world, file_id)
    if file.data is None or file.ticket is None:
        raise SlackError("file_not_found")
    return file


def _channel(world: World, channel_id: str) -> Channel:
    if channel_id in world.users:
        return world.direct(channel_id)
    channel = world.channels.get(channel_id)
    if channel is None:
        raise SlackError("invalid_channel" if channel_id[:1] not in "CDG" else "channel_not_found")
    if world.bot_user not in channel.members:
        raise SlackError("not_in_channel" if channel.kind == "channel" else "channel_not_found")
    if channel.archived:
        raise SlackError("is_archived")
    return channel
