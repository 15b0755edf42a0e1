"""A source is a connector: all that every connector promises holds, the action `sync` included."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.testing import ConnectorContract
from tests.parts.sources import TwoWays


class Records:
    """The platform of a source: a folder with records.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[tuple[str, str]] = []
        self.write()

    def write(self) -> None:
        part = self.folder / "part"
        part.write_text(json.dumps({"records": self.records}))
        part.rename(self.folder / "records.json")


class TestSource(ConnectorContract):
    """Its platform is a folder, which is asked every second."""

    connector = TwoWays

    @contextmanager
    def platform(self) -> Iterator[Records]:
        with tempfile.TemporaryDirectory() as folder:
            yield Records(Path(folder))

    def options(self, platform: Any) -> dict[str, Any]:
        return {"folder": str(platform.folder) if platform else "/nonexistent", "schedule": "1s", "jitter": "0s"}

    def incoming(self, platform: Any, text: str) -> str:
        record = f"r{len(platform.records)}"
        platform.records.append((record, text))
        platform.write()
        return record

    def redeliver(self, platform: Any, event: Any) -> None:
        """It is there at every poll."""

    def sent(self, platform: Any) -> list[str]:
        path = platform.folder / "sent.jsonl"
        return path.read_text().splitlines() if path.exists() else []
