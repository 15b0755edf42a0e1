"""The header Retry-After: for how long whoever answered wants to be left alone. Pure: no I/O, no clock."""

from __future__ import annotations

import math
from datetime import datetime
from email.utils import parsedate_to_datetime


def wait_of(text: str, now: datetime, *, least_s: float, most_s: float, otherwise_s: float) -> float:
    """RFC 9110, 10.2.3: seconds, or a date. Within these bounds; `otherwise_s` for what is neither."""
    try:
        wait_s = float(text)
    except ValueError:
        try:
            wait_s = (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            wait_s = otherwise_s
    return otherwise_s if math.isnan(wait_s) else min(max(wait_s, least_s), most_s)
