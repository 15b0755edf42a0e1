"""The parameters of a call, whatever way they came.

https://core.telegram.org/bots/api#making-requests: URL query, application/x-www-form-urlencoded, application/json and
multipart/form-data; the last one for files, which other fields refer to as `attach://<name>`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from connectors.testing.telegram.errors import ApiError, bad
from connectors.testing.telegram.model import File
from connectors.testing.telegram.needs import web


@dataclass
class Params:
    """Values by name. Numbers, truths and objects may come as texts, as they do in forms."""

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    method: str = ""  #: as the documentation spells it
    bot_id: int = 0

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def text(self, name: str, default: str = "") -> str:
        """A text; a number becomes one."""
        value = self.values.get(name)
        if value is None:
            return default
        return value if isinstance(value, str) else json.dumps(value)

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number; what is none is the default, as on the platform."""
        try:
            return int(self.values.get(name, default))
        except (TypeError, ValueError):
            return default

    def flag(self, name: str) -> bool:
        """True, "true", "yes", "1" …; everything else is false."""
        value = self.values.get(name, False)
        return value if isinstance(value, bool) else str(value).strip().lower() in ("true", "yes", "1")

    def decoded(self, name: str, what: str = "object") -> Any:
        """An object or list; None when there is none. 400 when it is no JSON."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value.strip():
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise bad(f"can't parse {what} JSON object") from None

    def file(self, name: str) -> File | str | None:
        """An upload, or what a text names: a file_id, a URL, or the upload that `attach://` refers to."""
        if name in self.files:
            return self.files[name]
        value = self.text(name)
        return self.attached(value) if value else None

    def attached(self, value: str) -> File | str | None:
        """The upload that `attach://name` refers to; any other text is itself."""
        if not value.startswith("attach://"):
            return value
        return self.files.get(value.removeprefix("attach://"))


async def read(request: web.Request) -> Params:
    """The parameters of a request; those of the body win over those of the query."""
    params = Params(dict(request.query))
    try:
        if request.content_type == "application/json":
            raw = await request.read()
            body = json.loads(raw) if raw.strip() else {}
            if not isinstance(body, dict):
                raise bad("the JSON object in the body is no object")
            params.values.update(body)
        elif request.can_read_body:
            for name, value in (await request.post()).items():
                if isinstance(value, web.FileField):
                    params.files[name] = File(value.filename, value.file.read(), value.content_type)
                else:
                    params.values[name] = value if isinstance(value, str) else bytes(value).decode()
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, "Request Entity Too Large") from None
    except ValueError:
        raise bad("can't parse the request body") from None
    return params
