"""What one reads in the blocks and attachments of a Slack message, for messages whose text is empty.

Slack's documentation: "Blocks", with "Rich text block", at docs.slack.dev/reference/block-kit, and "Legacy: Secondary
message attachments". They come from anybody who may write into the workspace, so every shape is expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Read = Callable[[str], str]

_DEEPEST = 20
#: Where blocks of any kind keep what is shown, in the order in which it is shown.
_SHOWN = (
    "pretext", "title", "label", "text", "description", "hint", "fields", "elements", "element", "accessory",
    "alt_text", "rows", "options", "caption", "actions", "blocks", "footer",
)  # fmt: skip


def of_blocks(blocks: object, read: Read) -> str:
    """Their text, block by block; `read` turns mrkdwn into text."""
    return "\n".join(line for line in (_block(block, read, 0) for block in _items(blocks)) if line.strip())


def of_attachments(attachments: object, read: Read) -> str:
    """Pretext, title, text, fields and blocks of each; the fallback when there is none of these."""
    shown = []
    for one in _items(attachments):
        if not isinstance(one, dict):
            continue
        title, link = _string(one, "title"), _string(one, "title_link")
        lines = [
            read(_string(one, "pretext")),
            f"{read(title)} ({link})" if title and link else read(title),
            read(_string(one, "text")),
            *(_field(field, read) for field in _items(one.get("fields"))),
            of_blocks(one.get("blocks"), read),
        ]
        text = "\n".join(line for line in lines if line.strip())
        shown.append(text or read(_string(one, "fallback")))
    return "\n\n".join(text for text in shown if text)


def _field(field: object, read: Read) -> str:
    if not isinstance(field, dict):
        return ""
    title, value = read(_string(field, "title")), read(_string(field, "value"))
    return f"{title}: {value}" if title and value else title or value


def _block(block: object, read: Read, depth: int) -> str:
    if not isinstance(block, dict) or depth > _DEEPEST:
        return ""
    kind = _string(block, "type")
    if kind in {"mrkdwn", "plain_text", "markdown", "raw_text"} and isinstance(block.get("text"), str):
        return read(block["text"]) if kind == "mrkdwn" else str(block["text"])
    if kind.startswith("rich_text"):
        return _rich(block, read, depth)
    match kind:
        case "divider":
            return "---"
        case "image":
            shown = [_block(block.get("title"), read, depth + 1), _string(block, "alt_text")]
            return " ".join(["[image]", *dict.fromkeys(filter(None, shown))])
        case "table":
            rows = ([_block(cell, read, depth + 1) for cell in _items(row)] for row in _items(block.get("rows")))
            return "\n".join(" | ".join(row) for row in rows)
        case _:
            gap = " " if kind in {"context", "actions"} else "\n"
            return gap.join(text for text in _nested(block, read, depth + 1) if text)


def _nested(block: dict[Any, Any], read: Read, depth: int) -> Iterator[str]:
    """The text in a block of any kind, also of one that did not exist when this was written."""
    for key in _SHOWN:
        value = block.get(key)
        if isinstance(value, str):
            yield read(value)
        else:
            for one in _items(value) if isinstance(value, list) else [value]:
                yield _block(one, read, depth)


def _rich(block: dict[Any, Any], read: Read, depth: int) -> str:
    if depth > _DEEPEST:
        return ""
    elements = [element for element in _items(block.get("elements")) if isinstance(element, dict)]
    parts = [_rich_element(element, read, depth + 1) for element in elements]
    match _string(block, "type"):
        case "rich_text":
            return "\n".join(part.removesuffix("\n") for part in parts)
        case "rich_text_list":
            indent = block.get("indent")
            start = block.get("offset")
            first = start + 1 if type(start) is int else 1
            lead = "  " * (indent if type(indent) is int and 0 < indent <= _DEEPEST else 0)
            ordered = block.get("style") == "ordered"
            return "\n".join(
                f"{lead}{f'{number}.' if ordered else '•'} {part}" for number, part in enumerate(parts, first)
            )
        case "rich_text_quote":
            return "> " + "".join(parts).replace("\n", "\n> ")
        case "rich_text_preformatted":
            return "```\n" + "".join(parts) + "\n```"
        case _:
            return "".join(parts)


def _rich_element(element: dict[Any, Any], read: Read, depth: int) -> str:
    """Mentions go through `read`, in their mrkdwn form, so that they get the same names as elsewhere."""
    text, url = _string(element, "text"), _string(element, "url")
    match _string(element, "type"):
        case "text":
            return text
        case "link":
            return f"{text} ({url})" if text and text != url else url
        case "emoji":
            return f":{_string(element, 'name')}:"
        case "user":
            return read(f"<@{_string(element, 'user_id')}>")
        case "channel":
            return read(f"<#{_string(element, 'channel_id')}>")
        case "usergroup":
            return read(f"<!subteam^{_string(element, 'usergroup_id')}>")
        case "broadcast":
            return f"@{_string(element, 'range')}"
        case "date":
            return _string(element, "fallback") or str(element.get("timestamp", ""))
        case "color":
            return _string(element, "value")
        case _:
            return _block(element, read, depth)


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(of: dict[Any, Any], key: str) -> str:
    value = of.get(key)
    return value if isinstance(value, str) else ""
