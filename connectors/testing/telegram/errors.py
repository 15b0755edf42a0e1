"""What the Bot API answers when it refuses a call.

The form is from https://core.telegram.org/bots/api#making-requests and #responseparameters; the wordings are those of
the server itself, https://github.com/tdlib/telegram-bot-api (telegram-bot-api/Client.cpp and ClientManager.cpp).
"""

from __future__ import annotations

from typing import Any

#: what the older of two pollers is told
CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"


class ApiError(Exception):
    """A refusal: an HTTP status, a description and, sometimes, parameters for the next try."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        answer: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            answer["parameters"] = self.parameters
        return answer


def bad(description: str, **parameters: int) -> ApiError:
    """400: as it stands, this can never succeed."""
    return ApiError(400, f"Bad Request: {description}", **parameters)


def forbidden(description: str) -> ApiError:
    """403: the bot may not do this there."""
    return ApiError(403, f"Forbidden: {description}")


def too_many(retry_after_s: int) -> ApiError:
    """429: flood control, https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this."""
    return ApiError(429, f"Too Many Requests: retry after {retry_after_s}", retry_after=retry_after_s)
