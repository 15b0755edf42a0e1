"""Calls for a chat: what the platform's flood control answers is that chat's, and no other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connectors.base.errors import RetryLater
from connectors.parts.rates import Rates
from connectors.telegram.ids import Target
from connectors.telegram.media import Out

if TYPE_CHECKING:
    from connectors.telegram.client import Client


class Calls:
    """The client, and the pace."""

    def __init__(self, client: Client, rates: Rates) -> None:
        self._client = client
        self._rates = rates

    def call(self, method: str, target: Target, *, files: Mapping[str, Out] | None = None, **parameters: Any) -> Any:
        """As `Client.call`."""
        try:
            return self._client.call(method, files=files, **parameters)
        except RetryLater as error:
            if error.after_s is not None:
                self._rates.penalise(target.key, error.after_s)  # the other chats go on
            raise
