"""The bytes of files, in and out. The bot's token goes to Slack's own hosts only.

https://docs.slack.dev/reference/objects/file-object (`url_private_download` wants the token, and answers 200 with a
login page without the scope files:read), https://docs.slack.dev/messaging/working-with-files#upload
"""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException, HTTPMessage, InvalidURL
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit

from connectors.base.errors import Rejected, RetryLater
from connectors.base.secrets import Secret
from connectors.parts.downloads import FetchFailed, FetchLater
from connectors.slack.incoming import mapping, text

#: What an address is made of besides letters and digits (RFC 3986, section 2), and what is encoded already.
_RESERVED = ":/?#[]@!$&'()*+,;=%~"
_HOSTS = ("slack.com", "slack-gov.com", "slack-files.com", "slack-edge.com")
_CHUNK = 65_536
_SCOPE = "Slack gave a web page instead of the file: the bot lacks the scope files:read, or may not see this file"


class Files:
    """Fetches and uploads; threads may share it."""

    def __init__(
        self,
        call: Callable[..., Mapping[str, Any]],
        token: Secret,
        *,
        base_url: str,
        proxy: str | None,
        timeout_s: float,
    ) -> None:
        self._call = call
        self._token = token
        self._own = urlsplit(base_url)
        self._timeout_s = timeout_s
        handlers: list[urllib.request.BaseHandler] = [_Redirects(self._is_slack)]
        # Without a proxy of its own urllib would take the environment's by itself, as is wanted.
        if proxy:
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        self._opener = urllib.request.build_opener(*handlers)

    def fetch(self, entry: Mapping[str, Any]) -> Iterator[bytes]:
        """The bytes of an attachment's file. Raises FetchFailed and FetchLater."""
        reference = mapping(entry.get("ref"))
        url = text(reference.get("url")) or self._address(text(reference.get("id")))
        if not self._is_slack(url):
            raise FetchFailed("not in Slack: the bot's token is not shown to other hosts")
        # Names in addresses are the people's own: spaces, any script.
        url = quote(url, safe=_RESERVED)
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._token.reveal()}"})  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                yield from _content(answer, entry)
        except HTTPError as error:
            with error:
                raise _refused(error) from None
        except InvalidURL as error:
            raise FetchFailed("Slack names an address that is none") from error
        except (URLError, HTTPException) as error:
            raise FetchLater(f"not reachable: {_cause(error)}") from error

    def upload(self, url: str, path: str) -> None:
        """Give the bytes to the address that files.getUploadURLExternal named. Raises Rejected and RetryLater; nothing
        is seen by anybody yet."""
        if not self._is_slack(url):
            raise Rejected("files.getUploadURLExternal named an address that is not Slack's", hint="check base_url")
        size = os.stat(path).st_size
        with open(path, "rb") as source:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            request = urllib.request.Request(url, data=source, headers=headers, method="POST")  # noqa: S310
            try:
                with self._opener.open(request, timeout=self._timeout_s) as answer:
                    answer.read(1000)
            except HTTPError as error:
                with error:
                    if error.code == 429:
                        raise RetryLater("upload: HTTP 429", after_s=_after(error)) from None
                    if error.code < 500:
                        raise Rejected(f"upload: HTTP {error.code}", hint="send it again") from None
                    raise RetryLater(f"upload: HTTP {error.code}") from None
            except (OSError, HTTPException) as error:
                raise RetryLater(f"upload: {_cause(error)}") from error

    def _address(self, file_id: str) -> str:
        """Of a file of another workspace the event says only that there is one."""
        found = mapping(self._call("files.info", file=file_id).get("file"))
        if found.get("is_external"):
            raise FetchFailed("not in Slack: it is only linked here")
        url = text(found.get("url_private_download")) or text(found.get("url_private"))
        if not url:
            raise FetchFailed("Slack names no address for it")
        return url

    def _is_slack(self, url: str) -> bool:
        found = urlsplit(url)
        if (found.scheme, found.netloc) == (self._own.scheme, self._own.netloc):
            return True
        host = found.hostname or ""
        return found.scheme == "https" and any(host == name or host.endswith(f".{name}") for name in _HOSTS)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows, but shows the token to no other host: urllib itself would copy every header."""

    def __init__(self, is_slack: Callable[[str], bool]) -> None:
        self._is_slack = is_slack

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        found = super().redirect_request(req, fp, code, msg, headers, newurl)
        if found is not None and not self._is_slack(newurl):
            found.remove_header("Authorization")
        return found


def _content(answer: Any, entry: Mapping[str, Any]) -> Iterator[bytes]:
    """The file's bytes, if they are that: as Slack announced, by kind and by size."""
    kind, promised = answer.headers.get_content_type(), text(entry.get("media_type"))
    size, length = entry.get("size"), answer.headers.get("Content-Length")
    page = kind == "text/html" and promised != "text/html"
    if page or (kind == "text/html" and isinstance(size, int) and length is not None and length != str(size)):
        raise FetchFailed(_SCOPE)
    total = 0
    while chunk := answer.read(_CHUNK):
        total += len(chunk)
        yield chunk
    if isinstance(size, int) and total < size:
        raise FetchLater(f"{total} bytes came instead of {size}")


def _refused(error: HTTPError) -> Exception:
    if error.code == 429:
        return FetchLater("Slack asks for a pause", after_s=_after(error))
    if error.code >= 500:
        return FetchLater(f"HTTP {error.code}")
    if error.code in (401, 403):
        return FetchFailed(f"HTTP {error.code}: the bot lacks the scope files:read, or may not see this file")
    return FetchFailed(f"HTTP {error.code}: deleted, or not there any more")


def _after(error: HTTPError) -> float:
    try:
        return max(0.1, float(error.headers.get("Retry-After") or 30))
    except ValueError:
        return 30.0


def _cause(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    return "no answer in time" if isinstance(cause, TimeoutError) else str(cause) or type(cause).__name__
