"""The methods of the Bot API by their names in lower case: the platform takes them in any case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.testing.telegram.params import Params
from connectors.testing.telegram.world import World

Method = Callable[[World, Params], Any]

METHODS: dict[str, Method] = {}
#: the spelling of the documentation, for the journal
NAMES: dict[str, str] = {"getupdates": "getUpdates"}


def method(*names: str) -> Callable[[Method], Method]:
    """Serve these methods with the function; it is called with the world's lock held."""

    def enter(function: Method) -> Method:
        for name in names:
            METHODS[name.lower()] = function
            NAMES[name.lower()] = name
        return function

    return enter
