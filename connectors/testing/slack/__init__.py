"""A Slack to test against, on loopback: `python -m connectors.testing.slack`, or `FakeSlack` in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.testing.slack.fake import FakeSlack

__all__ = ["FakeSlack"]


def __getattr__(name: str) -> Any:
    if name != "FakeSlack":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from connectors.testing.slack.fake import FakeSlack

    return FakeSlack
