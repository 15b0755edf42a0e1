"""Processes that live and do nothing: suspended by SIGSTOP, by Ctrl-Z or by a debugger."""

from __future__ import annotations

from pathlib import Path


def is_suspended(pid: object) -> bool:
    """False also where nobody can tell: without /proc. proc(5), /proc/pid/stat, field 3."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[:1] in (["T"], ["t"])
