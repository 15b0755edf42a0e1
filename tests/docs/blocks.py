"""The fenced code blocks of the documentation, and what their tests share.

A comment right before a fence says how the block is tested, and is not seen by readers:

    <!-- block: skip REASON -->      not run: it needs a person, a platform, or another machine
    <!-- block: output -->           what the bash block before it prints; `…` stands for what differs from run to run
    <!-- block: file NAME -->        written to NAME (an executable, when it begins with #!), for later blocks
    <!-- block: event -->            JSON: event, outgoing, receipt, reason; told by its fields when this is missing
    <!-- block: fresh -->            begins in a new, empty home

`run_session` runs one document's blocks as a reader would: one after the other, in one shell.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_DIRECTIVE = re.compile(r"^\s*<!-- block: (?P<text>.*?) -->\s*$")
ANY = "…"


@dataclass(frozen=True)
class Block:
    """One fenced block. `line` is where its fence opens; `directive` is the comment before it, in words."""

    path: Path
    line: int
    language: str
    text: str
    directive: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}"

    def says(self, word: str) -> bool:
        """Whether the comment before it begins with this word."""
        return self.directive[:1] == (word,)


def blocks(path: Path) -> list[Block]:
    """Every fenced block of a Markdown file, in order. ValueError for a fence that is never closed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    number, directive = 0, ""
    while number < len(lines):
        fence, said = _FENCE.match(lines[number]), _DIRECTIVE.match(lines[number])
        if fence is None:
            # A blank line may stand between the comment and the fence.
            directive = said["text"] if said else directive if not lines[number].strip() else ""
            number += 1
            continue
        end = _closing(lines, number, fence)
        indent = len(fence["indent"])
        inside = [line[indent:] if line[:indent].isspace() or not indent else line for line in lines[number + 1 : end]]
        text = "".join(f"{line}\n" for line in inside)
        words = fence["info"].split()
        found.append(Block(path, number + 1, words[0] if words else "", text, tuple(directive.split())))
        number, directive = end + 1, ""
    return found


def _closing(lines: Sequence[str], start: int, fence: re.Match[str]) -> int:
    for number in range(start + 1, len(lines)):
        if lines[number].strip() == fence["fence"]:
            return number
    raise ValueError(f"line {start + 1}: the fence is never closed")


def matches(shown: str, printed: str) -> bool:
    """Whether `printed` is what the document shows. `…` stands for any text in its line; alone, for any lines."""
    pattern = ""
    for line in shown.strip("\n").split("\n"):
        if line.strip() == ANY:
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r"[^\n]*?".join(re.escape(part) for part in line.rstrip().split(ANY)) + r"[ \t]*\n"
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None


@dataclass(frozen=True)
class Ran:
    """What a block printed; `error` says how it failed, empty when it did not."""

    block: Block
    output: str
    error: str = ""


def run_session(
    chosen: Iterable[Block], folder: Path, *, environ: Mapping[str, str], log: Path, timeout_s: float = 180
) -> list[Ran]:
    """Run bash and python blocks, and write `file` blocks, in one shell that begins in `folder`.

    Stops at the first block that fails. Whatever the blocks left running is ended. `log` is a folder for what they
    print.
    """
    log.mkdir(parents=True, exist_ok=True)
    todo = list(chosen)
    script = log / "session.sh"
    script.write_text("\n".join(_script(todo, folder, log)), encoding="utf-8")
    process = subprocess.Popen(
        ["bash", script],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    late = ""
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        late = f"not done within {timeout_s:g} s"
    finally:
        _end_group(process)
    return list(_results(todo, log, late))


def _script(todo: Sequence[Block], folder: Path, log: Path) -> Iterator[str]:
    yield "set -euo pipefail"
    for number, block in enumerate(todo):
        yield f"exec >{shlex.quote(str(log / f'{number}.out'))} 2>{shlex.quote(str(log / f'{number}.err'))}"
        if block.says("fresh"):
            new = folder.parent / f"{folder.name}-{number}"
            yield f"mkdir {shlex.quote(str(new))} && cd {shlex.quote(str(new))}"
        source = log / f"{number}.source"
        source.write_text(block.text, encoding="utf-8")
        if block.says("file"):
            yield f"mkdir -p -- {shlex.quote(os.path.dirname(block.directive[1]) or '.')}"
            yield f"cp -- {shlex.quote(str(source))} {shlex.quote(block.directive[1])}"
            if block.text.startswith("#!"):
                yield f"chmod +x -- {shlex.quote(block.directive[1])}"
        elif block.language == "bash":
            yield block.text
        elif block.language == "python":
            yield f"{shlex.quote(sys.executable)} {shlex.quote(str(source))}"
        yield f"echo done >{shlex.quote(str(log / f'{number}.done'))}"
    yield ""


def _results(todo: Sequence[Block], log: Path, late: str) -> Iterator[Ran]:
    for number, block in enumerate(todo):
        said = {end: log / f"{number}.{end}" for end in ("out", "err", "done")}
        texts = {end: path.read_text("utf-8", "replace") if path.exists() else "" for end, path in said.items()}
        if not texts["done"]:
            yield Ran(block, texts["out"], f"{block}: failed\n{late}\n{texts['out']}{texts['err']}")
            return
        yield Ran(block, texts["out"])


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what the blocks started in the background: SIGTERM lets a manager stop its connectors."""
    for number, wait_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
            _wait_for_group(process, wait_s)
    process.wait(5)


def _wait_for_group(process: subprocess.Popen[bytes], wait_s: float) -> None:
    from tests.helpers import wait_for

    def gone() -> bool:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except (ProcessLookupError, PermissionError):
            return True
        return False

    with suppress(AssertionError):
        wait_for(gone, deadline_s=wait_s)
