from collections.abc import Iterator

import pytest

from connectors.testing.telegram import Chat, FakeTelegram, User
from tests.testing.telegram.client import Client


@pytest.fixture
def fake() -> Iterator[FakeTelegram]:
    with FakeTelegram() as found:
        yield found


@pytest.fixture
def client(fake: FakeTelegram) -> Iterator[Client]:
    with Client(fake) as found:
        yield found


@pytest.fixture
def ada(fake: FakeTelegram) -> User:
    return fake.user("Ada", username="ada")


@pytest.fixture
def chat(fake: FakeTelegram, ada: User) -> Chat:
    """Ada's private chat with the bot."""
    return fake.private(ada)
