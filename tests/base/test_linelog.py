"""What children print is kept by line, without secrets, within limits."""

import os
from pathlib import Path

from connectors.base.linelog import MAX_LINE_BYTES, LineLog
from connectors.base.secrets import Redactor

CANARY = "canary-0b7d-secret"


def make(tmp_path: Path, max_bytes: int = 5_000_000, files: int = 5) -> tuple[LineLog, Path]:
    path = tmp_path / "logs" / "a.log"
    return LineLog(path, Redactor([CANARY]).redact, max_bytes=max_bytes, files=files), path


def test_a_secret_that_comes_in_pieces_is_redacted(tmp_path: Path) -> None:
    log, path = make(tmp_path)
    for byte in f"x {CANARY} y\nlast {CANARY}".encode():
        log.feed(bytes([byte]))
    log.end()
    assert path.read_text() == "x **** y\nlast ****\n"
    assert log.last == "last ****"
    assert path.stat().st_mode & 0o777 == 0o600
    log.close()


def test_a_line_without_end_is_cut_where_no_secret_is_and_what_follows_is_kept(tmp_path: Path) -> None:
    log, path = make(tmp_path)
    log.feed(b"a" * 990 + CANARY.encode())
    for _ in range(40):
        log.feed(CANARY.encode() * (MAX_LINE_BYTES // 100))
    log.feed(b"\nnext\n")
    first, after = path.read_text().splitlines()
    assert first.startswith("a" * 990 + "****")
    assert first.endswith("the rest is left out]")
    assert "canary" not in first
    assert len(first) < 1200
    assert after == "next"
    log.close()


def test_no_escape_sequence_and_no_bad_byte_gets_through_raw(tmp_path: Path) -> None:
    log, path = make(tmp_path)
    log.feed(b"\x1b[31mred\tand \xff\xfe \xc2\x9b\r\n")
    assert path.read_text() == "\\x1b[31mred\tand \\xff\\xfe \\x9b\n"
    log.close()


def test_logs_are_rotated_and_the_oldest_goes(tmp_path: Path) -> None:
    log, path = make(tmp_path, max_bytes=1000, files=3)
    for number in range(200):
        log.feed(f"line {number:03} {'x' * 40}\n".encode())
    found = sorted(path.parent.iterdir())
    assert [one.name for one in found] == ["a.log", "a.log.1", "a.log.2"]
    assert all(one.stat().st_size <= 1000 and one.stat().st_mode & 0o777 == 0o600 for one in found)
    assert "line 199" in path.read_text()
    log.keep(max_bytes=10_000, files=3)
    log.feed(b"y" * 3000 + b"\n")
    log.feed(b"y" * 3000 + b"\n")
    assert path.stat().st_size > 6000
    log.close()


def test_a_file_that_somebody_moved_away_is_begun_anew(tmp_path: Path) -> None:
    log, path = make(tmp_path)
    log.feed(b"one\n")
    path.rename(path.with_name("old"))
    log.feed(b"two\n")
    assert path.read_text() == "two\n"
    log.close()


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    shown: list[str] = []
    path = tmp_path / "logs" / "a.log"
    path.mkdir(parents=True)
    log = LineLog(path, str, echo=shown.append)
    log.feed(b"one\n")
    log.write("two\nthree")
    assert shown == ["one", "two", "three"]
    log.close()
    full = LineLog(Path("/dev/full"), str)
    if os.path.exists("/dev/full"):
        full.feed(b"one\n")
    full.close()


def test_the_last_words_are_a_cause_and_no_ordinary_line(tmp_path: Path) -> None:
    log, _ = make(tmp_path)
    log.feed(b"PermissionError: [Errno 1] Operation not permitted: inbox\n")
    log.feed(b"2026-01-31T12:00:00.000Z WARNING connector.a: it takes long\n")
    log.feed(b"2026-01-31T12:00:00.000Z INFO connector.a: ended with 1\n")
    assert log.last == "PermissionError: [Errno 1] Operation not permitted: inbox"
    log.close()
