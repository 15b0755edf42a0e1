"""What is marked in a text: mentions, commands, links. Offsets count UTF-16 units.

https://core.telegram.org/bots/api#messageentity
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.telegram.ids import Me
from connectors.telegram.markup import entity_texts

Entity = Mapping[str, Any]


@dataclass(frozen=True)
class Command:
    """`/name@bot rest of the line`."""

    name: str
    bot: str
    arguments: str


def mentions(me: Me, text: str, entities: Sequence[Entity]) -> bool:
    """Whether the text itself addresses the bot: by name, or by a command with its name."""
    for entity, part in entity_texts(text, entities):
        kind = entity.get("type")
        if kind == "mention" and me.username and part.lower() == f"@{me.username}".lower():
            return True
        if kind == "text_mention" and (entity.get("user") or {}).get("id") == me.id:
            return True
        if kind == "bot_command" and me.username and part.lower().endswith(f"@{me.username}".lower()):
            return True
    return False


def command(text: str, entities: Sequence[Entity]) -> Command | None:
    """The command that the text begins with."""
    for entity, part in entity_texts(text, entities):
        if entity.get("type") == "bot_command" and entity.get("offset") == 0:
            name, _, bot = part.removeprefix("/").partition("@")
            return Command(name, bot, text[len(part) :].strip())
    return None


def readable(text: str, entities: Sequence[Entity]) -> str:
    """The text with the addresses that hide behind its links: `here (https://example.org)`."""
    units = text.encode("utf-16-le", "surrogatepass")
    links = [(entity, part) for entity, part in entity_texts(text, entities) if entity.get("type") == "text_link"]
    for entity, part in sorted(links, key=lambda found: -(found[0]["offset"] + found[0]["length"])):
        url = str(entity.get("url") or "")
        if url and url.rstrip("/") != part.rstrip("/"):
            end = 2 * (entity["offset"] + entity["length"])
            units = units[:end] + f" ({url})".encode("utf-16-le", "surrogatepass") + units[end:]
    return units.decode("utf-16-le", "surrogatepass")
