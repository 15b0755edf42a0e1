"""Who may send at all: without a secret only programs of this machine, and no web page in a browser on it."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections.abc import Callable, Mapping

from connectors.base.errors import ConfigError
from connectors.base.logbook import visible
from connectors.parts.signatures import BadSignature, Scheme, check_secret

#: Refusals are logged this often at most; what comes in between is counted.
_LOG_EVERY_S = 60.0


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to it. A name that is none of the usual ones counts as not."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost")


def check_access(host: str, scheme: Scheme, secret: str | None) -> None:
    """Raises ConfigError for an empty secret, and for an address that others can reach without one."""
    if secret is not None:
        check_secret(scheme, secret)
    elif not is_loopback(host):
        raise ConfigError(
            f"host {host} can be reached by others, and there is no secret",
            hint="set secret (and scheme), or listen on 127.0.0.1 behind a proxy",
        )


def check_local(headers: Mapping[str, str], size: int) -> None:
    """Without a secret: a web page in somebody's browser must not be able to send. Raises BadSignature.

    A page can post to 127.0.0.1, but it cannot leave out Origin, nor send JSON elsewhere without asking first
    (https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CORS#simple_requests); under a name of its own that
    leads here it says so in Host.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise BadSignature("Requests of web pages need a secret")
    if size and not (media_type == "application/json" or media_type.endswith("+json")):
        raise BadSignature("Without a secret only application/json is accepted")
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        if not is_loopback(name):
            raise BadSignature("Requests under another name need a secret") from None


class Refusals:
    """Tells the operator, who would otherwise wonder why nothing comes; strangers cannot fill the log with it."""

    def __init__(self, logger: logging.Logger, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._now = monotonic
        self._silent_until = float("-inf")
        self._count = 0

    def note(self, why: str, remote: str) -> None:
        """One more."""
        self._count += 1
        if self._now() >= self._silent_until:
            more = f" ({self._count} in all since the last such line)" if self._count > 1 else ""
            self._logger.warning("refused a request of %s: %s%s", visible(remote), why, more)
            self._silent_until, self._count = self._now() + _LOG_EVERY_S, 0
