"""The requests to GitHub's REST API: the only module that knows httpx.

https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api. The token goes to the host of
`base_url` and to no other, wherever a redirect or a Link header may lead.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from connectors.base.errors import ConfigError, RetryLater
from connectors.github.faults import MOST_S, Limited, Nonsense, judge, now_of
from connectors.github.options import GithubOptions
from connectors.parts.rates import Rates

_MAX_REDIRECTS = 5
#: 100 comments of 65,536 characters, each of up to four bytes, and as much again.
_MAX_BYTES = 64_000_000
#: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
_WRITES = ((1, 1.0), (80, 60.0), (500, 3600.0))
#: Of what is left until the reset, polls use so much; the rest is for sends, and for the account's other programs.
_SHARE = 0.8
_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "mailbox-connectors",
}


@dataclass(frozen=True)
class Answer:
    """A good one. `data` is None, and `fresh` false, for what is as it was. Header names are in lower case."""

    data: Any
    headers: Mapping[str, str]
    next: str | None = None  #: the address of the next page
    fresh: bool = True

    @property
    def etag(self) -> str | None:
        return self.headers.get("etag")

    @property
    def now(self) -> float:
        """GitHub's time, in seconds since 1970."""
        return now_of(self.headers)


class Client:
    """One account, or nobody. Thread-safe."""

    def __init__(self, options: GithubOptions) -> None:
        headers = dict(_HEADERS)
        if options.token is not None:
            headers["Authorization"] = f"Bearer {options.token.reveal()}"
        self._limit_s = options.timeout_s
        try:
            self._base = httpx.URL(options.base_url)
            self._http = httpx.Client(headers=headers, timeout=httpx.Timeout(options.timeout_s, connect=10.0))
        except (httpx.InvalidURL, ValueError, OSError) as error:
            raise ConfigError(f"no client for GitHub: {error}", hint="see base_url, and the proxy variables") from error
        self._lock = threading.Lock()
        self._writes = Rates(overall=_WRITES)
        self._closed_until = 0.0  # on the monotonic clock
        self._strikes = 0
        self._left: tuple[int, float] | None = None  # requests, and until when on the monotonic clock
        self.count = 0  #: requests that counted against the limit

    def close(self) -> None:
        """Safe twice."""
        self._http.close()

    # ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, where: str, etag: str | None = None, **query: str) -> Answer:
        """`where`: a path, or an address that GitHub gave. Raises Refused, Nonsense, Limited, AuthError, RetryLater."""
        headers = {"If-None-Match": etag} if etag else {}
        return self._call("GET", where, params=query or None, headers=headers)

    def write(self, method: str, path: str, body: Mapping[str, Any]) -> Answer:
        """Raises as `get` does; RetryLater says whether it may have been done."""
        return self._call(method, path, json=body)

    def write_wait_s(self) -> float:
        """In how many seconds GitHub wants to be written to; 0: now, and that counts."""
        return max(self._writes.acquire(""), self._held_s())

    def pause_s(self, requests: int, sources: int) -> float:
        """How long to wait until so many requests may be made again, where so many sources share what is left."""
        with self._lock:
            if self._left is None:
                return 0.0
            left, until = self._left
        wait_s = min(MOST_S, until - time.monotonic())  # in this order: of NaN it is MOST_S
        return max(0.0, min(wait_s, wait_s * requests * sources / max(1.0, left * _SHARE)))

    # ── one request ───────────────────────────────────────────────────────────────────────────────────────────

    def _call(self, method: str, where: str, **request: Any) -> Answer:
        held_s = self._held_s()
        if held_s > 0:
            raise Limited("GitHub's rate limit: nothing is asked before its end", after_s=held_s)
        url = self._own(self._base.join(where) if "://" in where else httpx.URL(f"{self._base}{where}"))
        what = f"{method} {url.path}"
        for _ in range(_MAX_REDIRECTS):
            answer, text = self._send(method, url, **request)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            if answer.status_code in (301, 302, 307, 308) and "location" in headers:
                self._note(headers, counts=True)
                url, request = self._own(url.join(headers["location"])), {**request, "params": None}
                continue
            return self._read(answer, headers, text, what, wrote=method != "GET")
        raise Nonsense(f"{what}: redirected {_MAX_REDIRECTS} times")

    def _own(self, url: httpx.URL) -> httpx.URL:
        if (url.scheme, url.host, url.port) != (self._base.scheme, self._base.host, self._base.port):
            raise Nonsense(f"GitHub leads to {url.scheme}://{url.host}, where the token does not go")
        return url

    def _send(self, method: str, url: httpx.URL, **request: Any) -> tuple[httpx.Response, bytes]:
        """The answer, and all of its body, within the time limit. Raises RetryLater."""
        end = time.monotonic() + self._limit_s
        try:
            answer = self._http.send(self._http.build_request(method, url, **request), stream=True)
            try:
                data = bytearray()
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > _MAX_BYTES or time.monotonic() > end:
                        why = "too long" if len(data) > _MAX_BYTES else f"not complete within {self._limit_s:g} s"
                        raise Nonsense(f"{method} {url.path}: the answer is {why}", ambiguous=method != "GET")
            finally:
                answer.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RetryLater(f"GitHub is not reachable: {str(error) or type(error).__name__}") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            why = str(error) or type(error).__name__
            raise RetryLater(f"{method} {url.path}: no answer: {why}", ambiguous=method != "GET") from error
        return answer, bytes(data)

    def _read(
        self, answer: httpx.Response, headers: Mapping[str, str], text: bytes, what: str, *, wrote: bool
    ) -> Answer:
        status = answer.status_code
        self._note(headers, counts=status != 304 or "authorization" not in answer.request.headers)
        if status == 304:
            return Answer(None, headers, fresh=False)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
            if status < 400:
                raise Nonsense(f"{what}: the answer is no JSON: {_begin(text)}", ambiguous=wrote) from None
        error = judge(status, headers, data, what, strikes=self._strikes, wrote=wrote)
        if isinstance(error, Limited):
            self._strike(error.after_s or 0.0)
        else:
            self._strikes = 0
        if error is not None:
            raise error
        return Answer(data, headers, answer.links.get("next", {}).get("url"))

    # ── the limits ────────────────────────────────────────────────────────────────────────────────────────────

    def _held_s(self) -> float:
        return self._closed_until - time.monotonic()

    def _strike(self, wait_s: float) -> None:
        """Nobody asks before that: who goes on asking may be banned, says GitHub."""
        with self._lock:
            self._strikes += 1
            self._closed_until = max(self._closed_until, time.monotonic() + wait_s)

    def _note(self, headers: Mapping[str, str], *, counts: bool) -> None:
        now = time.monotonic()
        try:
            left, reset_s = int(headers["x-ratelimit-remaining"]), float(headers["x-ratelimit-reset"]) - now_of(headers)
        except (KeyError, ValueError):  # GitHub Enterprise Server, with no limit
            left, reset_s = None, 0.0
        with self._lock:
            self.count += counts
            self._left = None if left is None else (left, now + reset_s)
            if left == 0:  # the next request would only be refused
                self._closed_until = max(self._closed_until, now + min(reset_s, MOST_S) + 1)


def _begin(text: bytes) -> str:
    """Enough to see what it is."""
    return repr(text[:60].decode("utf-8", "replace")) if text else "it is empty"
