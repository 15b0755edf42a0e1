"""Promises about what careless or hostile writers leave in the outbox."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

import pytest

from connectors.base.connector import Connector
from connectors.base.home import Home
from connectors.testing.basis import ContractBasis

#: What is there besides the fields that its check is about.
_REST = b'"conversation_id": "C1", "text": "x"'
BAD_CONTENTS: dict[str, bytes] = {
    "no JSON": b"hello",
    "bytes": b"\xff\xfe\x00\x01",
    "UTF-16": '{"conversation_id": "C1", "text": "x"}'.encode("utf-16"),
    "text is half a character": b'{"conversation_id": "C1", "text": "\\ud800"}',
    "address is half a character": b'{"conversation_id": "C\\ud800", "text": "x"}',
    "a list": b"[]",
    "a string": b'"text"',
    "a number": b"42",
    "null": b"null",
    "nothing in it": b"{}",
    "no text": b'{"conversation_id": "C1"}',
    "no address": b'{"text": "x"}',
    "text is true": b'{"conversation_id": "C1", "text": true}',
    "text is a list": b'{"conversation_id": "C1", "text": ["x"]}',
    "address is a list": b'{"conversation_id": [], "text": "x"}',
    "id is empty": b'{"id": "", ' + _REST + b"}",
    "id is a surrogate": b'{"id": "\\ud800", ' + _REST + b"}",
    "id is too long": b'{"id": "' + b"i" * 600 + b'", ' + _REST + b"}",
    "format is unknown": b'{"format": "rtf", ' + _REST + b"}",
    "action is unknown": b'{"action": "explode", ' + _REST + b"}",
    "action is a number": b'{"action": 1e999, ' + _REST + b"}",
    "attachments are a string": b'{"attachments": "x.png", ' + _REST + b"}",
    "attachments without path": b'{"attachments": [{}], ' + _REST + b"}",
    "attachment path with NUL": b'{"attachments": [{"path": "messages/attachments/a\\u0000b"}], ' + _REST + b"}",
    "attachment path is a surrogate": b'{"attachments": [{"path": "messages/attachments/\\ud800"}], ' + _REST + b"}",
    "a time without its zone": b'{"not_before": "2026-01-01T00:00:00", ' + _REST + b"}",
    "a time that is none": b'{"not_before": "soon", ' + _REST + b"}",
    "metadata is a list": b'{"metadata": [], ' + _REST + b"}",
    "two objects": b'{"conversation_id": "C1", "text": "x"} {"conversation_id": "C1", "text": "y"}',
    "single quotes": b"{'conversation_id': 'C1', 'text': 'x'}",
    "a trailing comma": b'{"conversation_id": "C1", "text": "x",}',
    "a comment": b'// hi\n{"conversation_id": "C1", "text": "x"}',
    "a raw line break in a string": b'{"conversation_id": "C1", "text": "x\ny"}',
    "a huge integer": b'{"conversation_id": ' + b"9" * 5000 + b', "text": "x"}',
    "deeply nested": b"[" * 50_000 + b"]" * 50_000,
    "too large": b'{"conversation_id": "C1", "text": "' + b"x" * 1_100_000 + b'"}',
    "cut off": b'{"conversation_id": "C1", "te',
    "cut off, deeply nested": b"[" * 50_000,
    "empty": b"",
    "blank": b" \n\t ",
}
ODD_BUT_LEGAL: dict[str, bytes] = {
    "byte order mark": b'\xef\xbb\xbf{"conversation_id": "C1", "text": "x"}',
    "text is a number": b'{"conversation_id": "C1", "text": 5}',
    "unknown field": b'{"colour": "blue", ' + _REST + b"}",
    "a number as address": b'{"conversation_id": 12345, "text": "x"}',
    "a NUL": b'{"conversation_id": "C1", "text": "\\u0000"}',
    "an odd id": b'{"id": "../../x\\u0000", ' + _REST + b"}",
    "an odd address": b'{"conversation_id": "../../x\\u0000", "text": "x"}',
    "a key twice": b'{"conversation_id": "C0", "conversation_id": "C1", "text": "x"}',
    "white space around": b'\n\n {"conversation_id": "C1", "text": "x"} \n',
    "an empty text": b'{"conversation_id": "C1", "text": ""}',
}
ODD_NAMES = [
    b"bytes-\xff\xfe.json",
    b"new\nline.json",
    b"-rf.json",
    b"a b'c\"d.json",
    "zwölf 🙂.json".encode(),
    b"x" * 250 + b".json",
    b"con.reason.json",
    b"~.json",
    b"%s%n{}.json",
]


class BadFiles(ContractBasis):
    """Every file ends as sent, as a dead letter, or waits; none delays another, none disappears."""

    @pytest.mark.parametrize("content", BAD_CONTENTS.values(), ids=BAD_CONTENTS.keys())
    def test_what_is_no_outgoing_becomes_a_dead_letter_and_delays_nobody(self, home: Home, content: bytes) -> None:
        connector, script = self.scripted(home, "true")
        self.drop(home, "bad.json", content)
        self.drop(home, "good.json", {"conversation_id": "C2", "text": "good"})
        connector.process_outbox()
        assert [receipt.file for receipt in self.receipts(home)] == ["good.json"], "a bad file delays a good one"
        self.deliver_all(connector, home)
        assert (home.failed / "bad.json").read_bytes() == content
        [reason] = self.reasons(home)
        assert (reason.class_ in ("bad_message", "rejected"), bool(reason.reason), bool(reason.hint)) == (True,) * 3
        assert [call.text for call in script.calls] == ["good"]

    @pytest.mark.parametrize("content", ODD_BUT_LEGAL.values(), ids=ODD_BUT_LEGAL.keys())
    def test_what_is_odd_but_legal_is_sent(self, home: Home, content: bytes) -> None:
        connector, script = self.scripted(home, "true")
        self.drop(home, "odd.json", content)
        self.deliver_all(connector, home)
        assert (len(script.calls), len(self.receipts(home)), self.reasons(home)) == (1, 1, [])

    @pytest.mark.parametrize("content", [b"[]", b'{"conversation_id": "C1", "text": "x"}'], ids=["bad", "good"])
    def test_a_file_name_is_data(self, home: Home, content: bytes) -> None:
        connector, _ = self.scripted(home, "true")
        for name in ODD_NAMES:
            self.drop(home, os.fsdecode(name), content)
        self.deliver_all(connector, home)
        ended = [*self.receipts(home), *self._reasons(home)]
        assert len(ended) == len(ODD_NAMES)

    def test_any_content_ends_and_delays_nobody(self, home: Home) -> None:
        pytest.importorskip("hypothesis", reason="pip install hypothesis")
        from hypothesis import given, settings

        self.configure(home, delivery={"quiet_s": 0.02})
        connector, _ = self.scripted(home, "true")
        count = 0

        @settings(max_examples=60, deadline=None, database=None)
        @given(_contents())
        def any_content(contents: list[bytes]) -> None:
            nonlocal count
            for content in contents:
                count += 1
                self.drop(home, f"{count}.json", content)
            self._check_all_ended(home, connector, contents)

        any_content()

    def _check_all_ended(self, home: Home, connector: Connector, contents: list[bytes]) -> None:
        """Each file is sent or a dead letter, and those are untouched. Clears the folders."""
        self.drop(home, "good.json", {"conversation_id": "good", "text": "good"})
        self.deliver_all(connector, home)
        receipts, reasons = self.receipts(home), self.reasons(home)
        assert "good.json" in {receipt.file for receipt in receipts}
        assert len(receipts) + len(reasons) == len(contents) + 1
        dead = [path for path in home.failed.iterdir() if not path.name.endswith(".reason.json")]
        assert len(dead) == len(reasons)
        assert not Counter(path.read_bytes() for path in dead) - Counter(contents), "a dead letter was changed"
        for folder in (home.failed, home.sent(self.instance), home.inbox):
            for path in folder.iterdir():
                path.unlink()

    def test_a_file_that_is_still_being_written_waits(self, home: Home) -> None:
        self.configure(home, delivery={"quiet_s": 3600})
        connector, script = self.scripted(home, "true")
        whole = json.dumps({"conversation_id": "C1", "text": "a whole sentence"}).encode()
        path = home.outbox(self.instance) / "slow.json"
        for n in (0, 1, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:n])
            connector.process_outbox()
            assert path.read_bytes() == whole[:n]
        assert script.calls == []
        path.write_bytes(whole)
        self.deliver_all(connector, home)
        assert [call.text for call in script.calls] == ["a whole sentence"]

    def test_other_programs_files_are_left_alone(self, home: Home) -> None:
        connector, script = self.scripted(home, "true")
        folder = home.outbox(self.instance)
        (folder / ".hidden.json").write_bytes(b"{")
        (folder / "draft.json.tmp").write_bytes(b"{")
        (folder / "notes.txt").write_bytes(b"buy milk")
        (folder / "folder.json").mkdir()
        (folder / "link.json").symlink_to("/etc/hostname")
        (folder / "dangling.json").symlink_to("nowhere")
        os.mkfifo(folder / "fifo.json")
        before = sorted(os.listdir(folder))
        self.drop(home, "good.json", {"conversation_id": "C1", "text": "good"})
        connector.process_outbox()
        assert sorted(os.listdir(folder)) == before
        assert [call.text for call in script.calls] == ["good"]
        assert self.reasons(home) == []

    def test_a_file_that_cannot_be_read_stays_and_delays_nobody(self, home: Home) -> None:
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        connector, script = self.scripted(home, "true")
        self.drop(home, "secret.json", {"conversation_id": "C1", "text": "x"}).chmod(0)
        self.drop(home, "good.json", {"conversation_id": "C1", "text": "good"})
        connector.process_outbox()
        assert [call.text for call in script.calls] == ["good"]
        assert self.queued(home) == ["secret.json"]

    def _reasons(self, home: Home) -> list[str]:
        """Names only: a dead letter may itself be called `….reason.json`."""
        return [
            path.name
            for path in home.failed.iterdir()
            if path.name.endswith(".reason.json") and (path.with_name(path.name.removesuffix(".reason.json"))).exists()
        ]


def _contents() -> Any:
    """Files of any bytes, of any JSON, and of outgoings with fields that are nearly right."""
    from hypothesis import strategies as st

    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner))
    fields = ["conversation_id", "text", "id", "thread_id", "reply_to", "attachments", "action", "metadata", "format"]
    likely = st.sampled_from(["C1", "hi", "send", "markdown", "", [], {}, "react"])
    nearly = st.dictionaries(st.sampled_from([*fields, "expires_at", "target_id", "emoji"]), likely | values)
    texts = (values | nearly).map(lambda value: json.dumps(value).encode())
    cut = st.tuples(texts, st.integers(0, 60)).map(lambda pair: pair[0][: pair[1]])
    return st.lists(st.binary(max_size=60) | texts | cut, min_size=1, max_size=4)
