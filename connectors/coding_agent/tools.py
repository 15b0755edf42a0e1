"""Where each tool wants to be told of its hooks, and whether that is done, as far as this machine's user shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.base.registration import Integration

#: In a command, in a list of its words, in a call of a program.
_CALL = re.compile(r"\bconnectors\W+hook\b")


def _installed(*files: str) -> Callable[[Any], bool]:
    """Whether one of these files of the user names the hook."""

    def check(options: Any) -> bool:  # noqa: ARG001 - what every check is given
        for file in files:
            path = Path(file).expanduser()
            if path.is_file() and _CALL.search(path.read_text(encoding="utf-8", errors="replace")):
                return True
        raise LookupError("a project may have it in files of its own, which nobody knows here")

    return check


CLAUDE_CODE = Integration(
    "claude-code-hook",
    "SessionStart, Stop and SessionEnd in ~/.claude/settings.json run `connectors hook NAME`",
    platform="claude-code",
    help_url="https://code.claude.com/docs/en/hooks",
    check=_installed("~/.claude/settings.json"),
)
CODEX = Integration(
    "codex-hook",
    "SessionStart and Stop in ~/.codex/hooks.json, or notify in config.toml, run `connectors hook NAME`",
    platform="codex",
    help_url="https://developers.openai.com/codex/hooks",
    check=_installed("~/.codex/hooks.json", "~/.codex/config.toml"),
)
OPENCODE = Integration(
    "opencode-plugin",
    "a plugin in ~/.config/opencode/plugins runs `connectors hook NAME`; the README has it",
    platform="opencode",
    help_url="https://opencode.ai/docs/plugins",
    check=_installed("~/.config/opencode/plugins/mailbox.js"),
)
_PI_EXTENSION = "an extension in ~/.pi/agent/extensions runs `connectors hook NAME`; the README has it"
_PI_DOCS = "https://github.com/badlogic/pi-mono/blob/main/packages/coding-agent/docs/extensions.md"
_PI_CHECK = _installed("~/.pi/agent/extensions/mailbox.ts")
PI = Integration("pi-extension", _PI_EXTENSION, platform="pi", help_url=_PI_DOCS, check=_PI_CHECK)
PI_RUST = Integration("pi-rust-extension", _PI_EXTENSION, platform="pi-rust", help_url=_PI_DOCS, check=_PI_CHECK)
OTHER = Integration("hook", "the tool's hooks run `connectors hook NAME`, or post to /webhook/NAME")
