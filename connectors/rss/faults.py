"""What can be wrong with one feed, while the others go on."""

from __future__ import annotations

from connectors.base.errors import ConnectorError, RetryLater


class FeedError(ConnectorError):
    """This feed cannot be read now: it waits, and is tried again."""


class Gone(RetryLater):
    """The site says that there is no such feed any more, and never will be."""
