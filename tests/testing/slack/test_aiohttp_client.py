"""The fake with slack-sdk's asyncio clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from connectors.testing.slack import FakeSlack
from connectors.testing.waiting import wait_for


def test_the_aiohttp_client_receives_acknowledges_and_survives_a_broken_connection(fake: FakeSlack) -> None:
    texts: list[str] = []

    async def got(client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        texts.append(request.payload["event"]["text"])
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id))

    async def until(condition: Callable[[], object]) -> None:
        await asyncio.to_thread(wait_for, condition, deadline_s=20)

    async def scenario() -> None:
        web = AsyncWebClient(fake.bot_token, base_url=fake.api_url)
        client: Any = SocketModeClient(app_token=fake.app_token, web_client=web, ping_interval=0.2)
        client.socket_mode_request_listeners.append(got)
        await client.connect()
        await until(lambda: any(socket.greeted for socket in fake.sockets))
        fake.post("C1", "U1", "one")
        await until(lambda: texts == ["one"] and not fake.unacknowledged)

        fake.abort()
        await until(lambda: any(socket.greeted for socket in fake.sockets))
        fake.post("C1", "U1", "two")
        await until(lambda: texts == ["one", "two"] and not fake.unacknowledged)

        answer = await web.chat_postMessage(channel="C1", text="three")
        assert answer["ok"]
        await client.close()
        await client.aiohttp_client_session.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))

    assert fake.said() == ["three"]
