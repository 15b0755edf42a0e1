"""Who is in, who is out: changes of a member's status, in one line."""

from __future__ import annotations

from typing import Any

from connectors.telegram.contents import Object, name_of
from connectors.telegram.ids import mapping

_IN = ("creator", "administrator", "member")


def membership(value: Object) -> tuple[str, dict[str, Any]]:
    """The text and the metadata of a https://core.telegram.org/bots/api#chatmemberupdated."""
    old, new = mapping(value.get("old_chat_member")), mapping(value.get("new_chat_member"))
    user = mapping(new.get("user")) or mapping(old.get("user"))
    name = name_of(user) or str(user.get("id", ""))
    private = mapping(value.get("chat")).get("type") == "private"
    found = {
        "user_id": str(user.get("id", "")),
        "name": name,
        "old": old.get("status"),
        "new": new.get("status"),
    }
    return f"[{name} {_words(old, new, private=private)}]", {"membership": found}


def _words(old: Object, new: Object, *, private: bool) -> str:
    was, now = _is_in(old), _is_in(new)
    if private:
        return "was started again" if now else "was blocked"
    if was == now:
        return f"is now {new.get('status')}"
    if now:
        return "joined"
    return "was removed" if new.get("status") == "kicked" else "left"


def _is_in(member: Object) -> bool:
    return member.get("status") in _IN or (member.get("status") == "restricted" and bool(member.get("is_member")))
