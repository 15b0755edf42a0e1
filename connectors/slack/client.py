"""The only importer of slack_sdk: calls of the Web API. Errors are mapped here.

`WebClient` holds no state between calls and may be shared by threads (slackapi/python-slack-sdk#1397). Its retries are
off: they would post twice after a cut connection (http_retry/__init__.py), and hide a rate limit from who has to know.
"""

from __future__ import annotations

import errno
import json
import logging
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, cast
from urllib.error import URLError
from urllib.parse import urlsplit

from connectors.base.errors import AuthError, MissingDependency, Rejected, RetryLater
from connectors.base.secrets import Secret
from connectors.slack.answers import error_for

try:
    from slack_sdk.errors import SlackApiError, SlackRequestError
    from slack_sdk.web.client import WebClient
except ImportError as error:
    raise MissingDependency(
        "the Slack SDK is not installed", install="pip install 'mailbox-connectors[slack]'"
    ) from error

#: The SDK's log lines repeat what the errors say, some with the addresses of sockets, which are credentials.
_QUIET = logging.getLogger("slack_sdk.quiet")
_QUIET.setLevel(logging.CRITICAL + 1)
#: Before any of these a connection existed: nothing was sent.
_NOT_SENT = (ConnectionRefusedError, socket.gaierror, ssl.SSLCertVerificationError)
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN})


class Web:
    """The Web API with one token; threads may share it."""

    def __init__(self, token: Secret, *, base_url: str, timeout_s: float, proxy: str | None = None) -> None:
        self.proxy = proxy or proxy_for(base_url)
        self._timeout_s = timeout_s
        # Seconds as a float are as good to urllib, which is all that sees them.
        timeout = cast(int, timeout_s)
        self._client = WebClient(
            token.reveal(), base_url=base_url, timeout=timeout, proxy=self.proxy, logger=_QUIET, retry_handlers=[]
        )
        self._client.proxy = self.proxy  # otherwise the SDK takes one from the environment, NO_PROXY or not

    def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """The answer. Raises AuthError, Rejected and RetryLater as `answers.error_for` says."""
        return self.ask(method, **arguments)[0]

    def ask(self, method: str, **arguments: Any) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        """`call`, and the answer's headers in lower case."""
        # As a form: the methods that read take no JSON (https://docs.slack.dev/apis/web-api/, "POST bodies").
        given = {name: _form(value) for name, value in arguments.items() if value is not None}
        try:
            response = self._client.api_call(method, params=given)
        except SlackApiError as error:
            raise _said(method, error.response) from error
        except SlackRequestError as error:
            raise Rejected(f"{method}: {error}") from error
        except (OSError, HTTPException) as error:
            said = f"{method}: {urlsplit(self._client.base_url).hostname}: {reason(error)}"
            raise RetryLater(said, ambiguous=may_have_arrived(error)) from error
        answer = response.data if isinstance(response.data, Mapping) else {}
        return answer, {str(name).lower(): str(value) for name, value in response.headers.items()}


def _form(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _said(method: str, response: Any) -> Exception:
    status = int(getattr(response, "status_code", 200))
    headers = {str(name).lower(): value for name, value in (getattr(response, "headers", None) or {}).items()}
    data = getattr(response, "data", None)
    answer = data if isinstance(data, Mapping) else {}
    if status >= 500 or "non-JSON" in str(answer.get("error", "")):  # a page of somebody's proxy
        answer = {}
    return error_for(method, answer, status, headers.get("retry-after"))


def may_have_arrived(error: Exception) -> bool:
    """Whether a request that ended in `error` may have had its effect. urllib wraps what goes wrong while it connects
    and sends in URLError, and lets through what happens while it waits for the answer."""
    if not isinstance(error, URLError) or not isinstance(error.reason, Exception):
        return True
    cause = error.reason
    return not isinstance(cause, _NOT_SENT) and getattr(cause, "errno", None) not in _NO_ROUTE


def reason(error: Exception) -> str:
    """What went wrong, in one line."""
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return str(cause) or type(cause).__name__


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this address, NO_PROXY honoured."""
    return (
        None if bypassed(url) else urllib.request.getproxies().get("https") or urllib.request.getproxies().get("http")
    )


def bypassed(url: str) -> bool:
    """Whether NO_PROXY names the host."""
    host = urlsplit(url).hostname or ""
    return bool(urllib.request.proxy_bypass(host)) if host else False


def check_kinds(bot_token: Secret, app_token: Secret) -> None:
    """Raises AuthError for tokens that were swapped."""
    for name, token, wrong, right in (
        ("bot_token", bot_token, ("xapp-",), "xoxb-"),
        ("app_token", app_token, ("xoxb-", "xoxp-"), "xapp-"),
    ):
        if token.reveal().startswith(wrong):
            kind = "an app-level token" if wrong == ("xapp-",) else "a bot or user token"
            raise AuthError(f"{name} holds {kind}", hint=f"{name} is the one that begins with {right}")
