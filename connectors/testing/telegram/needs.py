"""aiohttp, or a text that says how to get it: the fake needs the extra `testing`."""

from __future__ import annotations

from connectors.base.errors import MissingDependency

try:
    from aiohttp import ClientError, ClientSession, ClientTimeout, web
except ImportError as missing:
    raise MissingDependency(
        "the fake Telegram needs aiohttp", install="pip install 'mailbox-connectors[testing]'"
    ) from missing

__all__ = ["ClientError", "ClientSession", "ClientTimeout", "web"]
