"""Names of emoji, as Slack's reactions want them."""

from __future__ import annotations

from connectors.base.errors import Rejected

#: What agents write most; the names are those of https://github.com/iamcal/emoji-data, which Slack uses.
_NAMES = {
    "👍": "+1", "👎": "-1", "❤": "heart", "🔥": "fire", "🎉": "tada", "👀": "eyes", "✅": "white_check_mark",
    "❌": "x", "🙏": "pray", "🚀": "rocket", "😄": "smile", "😂": "joy", "😢": "cry", "🤔": "thinking_face",
    "👏": "clap", "💯": "100", "⚠": "warning", "❓": "question", "❗": "exclamation", "⏳": "hourglass_flowing_sand",
    "👌": "ok_hand", "👋": "wave", "🙌": "raised_hands", "💡": "bulb", "🤖": "robot_face", "🐛": "bug",
    "✔": "heavy_check_mark", "⭐": "star", "😍": "heart_eyes", "😮": "open_mouth", "😡": "rage", "💩": "hankey",
}  # fmt: skip


def emoji_name(given: str) -> str:
    """The name of an emoji that is given by its name, with or without colons, or by itself. Raises Rejected."""
    word = given.strip().strip(":")
    bare = word.replace("\ufe0f", "")
    if bare in _NAMES:
        return _NAMES[bare]
    if not word:
        raise Rejected("react needs an emoji", hint="emoji is a name such as thumbsup, without colons")
    if not word.isascii():
        raise Rejected(f"no name is known for the emoji {given!r}", hint="give its name, such as thumbsup")
    return word
