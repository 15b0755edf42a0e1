"""Options of the `github` type, and of each of its repositories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from connectors.base import options
from connectors.base.options import option
from connectors.base.secrets import Secret
from connectors.parts import feeds
from connectors.parts.actions import ActionOptions
from connectors.parts.openness import is_loopback
from connectors.parts.schedule import parse_interval
from connectors.parts.webhook import WebhookOptions

#: https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
PAYLOAD_MAX_BYTES = 25_000_000
#: What polls bring, by the names that webhooks have for it.
POLLED = ("issues", "pull_request", "issue_comment", "pull_request_review_comment")
_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?/[A-Za-z0-9._-]{1,100}")
_EVENT = re.compile(r"(\*|[a-z_]+)(?:\.[a-z_]+)?")


def check_repository(value: str) -> str:
    """`owner/name`, also given as the address of its page. Raises ValueError."""
    found = re.sub(r"^https?://[^/]+/", "", value.strip()).removesuffix("/").removesuffix(".git")
    if not _REPOSITORY.fullmatch(found):
        raise ValueError(f'"{value}" is no repository: write owner/name')
    return found


class RepositoryOptions(feeds.FeedOptions):
    """One repository, where it has a schedule or a name of its own."""

    repository: str = option(description="owner/name of the repository.")

    @field_validator("repository")
    @classmethod
    def _is_repository(cls, value: str) -> str:
        return check_repository(value)


class ReadingOptions(options.Options):
    """What is read, and as whom."""

    token: Secret | None = option(
        None,
        description="Personal access token with repo scope",
        env="GITHUB_TOKEN",
        help_url="https://github.com/settings/tokens/new?scopes=repo",
        help_command="gh auth token",
    )
    repositories: list[str] = option([], description="What to poll: owner/name of each repository.")
    base_url: str = option(
        "https://api.github.com",
        description="Where the REST API is; GitHub Enterprise Server has https://HOST/api/v3.",
    )
    lookback: str = option("7d", description="How far back the first poll of a repository looks; 0s: from now on.")
    events: list[str] = option(
        [],
        description="Only these, by the names of GitHub's webhooks: issues, issue_comment, workflow_run.completed; "
        "by default all.",
    )
    own_posts: Literal["drop", "drop_account", "mark"] = option(
        "drop",
        description="What comes back: what this connector posted is dropped, or all that the token's account posts, "
        "or it is only marked.",
    )
    timeout_s: float = option(30.0, gt=0, le=300, description="How long one request may take.")
    listen: bool = option(False, description="Whether GitHub's webhooks are taken in, too.")

    @field_validator("repositories")
    @classmethod
    def _are_repositories(cls, value: list[str]) -> list[str]:
        return [check_repository(one) for one in value]

    @field_validator("lookback")
    @classmethod
    def _is_lookback(cls, value: str) -> str:
        parse_interval(value, least_s=0.0)
        return value

    @field_validator("events")
    @classmethod
    def _are_events(cls, value: list[str]) -> list[str]:
        for one in value:
            name, _, action = one.partition(".")
            if not _EVENT.fullmatch(one):
                raise ValueError(f'"{one}" is no event: write its name, as in issues, or name.action')
            if action and name in POLLED:
                raise ValueError(f'"{one}": polls know no action: write {name}, and look at the event\'s payload')
        return value

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname or url.query or url.username:
            raise ValueError("must be an address such as https://api.github.com or https://HOST/api/v3")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _is_not_shown_to_all(self) -> Self:
        url = urlsplit(self.base_url)
        if self.token is not None and url.scheme == "http" and not is_loopback(url.hostname or ""):
            raise ValueError("base_url must be https: a token goes over no open line")
        return self


class GithubOptions(feeds.FeedsOptions, ActionOptions, WebhookOptions, ReadingOptions):
    """Options of the `github` type. The last base's come first, for people."""

    secret: Secret | None = option(
        None,
        description="What GitHub signs webhooks with. Without it only this machine may send.",
        env="GITHUB_WEBHOOK_SECRET",
        help_url="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        help_command="openssl rand -hex 32",
    )
    scheme: Literal["github"] = option("github", description="How GitHub proves that it knows the secret.")
    max_bytes: int = option(PAYLOAD_MAX_BYTES, gt=0, description="A larger webhook is refused with 413.")


def wanted(events: Sequence[str], event: str, action: str = "") -> bool:
    """Whether the option `events` lets it in."""
    return not events or any(_matches(*one.partition(".")[::2], event, action) for one in events)


def _matches(name: str, only: str, event: str, action: str) -> bool:
    return name in ("*", event) and only in ("", action)
