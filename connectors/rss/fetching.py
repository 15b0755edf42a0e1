"""One feed fetched over HTTP: conditionally, guarded, bounded, and every answer made into what happens next.

Statuses and headers: RFC 9110 (redirects 15.4, 410 15.5.11, Retry-After 10.2.3, conditional requests 13).
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from connectors.base.errors import Rejected, RetryLater
from connectors.parts.egress import Guard, Target
from connectors.parts.retry_after import wait_of
from connectors.rss.faults import FeedError, Gone
from connectors.rss.inflating import ENCODINGS, Body
from connectors.rss.options import ArticleFeed

if TYPE_CHECKING:
    import httpx

_ACCEPTS = "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOR_GOOD = frozenset({301, 308})
#: Who asks for a longer wait is believed up to here; so often a feed that is gone is asked whether it has come back.
_MAX_WAIT_S = GONE_WAIT_S = 86_400.0


@dataclass(frozen=True)
class Answer:
    """`body` is None when nothing has changed. `moved`: where the feed is now, for good."""

    url: str
    body: bytes | None = None
    content_type: str = ""
    etag: str = ""
    modified: str = ""
    moved: str = ""


class Fetcher:
    """Each `fetch` has its own connection; several may run at once, each in a thread."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._context = ssl.create_default_context()

    def fetch(self, url: str, feed: ArticleFeed, *, etag: str = "", modified: str = "") -> Answer:
        """Ask `url`, which is the feed's own, or where it has moved to.

        Raises FeedError for what is wrong with this feed, RetryLater where the site says for how long.
        """
        headers = {"User-Agent": self._user_agent, "Accept": _ACCEPTS, "Accept-Encoding": ENCODINGS}
        headers |= {"If-None-Match": etag} if etag else {}
        headers |= {"If-Modified-Since": modified} if modified else {}
        try:
            return asyncio.run(self._fetch(url, feed, headers))
        except Rejected as error:
            hint = "if it is meant, set private: true" if not feed.private else "give the address that it leads to"
            raise FeedError(f"{url}: it leads to an address that is not public", hint=hint) from error
        except RetryLater as error:
            if error.after_s is None:  # its name has no address now
                raise FeedError(f"{url}: {error}") from error
            raise

    async def _fetch(self, url: str, feed: ArticleFeed, headers: Mapping[str, str]) -> Answer:
        import httpx

        try:
            async with (
                asyncio.timeout(feed.timeout_s),
                # No proxy: it would do the resolving. One limit is for all of it.
                httpx.AsyncClient(verify=self._context, timeout=None, trust_env=False) as client,  # noqa: S113 - above
            ):
                return await self._follow(client, httpx.URL(url), feed, headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise FeedError(f"{url}: the address cannot be used: {error}") from error
        except TimeoutError as error:
            raise FeedError(f"{url}: no answer within {feed.timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise FeedError(f"{url}: {str(error) or type(error).__name__}") from error

    async def _follow(
        self, client: httpx.AsyncClient, url: httpx.URL, feed: ArticleFeed, headers: Mapping[str, str]
    ) -> Answer:
        first, for_good = url, True
        for _ in range(_MAX_REDIRECTS + 1):
            target = await _check(url, feed)
            own = (url.scheme, url.host, url.port) == (first.scheme, first.host, first.port)
            request = client.build_request(
                "GET", target.url, headers={**headers, **(_proof(feed) if own else {}), "Host": target.host}
            )
            request.extensions["sni_hostname"] = target.name
            answer = await client.send(request, stream=True)
            try:
                if answer.status_code not in _REDIRECTS or "Location" not in answer.headers:
                    return await _judge(answer, url, feed, moved=str(url) if for_good and url != first else "")
            finally:
                await answer.aclose()
            for_good = for_good and answer.status_code in _FOR_GOOD
            url = url.join(answer.headers["Location"])
        raise FeedError(f"{first}: redirected more than {_MAX_REDIRECTS} times")


async def _check(url: httpx.URL, feed: ArticleFeed) -> Target:
    """Only the feed's own host may be private, and only if the operator says so: nobody else can lead there."""
    import httpx

    meant = feed.private and url.host == httpx.URL(feed.url).host
    return await Guard([url.host] if meant else []).check(url)


def _proof(feed: ArticleFeed) -> dict[str, str]:
    if feed.bearer is not None:
        return {"Authorization": f"Bearer {feed.bearer.reveal()}"}
    if feed.basic is not None:
        return {"Authorization": f"Basic {base64.b64encode(feed.basic.reveal().encode()).decode()}"}
    return {}


async def _judge(answer: httpx.Response, url: httpx.URL, feed: ArticleFeed, *, moved: str) -> Answer:
    status, said = answer.status_code, f"{url}: {answer.status_code} {answer.reason_phrase}"
    headers = answer.headers
    if status == 304:
        return Answer(str(url), moved=moved)
    if status == 410:
        raise Gone(f"{said}: the feed is gone, remove it from connectors.yml", after_s=GONE_WAIT_S)
    if status in (429, 503) and "Retry-After" in headers:
        asked, now = headers["Retry-After"], datetime.now(UTC)
        raise RetryLater(said, after_s=wait_of(asked, now, least_s=1.0, most_s=_MAX_WAIT_S, otherwise_s=60.0))
    if status in (401, 403):
        raise FeedError(f"{said}: it wants to know who asks", hint="set basic or bearer of this feed, or renew them")
    if status != 200:
        raise FeedError(said, hint="open the address in a browser" if status < 500 else "")
    declared = headers.get("Content-Length", "")
    body = Body(headers.get("Content-Encoding", ""), feed.max_bytes)
    if declared.isdigit() and int(declared) > feed.max_bytes:
        raise FeedError(
            f"{url}: the feed has {int(declared):,} bytes", hint="if that is meant, raise max_bytes of this feed"
        )
    async for piece in answer.aiter_raw():
        body.add(piece)
    return Answer(
        str(url),
        body.whole(),
        headers.get("Content-Type", ""),
        headers.get("ETag", ""),
        headers.get("Last-Modified", ""),
        moved,
    )
