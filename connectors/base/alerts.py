"""Tell a person: run a command or call a URL, with a rate limit, and never in anybody's way.

The manager only starts a process for it; `deliver` runs in that process. The command gets the alert as JSON on stdin
and in `MAILBOX_ALERT_*` variables; the URL gets the same JSON as a POST.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from connectors.base import process
from connectors.base.settings import Alerts

COMMAND_LIMIT_S = 30.0
URL_LIMIT_S = 10.0


@dataclass(frozen=True)
class Alert:
    """What happened; redacted. `suppressed`: as many of the same kind were not sent since the last one."""

    instance: str
    kind: str
    text: str
    hint: str
    at: str
    home: str
    suppressed: int = 0


class Alerter:
    """Sends alerts, at most one per instance and kind in `min_interval_s`."""

    def __init__(
        self,
        settings: Alerts,
        *,
        redact: Callable[[str], str],
        monotonic: Callable[[], float],
        output_fd: int,
        lifeline_fd: int | None = None,
    ) -> None:
        self.settings = settings
        self._redact = redact
        self._monotonic = monotonic
        self._output_fd = output_fd
        self._lifeline_fd = lifeline_fd
        self._sent: dict[tuple[str, str], float] = {}
        self._suppressed: dict[tuple[str, str], int] = {}
        self._children: list[process.Child] = []

    def fire(self, alert: Alert) -> bool:
        """Start to send it. False when nobody wants it, or it comes too soon after the last one of its kind."""
        settings = self.settings
        if alert.kind not in settings.on or not (settings.command or settings.url):
            return False
        key, now = (alert.instance, alert.kind), self._monotonic()
        if key in self._sent and now - self._sent[key] < settings.min_interval_s:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return False
        self._sent[key] = now
        told = {name: self._redact(str(value)) for name, value in asdict(alert).items()}
        argument = {
            "alert": {**told, "suppressed": self._suppressed.pop(key, 0)},
            "command": settings.command,
            "url": settings.url,
            "lifeline_fd": self._lifeline_fd,
        }
        keep = () if self._lifeline_fd is None else (self._lifeline_fd,)
        stdio = (None, self._output_fd, self._output_fd)
        try:
            child = process.launch("connectors.base.alerts:deliver", argument, name="alert", stdio=stdio, keep=keep)
        except OSError:
            return False  # no process left: what is wrong is worse than this alert
        self._children.append(child)
        return True

    def reap(self) -> bool:
        """Look after the processes that send; True while there are any."""
        for child in self._children:
            if child.poll() is not None:
                child.close()
        self._children = [child for child in self._children if child.status is None]
        return bool(self._children)

    def close(self) -> None:
        """End those that still try."""
        for child in self._children:
            child.kill_group()


def deliver(argument: dict[str, Any]) -> int:
    """In a process of its own: send to both. What goes wrong is printed, without the addresses, which may be secret."""
    if argument["lifeline_fd"] is not None:
        process.hold_lifeline(argument["lifeline_fd"])
    alert: dict[str, Any] = argument["alert"]
    failures = []
    if argument["command"]:
        failures.append(_run(argument["command"], alert))
    if argument["url"]:
        failures.append(_post(argument["url"], alert))
    said = [failure for failure in failures if failure]
    for failure in said:
        sys.stderr.write(f"alert {alert['kind']} of {alert['instance']} not delivered: {failure}\n")
    return 1 if said else 0


def _run(command: str, alert: dict[str, Any]) -> str | None:
    variables = {f"MAILBOX_ALERT_{name.upper()}": str(value).replace("\0", "") for name, value in alert.items()}
    try:
        done = subprocess.run(
            shlex.split(command),
            input=json.dumps(alert).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_LIMIT_S,
            env={**os.environ, **variables},
            cwd=alert["home"],
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the command did not end within {COMMAND_LIMIT_S:g} s"
    except (OSError, ValueError) as error:
        return f"the command cannot be run: {error}"
    if done.returncode == 0:
        return None
    last = done.stdout.decode("utf-8", "backslashreplace").strip().splitlines()[-1:]
    return f"the command ended with {done.returncode}: {''.join(last)[:500]}"


def _post(url: str, alert: dict[str, Any]) -> str | None:
    import httpx

    try:
        answer = httpx.post(url, json=alert, timeout=URL_LIMIT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"the URL cannot be called: {type(error).__name__}"
    return None if answer.is_success else f"the URL answered {answer.status_code}"
