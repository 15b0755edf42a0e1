"""What the documentation shows is true: its blocks run, its tables agree with the code, its links lead somewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.base import config
from connectors.base.declaration import declaration_of
from connectors.base.errors import Exit
from connectors.base.home import Home
from connectors.base.message import (
    ConnectorInfo,
    Content,
    Conversation,
    Message,
    OutgoingMessage,
    Reason,
    Receipt,
    Record,
    Sender,
)
from connectors.base.registry import builtin_folders, load_class
from connectors.base.settings import Alerts, DeliveryPolicy, Limits, RestartPolicy
from connectors.base.starting import package_text
from connectors.base.states import State
from connectors.base.status import StatusFile
from connectors.commands.main import VERBS
from tests.docs.blocks import ROOT, Block, Ran, blocks, matches, run_session
from tests.helpers import requires, wait_for

README = ROOT / "README.md"
FORMAT = ROOT / "docs" / "mailbox-format.md"
OPERATIONS = ROOT / "docs" / "operations.md"
SECURITY = ROOT / "docs" / "security.md"
MESSAGES = ROOT / "messages" / "README.md"
PLATFORMS = sorted((ROOT / "connectors").rglob("README.md"))
PAGES = [README, FORMAT, OPERATIONS, SECURITY, MESSAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *PLATFORMS]
# A block without a language is a picture or a listing.
LANGUAGES = {"", "bash", "python", "yaml", "json", "text", "ini", "dockerfile"}
RECORDS: dict[str, type[Record]] = {
    "event": Message,
    "outgoing": OutgoingMessage,
    "receipt": Receipt,
    "reason": Reason,
}


def all_blocks(language: str) -> list[Any]:
    found = [block for page in PAGES for block in blocks(page) if block.language == language]
    return [pytest.param(block, id=str(block)) for block in found]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A reader's terminal: `connectors` on the PATH, a home folder of its own, nothing else that is ours."""
    user = tmp_path / "user"
    user.mkdir()
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    return {**os.environ, "HOME": str(user), "PATH": path, "NO_COLOR": "1"}


def run_page(page: Path, folder: Path, environ: dict[str, str], log: Path) -> list[Ran]:
    """Run a page's blocks in order; what `output` blocks show must be what the block before them printed."""
    requires("jq")
    chosen = [block for block in blocks(page) if is_run(block)]
    ran = run_session(chosen, folder, environ=environ, log=log)
    check(page, ran)
    return ran


def is_run(block: Block) -> bool:
    return not block.says("skip") and (block.language in {"bash", "python"} or block.says("file"))


def check(page: Path, ran: list[Ran]) -> None:
    assert [one.error for one in ran if one.error] == []
    printed = {one.block.line: one.output for one in ran if not one.block.says("file")}
    last = 0
    for block in blocks(page):
        if block.says("output"):
            assert matches(block.text, printed[last]), f"{block}: the block before it printed:\n{printed[last]}"
        elif block.line in printed:
            last = block.line


def an_event(text: str, n: int = 1) -> Message:
    return Message(
        id=f"cli:doc-{n}",
        connector=ConnectorInfo(type="cli", instance="cli"),
        sender=Sender(id="ada"),
        content=Content(text=text),
        conversation=Conversation(id="cli"),
    )


@contextmanager
def running_cli(home: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A manager with one `cli` instance that reads a pipe and prints what is sent."""
    (home / "connectors.yml").write_text("connectors:\n  - name: cli\n    type: cli\n", encoding="utf-8")
    process = subprocess.Popen(
        ["connectors", "run"], cwd=home, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        wait_for(lambda: StatusFile(Home(home), "cli").read().get("state") == "connected", deadline_s=30)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def receipts(home: Path) -> list[Path]:
    return list(Home(home).sent("cli").glob("*.json"))


# ── pages that run ────────────────────────────────────────────────────────────────────────────────────────────


def test_every_command_of_the_readme_works_in_a_fresh_clone_in_the_order_given(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    run_page(README, clone(tmp_path / "clone"), environ, tmp_path / "log")


def test_the_commands_of_the_format_work_with_a_running_connector(home: Path, environ: dict[str, str]) -> None:
    requires("jq")
    bash = [block for block in blocks(FORMAT) if is_run(block)]
    with running_cli(home, environ):
        for number, block in enumerate(bash):
            an_event(f"read me {number}", number).write_to(Home(home).inbox)
            ran = run_session([block], home, environ=environ, log=home.parent / f"log-{number}")
            check(FORMAT, ran)
            published = "outbox" in block.text
            assert published or f"read me {number}" in ran[0].output
        wait_for(lambda: len(receipts(home)) == 1, what="the receipt of what the shell published")

    assert list(Home(home).failed.iterdir()) == []


def test_the_page_in_the_mailbox_is_enough_for_an_agent(home: Path, environ: dict[str, str]) -> None:
    with running_cli(home, environ) as process:
        shutil.copy(MESSAGES, home / "messages")
        assert process.stdin is not None
        process.stdin.write("hello agent\n")
        process.stdin.flush()
        wait_for(lambda: list(Home(home).inbox.glob("*.json")))

        ran = run_page(MESSAGES, home / "messages", environ, home.parent / "log")

        wait_for(lambda: len(receipts(home)) == 2, what="a receipt of the answer and one of the report")
    assert "hello agent" in ran[0].output
    assert list(Home(home).inbox.glob("*.json")) == []
    assert list(Home(home).failed.iterdir()) == []


def test_a_new_home_gets_this_page() -> None:
    assert package_text("messages-README.md") == MESSAGES.read_text(encoding="utf-8")


def test_the_commands_of_the_security_page_work(home: Path, environ: dict[str, str]) -> None:
    run_page(SECURITY, home, environ, home.parent / "log")


def test_the_commands_of_the_operations_page_work_in_the_order_given(home: Path, environ: dict[str, str]) -> None:
    run_page(OPERATIONS, home, environ, home.parent / "log")


def clone(target: Path) -> Path:
    """What a clone of this repository has, and an environment of the same packages as this one's."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode == 0:
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name)
    else:
        made = shutil.ignore_patterns(".*", "__pycache__", "state", "logs", "*.egg-info")
        shutil.copytree(ROOT, target, ignore=made)
    _environment(target)
    return target


def _environment(root: Path) -> None:
    """As scripts/setup makes it, without a download: `scripts/setup` finds nothing to do, or does it."""
    venv = root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    inside = next(venv.glob("lib/python*/site-packages"))
    (inside / "clone.pth").write_text(f"{root}\n{packages}\n", encoding="utf-8")
    program = venv / "bin" / "connectors"
    program.write_text(f"#!{venv}/bin/python\nfrom connectors.commands.main import main\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    files = [(root / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "scripts/requirements.lock")]
    stamp = f"folder: {root}\nvenv: {venv}\npython: {version}\n{''.join(files)}"
    (venv / ".stamp").write_text(stamp, encoding="utf-8")


# ── blocks that are checked ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("block", all_blocks("json"))
def test_json_blocks_are_what_they_are_said_to_be(block: Block) -> None:
    if block.says("output"):
        return
    assert block.directive, f"{block}: say what it is: {', '.join(RECORDS)}"
    record = RECORDS[block.directive[0]]

    read = record.from_json(block.text)

    assert not read.model_extra, f"{block}: fields that the format does not have"


def _secrets(types: Iterable[str]) -> Iterator[str]:
    """The variables in `.env` that these types of ours read their secrets from."""
    for name in types:
        if name.replace("-", "_") in builtin_folders():
            for option in declaration_of(load_class(name, ROOT)).options or ():
                if option.secret and option.required and option.env:
                    yield option.env


@pytest.mark.parametrize("block", all_blocks("yaml"))
def test_yaml_blocks_are_a_valid_connectors_yml(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block without `connectors:` is a part of one. Variables are set to something."""
    if block.says("skip"):
        return
    text = block.text if re.search(r"^connectors:", block.text, re.MULTILINE) else f"connectors: []\n{block.text}"
    (tmp_path / "connectors.yml").write_text(text, encoding="utf-8")
    named = [*re.findall(r"\$\{(\w+)\}", text), *_secrets(re.findall(r"type: ([\w-]+)$", text, re.MULTILINE))]
    variables = {name: f"{'https://' * name.endswith('_URL')}value-of-{name}" for name in named}

    found = config.load(Home(tmp_path), variables)
    checked, problems = config.check_options(found, Home(tmp_path))

    assert [str(problem) for problem in (*found.errors, *problems) if problem.severity == "error"] == []
    assert checked.usable


# ── tables and the code ───────────────────────────────────────────────────────────────────────────────────────


def rows(page: Path) -> list[list[str]]:
    """The cells of every table row, without their backticks."""
    lines = page.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return [[cell.replace("`", "") for cell in row] for row in cells]


def test_the_readme_lists_every_verb_with_what_it_does() -> None:
    listed = {row[0]: row[1] for row in rows(README) if row[0] in VERBS}

    assert listed == VERBS


SECTIONS = {
    "manager.restart": RestartPolicy(),
    "limits": Limits(),
    "delivery": DeliveryPolicy(),
    "alerts": Alerts(),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_connectors_yml_is_in_the_reference_with_its_default(section: str) -> None:
    listed = {row[0]: row[1] for row in rows(OPERATIONS) if row[0].startswith(f"{section}.")}

    assert listed == {f"{section}.{name}": shown(value) for name, value in vars(SECTIONS[section]).items()}


def shown(value: object) -> str:
    """How a default stands in the reference."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return f"{value:_}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def test_every_exit_code_and_every_state_is_explained() -> None:
    cells = {row[0] for row in rows(OPERATIONS)}

    assert {str(int(code)) for code in Exit} <= cells
    assert {state.value for state in State} <= cells


@pytest.mark.parametrize("model", [Message, OutgoingMessage, Receipt, Reason])
def test_every_field_is_in_the_format(model: type[Record]) -> None:
    text = FORMAT.read_text(encoding="utf-8")
    names = {field.alias or name for name, field in model.model_fields.items()}

    assert {name for name in names if not re.search(rf"[`\".]{re.escape(name)}[`\".]", text)} == set()


def test_every_kind_and_every_class_is_in_the_format() -> None:
    text = FORMAT.read_text(encoding="utf-8")
    kinds = Message.model_json_schema()["properties"]["kind"]["enum"]
    classes = Reason.model_json_schema()["properties"]["class"]["enum"]

    assert [name for name in (*kinds, *classes) if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


# ── the helper itself ─────────────────────────────────────────────────────────────────────────────────────────


def test_blocks_are_found_with_their_language_place_and_comment(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('text\n\n<!-- block: event -->\n```json\n{"a": 1}\n```\n\n  ~~~\n  ```\n  ~~~\n', encoding="utf-8")

    first, second = blocks(page)

    assert (first.language, first.line, first.directive, json.loads(first.text)) == ("json", 4, ("event",), {"a": 1})
    assert (second.language, second.directive, second.text) == ("", (), "```\n")


@pytest.mark.parametrize(
    ("shown_text", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n", "a\nb\n", False),
        ("took … s\n", "took 3.2 s\n", True),
        ("took … s\n", "took\n s\n", False),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
    ],
)
def test_an_ellipsis_stands_for_what_differs(shown_text: str, printed: str, same: bool) -> None:
    assert matches(shown_text, printed) is same


def test_a_block_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\necho one\n```\n```bash\necho two >&2; false\n```\n```bash\necho three\n```\n", "utf-8")

    ran = run_session(blocks(page), tmp_path, environ=os.environ, log=tmp_path / "log")

    assert [(one.output, bool(one.error)) for one in ran] == [("one\n", False), ("", True)]
    assert "page.md:4" in ran[1].error
    assert "two" in ran[1].error
