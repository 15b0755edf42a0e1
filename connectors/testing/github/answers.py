"""Answers and refusals as the REST API words them.

https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api,
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True)
class Answer:
    """`body` becomes JSON; bytes go out as they are. `cut`: the connection ends after so many bytes of the body."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


class Refusal(Exception):
    """Raised by who finds that a request cannot be done."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refused(status: int, message: str, **more: Any) -> Refusal:
    """With the members that every error body has."""
    return Refusal(error(status, message, **more))


def error(status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> Answer:
    return Answer(status, {"message": message, **more, "documentation_url": DOCS, "status": str(status)}, headers or {})


def not_found() -> Refusal:
    """Also for what the reader may not see: a 403 would say that it exists."""
    return refused(404, "Not Found")


def invalid(resource: str, field_name: str, code: str, message: str = "") -> Refusal:
    problem = {"resource": resource, "field": field_name, "code": code}
    return refused(422, "Validation Failed", errors=[problem | ({"message": message} if message else {})])
