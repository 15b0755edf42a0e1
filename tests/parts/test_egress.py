"""Addresses that somebody else chose: what may be asked, and that what was checked is what is asked."""

import asyncio

import httpx
import pytest

from connectors.base.errors import Rejected, RetryLater
from connectors.parts.egress import Guard, Target, is_public

ANY = "0.0.0.0"  # noqa: S104 - as where to connect to, not to listen on


def check(url: str, *addresses: str, allow: tuple[str, ...] = ()) -> Target:
    async def look_up(host: str, port: int) -> list[str]:
        if not addresses:
            raise OSError("no such name")
        return list(addresses)

    return asyncio.run(Guard(allow, look_up=look_up).check(httpx.URL(url)))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", ANY),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254", "x"),
    ],
)
def test_private_loopback_link_local_and_metadata_addresses_are_not(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Rejected, match="refused"):
        check("https://evil.example/x", address)


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    target = check("https://hooks.example:8443/x?y=1", "93.184.216.34")
    assert str(target.url) == "https://93.184.216.34:8443/x?y=1"
    assert (target.host, target.name) == ("hooks.example:8443", "hooks.example")


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(Rejected, match="refused"):
        check("https://evil.example/", "93.184.216.34", "10.0.0.1")


@pytest.mark.parametrize("allow", ["inside.example", "inside.example:8080", "10.0.0.0/8", "10.0.0.1"])
def test_what_is_listed_may_be_private(allow: str) -> None:
    check("http://inside.example:8080/", "10.0.0.1", allow=(allow,))


def test_with_a_list_nothing_else_may_be_asked() -> None:
    with pytest.raises(Rejected, match="refused"):
        check("https://public.example/", "93.184.216.34", allow=("inside.example",))
    with pytest.raises(Rejected, match="refused"):
        check("http://inside.example:9/", "10.0.0.1", allow=("inside.example:8080",))


@pytest.mark.parametrize("url", ["ftp://a.example/", "file:///etc/passwd", "https://u:p@a.example/", "/relative", ""])
def test_other_schemes_and_credentials_are_refused(url: str) -> None:
    with pytest.raises(Rejected):
        check(url, "93.184.216.34")


def test_a_name_that_cannot_be_resolved_now_may_be_later() -> None:
    with pytest.raises(RetryLater):
        check("https://gone.example/")
