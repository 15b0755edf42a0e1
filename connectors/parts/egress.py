"""Requests to addresses that somebody else chose: never to where only this machine, or its network, may ask.

The name is resolved here, every address that it has must be public, and the connection goes to the address that was
checked: a name that leads elsewhere a moment later (DNS rebinding) gains nothing. The same holds for every redirect.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.base.errors import Rejected, RetryLater

if TYPE_CHECKING:
    import httpx

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
#: RFC 6052: the last 32 bits are an IPv4 address, to which the network's translator connects.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Target:
    """Where to connect, and under which name."""

    url: httpx.URL  #: with the checked address in place of the name
    host: str  #: for the Host header
    name: str  #: for TLS


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(text: str) -> bool:
    """Whether an address belongs to the public internet; what is wrapped in it (IPv4 in IPv6) must as well."""
    try:
        address: _Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and not is_public(str(inner)):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast and not address.is_reserved


class Guard:
    """`allow`: names (`hooks.example.com`, with `:port` if only that), addresses and networks (`10.1.0.0/16`).

    With an empty list every public address may be asked. With entries only those may, and an address that one of them
    names may be private.
    """

    def __init__(self, allow: Sequence[str], *, look_up: Resolve = resolve) -> None:
        self._names = {entry.lower() for entry in allow}
        self._networks = [network for network in map(_network, allow) if network is not None]
        self._open = not allow
        self._look_up = look_up

    async def check(self, url: httpx.URL) -> Target:
        """Raises Rejected for what may not be asked, RetryLater when the name cannot be resolved now."""
        if url.scheme not in ("http", "https") or not url.host:
            raise Rejected(f"a callback has to be an http or https address, not {url.scheme or 'nothing'}")
        if url.userinfo:
            raise Rejected("a callback may not carry a user name or password")
        port = url.port or (443 if url.scheme == "https" else 80)
        named = url.host.lower() in self._names or f"{url.host.lower()}:{port}" in self._names
        try:
            addresses = await self._look_up(url.host, port)
        except (OSError, UnicodeError) as error:
            raise RetryLater(f"{url.host} cannot be resolved: {error}") from error
        if not addresses:
            raise RetryLater(f"{url.host} has no address")
        for address in addresses:
            if not (named or self._is_listed(address) or (self._open and is_public(address))):
                raise Rejected(
                    f"callbacks to {url.host} are refused",
                    hint="it is not public, or not in callback_hosts: add the name or the network there if it is meant",
                )
        host = url.netloc.decode("ascii")
        return Target(url.copy_with(host=addresses[0].partition("%")[0]), host, url.host)

    def _is_listed(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
