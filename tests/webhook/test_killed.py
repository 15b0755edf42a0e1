"""SIGKILL under load: whoever was told 2xx finds its event, once."""

import threading
from collections import Counter
from pathlib import Path

import httpx

from connectors.base.home import Home
from connectors.base.message import Message
from connectors.testing import RunningConnector, wait_for
from connectors.webhook.connector import WebhookConnector
from tests.webhook.live import SECRET, free_port, signed


class Senders:
    """Post until told to end; a delivery that was not acknowledged comes again under its id."""

    def __init__(self, url: str, count: int) -> None:
        self.acked: list[str] = []
        self.over = threading.Event()
        self._url = url
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        n = 0
        with httpx.Client(timeout=10) as client:
            while not self.over.is_set():
                name = f"{number}-{n}"
                body = b'{"text": "%s"}' % name.encode()
                try:
                    answer = client.post(self._url, content=body, headers=signed(body, name))
                except httpx.HTTPError:
                    self.over.wait(0.01)
                    continue
                if answer.is_success:
                    self.acked.append(name)
                    n += 1


def test_nothing_that_was_acknowledged_is_lost_or_doubled_by_kills_under_load(home: Path) -> None:
    port = free_port()
    senders = Senders(f"http://127.0.0.1:{port}/webhook/hook", 8)
    try:
        for _ in range(3):
            before = len(senders.acked)
            running = RunningConnector(WebhookConnector, home, "hook", {"port": port, "secret": SECRET})
            wait_for(lambda before=before: len(senders.acked) > before + 60, deadline_s=40)  # type: ignore[misc]
            running.kill()
            running.close()
    finally:
        senders.end()
    with RunningConnector(WebhookConnector, home, "hook", {"port": port, "secret": SECRET}) as last:
        last.connected()
    texts = Counter(Message.from_file(path).content.text for path in Home(home).inbox.glob("*.json"))
    assert set(senders.acked) - set(texts) == set()
    assert [text for text, count in texts.items() if count > 1] == []
