"""What all parts of one instance's sending share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from connectors.base.ends import Ends
from connectors.base.home import Home
from connectors.base.sending import Sending
from connectors.base.settings import DeliveryPolicy, Limits
from connectors.base.store import Store


@dataclass(frozen=True)
class Outbound:
    """One instance's way out. `on_event(what, **fields)` is told what happens; `clock` is the wall clock."""

    home: Home
    name: str
    store: Store
    ends: Ends
    sending: Sending
    policy: DeliveryPolicy
    limits: Limits
    stop: threading.Event
    on_event: Callable[..., None]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    logger: logging.Logger
