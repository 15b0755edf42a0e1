"""Why something failed, in a text that may go into an event: no credential, no signed address, one short line."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from connectors.base.logbook import visible
from connectors.base.secrets import Redactor

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_QUERY = re.compile(r"\?[^\s'\"<>?]*=[^\s'\"<>]*")
_MAX_CHARS = 300


def reason_of(text: str, redactor: Redactor) -> str:
    """`text` without secrets; an address that has a query, a fragment or userinfo is cut to scheme and host.

    Any other query is cut as well: HTTP libraries name the path and the query alone.
    """
    text = _URL.sub(lambda found: _cut(found[0]), redactor.redact(text))
    text = visible(" ".join(_QUERY.sub("?…", text).split()))
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 1] + "…"


def _cut(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # no address that anybody could use
        return url.partition("://")[0] + "://…"
    if parts.query or parts.fragment or "@" in parts.netloc:
        return f"{parts.scheme}://{host}"
    return url
