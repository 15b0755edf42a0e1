"""The options of the `rss` type: of the instance, and of each of its feeds."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.parts import feeds

FirstRun = Literal["all", "new"] | Annotated[int, Field(ge=0)]


def check_url(url: str) -> str:
    """Raises ValueError for what cannot be asked."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must have no user name and password: put them into basic, as user:password")
    return url


class RssOptions(feeds.FeedsOptions):
    """Options of the `rss` type."""

    url: str | None = option(None, description="The address of the only feed, in place of feeds.")
    user_agent: str = option("mailbox-connectors (feed reader)", description="How it introduces itself to the sites.")

    @field_validator("url")
    @classmethod
    def _can_be_asked(cls, value: str | None) -> str | None:
        return None if value is None else check_url(value)


class ArticleFeed(feeds.FeedOptions):
    """Options of one feed."""

    url: str = option(description="The feed's address.")
    first_run: FirstRun = option(
        "new",
        description="What comes of the entries that are there at the first look: all, new (none of them), or so many.",
    )
    revisions: bool = option(True, description="Whether an entry whose content has changed comes again.")
    private: bool = option(False, description="The address may be in a private network, or on this machine.")
    basic: Secret | None = option(None, description="user:password, if the feed wants them.")
    bearer: Secret | None = option(None, description="A token for the header Authorization: Bearer.")
    max_bytes: int = option(20_000_000, ge=1000, le=200_000_000, description="A larger feed is not read.")
    timeout_s: float = option(30.0, gt=0, le=300, description="How long a request may take, all in all.")
    parse_limit_s: float = option(60.0, gt=0, le=600, description="How long making sense of the feed may take.")

    @field_validator("url")
    @classmethod
    def _can_be_asked(cls, value: str) -> str:
        return check_url(value)

    @model_validator(mode="after")
    def _has_one_proof(self) -> Self:
        if self.basic is not None and self.bearer is not None:
            raise ValueError("basic and bearer exclude each other")
        if self.basic is not None and ":" not in self.basic.reveal():
            raise ValueError("basic must be user:password")
        return self
