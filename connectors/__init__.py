"""Connectors between chat platforms and an agent, with a folder as the interface.

`from connectors import Mailbox` is the client for agents. Everything is loaded when it is first used, so that
`import connectors` costs nothing.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.base.claimed import Claimed
    from connectors.base.errors import ConnectorError
    from connectors.base.mailbox import Mailbox
    from connectors.base.message import Message, OutgoingMessage
    from connectors.base.readers import Ambiguous, Event, LostClaim, NotFound

__all__ = [
    "Ambiguous",
    "Claimed",
    "ConnectorError",
    "Event",
    "LostClaim",
    "Mailbox",
    "Message",
    "NotFound",
    "OutgoingMessage",
]

# A home's own `connectors/<type>/` is found beside the package's, so that `python -m connectors.<type>.connector`
# works from there. The package's own modules come first.
__path__ = [*__path__, *(os.path.join(folder, "connectors") for folder in sys.path)]

_MODULES = {
    "Ambiguous": "readers",
    "Claimed": "claimed",
    "ConnectorError": "errors",
    "Event": "readers",
    "LostClaim": "readers",
    "Mailbox": "mailbox",
    "Message": "message",
    "NotFound": "readers",
    "OutgoingMessage": "message",
}


def __getattr__(name: str) -> Any:
    try:
        module = import_module(f"connectors.base.{_MODULES[name]}")
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
