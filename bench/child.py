"""The programs that the benchmark starts: an agent, and the origin's shape. `python -m bench.child NAME …`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench import raw
from bench.telling import tell


def agent(home: str, way: str) -> None:
    """An agent that waits for events, and tells of each when it has its content."""
    from connectors import Mailbox

    with Mailbox(home) as mailbox:
        tell(f"agent connected {os.getpid()} {time.monotonic_ns()}")
        if way == "tail":
            for event in mailbox.tail(follow=True):
                tell(f"agent awake {event.id} {time.monotonic_ns()}")
        while True:
            claimed = mailbox.claim("bench", wait_s=3600)
            if claimed is not None:
                tell(f"agent awake {claimed.event.id} {time.monotonic_ns()}")
                claimed.ack()


def origin(folder: str, with_base: str = "") -> None:
    """The origin's manager and its connectors."""
    outboxes = sorted(path for path in Path(folder, "outbox").iterdir())
    raw.run_origin(outboxes, tell, with_base=bool(with_base))


def poll_loop(outbox: str) -> None:
    """The origin's poll loop alone; tells of each outgoing when it would send it."""
    tell(f"peer connected {os.getpid()} {time.monotonic_ns()}")
    raw.poll(Path(outbox), lambda data: tell(f"peer sent {data['id']} {time.monotonic_ns()}"), threading.Event())


def slack_receiver(base_url: str, bot_token: str, app_token: str) -> None:
    """The SDK alone: acknowledge, and tell."""
    from slack_sdk.socket_mode.builtin import SocketModeClient
    from slack_sdk.socket_mode.client import BaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.socket_mode.response import SocketModeResponse
    from slack_sdk.web import WebClient

    def hear(client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        tell(f"plain received {request.envelope_id} {time.monotonic_ns()}")
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    client = SocketModeClient(app_token, web_client=WebClient(bot_token, base_url=base_url))
    client.socket_mode_request_listeners.append(hear)
    client.connect()
    tell(f"plain connected {os.getpid()} {time.monotonic_ns()}")
    threading.Event().wait()


def telegram_receiver(base_url: str, token: str) -> None:
    """The SDK alone: poll, and tell."""
    import asyncio

    from telegram import Bot

    async def poll() -> None:
        async with Bot(token, base_url=base_url) as bot:
            tell(f"plain connected {os.getpid()} {time.monotonic_ns()}")
            offset = None
            while True:
                for update in await bot.get_updates(offset, timeout=30, read_timeout=40):
                    tell(f"plain received {update.update_id} {time.monotonic_ns()}")
                    offset = update.update_id + 1

    asyncio.run(poll())


if __name__ == "__main__":
    from bench.sources import poll_once

    PROGRAMS: dict[str, Callable[..., None]] = {
        "agent": agent,
        "origin": origin,
        "poll_once": poll_once,
        "poll_loop": poll_loop,
        "slack_receiver": slack_receiver,
        "telegram_receiver": telegram_receiver,
    }
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
