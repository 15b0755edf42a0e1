"""The results for people, as a table, and for programs, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from bench.measure import Result

_HEADS = ("row", "what", "measured", "beside", "figure", "goal", "")


def table(results: Sequence[Result], about: dict[str, Any], mode: str) -> str:
    """Aligned columns; the verdict is coloured only on a terminal."""
    rows = [_HEADS, *(_cells(one) for one in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if sys.stdout.isatty():
        lines = [_coloured(line) for line in lines]
    machine = (
        f"{mode} run on {about['system']}, {about['cpus']} × {about['cpu']}, Python {about['python']},"
        f" {about['file_system']}, load {about['load'][0]:g}, {about['at']}"
    )
    missed = [one.row for one in results if not one.ok]
    verdict = f"missed: {', '.join(missed)}" if missed else "every goal is reached"
    return "\n".join([*lines, "", machine, verdict])


def to_json(results: Sequence[Result], about: dict[str, Any], mode: str) -> str:
    """Everything that was measured, each round included."""
    data = {"mode": mode, "machine": about, "rows": [one.to_dict() for one in results]}
    return json.dumps(data, indent=2, ensure_ascii=False)


def _cells(one: Result) -> tuple[str, ...]:
    beside = "–" if one.peer is None else f"{_number(one.peer)} {one.unit} ({one.peer_name})"
    ratio = one.figure != one.ours
    return (
        one.row,
        one.what,
        f"{_number(one.ours)} {one.unit}",
        beside,
        f"{one.figure:.2f} ×" if ratio else f"{_number(one.figure)} {one.unit}",
        one.goal,
        "ok" if one.ok else "MISSED",
    )


def _coloured(line: str) -> str:
    if line.endswith("MISSED"):
        return f"{line.removesuffix('MISSED')}\x1b[31mMISSED\x1b[0m"
    return f"{line.removesuffix('ok')}\x1b[32mok\x1b[0m" if line.endswith(" ok") else line


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
