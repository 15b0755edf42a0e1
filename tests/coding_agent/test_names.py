"""The tools by whose names the connector goes."""

from pathlib import Path

import pytest

from connectors.base.declaration import declaration_of
from connectors.base.registry import known_types, load_class
from connectors.coding_agent.connector import CodingAgentConnector
from tests.coding_agent.test_readme import FILES
from tests.commands.program import answer, done

NAMES = ["claude-code", "codex", "opencode", "pi", "pi-rust"]


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_a_type_with_a_secret_of_its_own(home: Path, name: str) -> None:
    """Weakness: four copies of one program, and names in the documentation that nothing knew."""
    cls = load_class(name, home)
    declared = declaration_of(cls)
    assert issubclass(cls, CodingAgentConnector)
    assert (declared.type, cls.harness) == (name, name)
    [secret] = [option for option in declared.options or () if option.name == "secret"]
    assert secret.env == f"{name.upper().replace('-', '_')}_WEBHOOK_SECRET"
    assert secret.secret
    assert not secret.required


def test_they_are_listed_with_what_they_are(home: Path) -> None:
    assert set(NAMES) <= set(known_types(home))
    shown = {row["type"]: row for row in answer("types", home=home)}
    assert {shown[name]["problem"] for name in NAMES} == {None}
    assert "Claude Code" in shown["claude-code"]["summary"]
    assert "CLAUDE_CODE_WEBHOOK_SECRET" in done("types", "claude-code", home=home)


def test_several_of_them_share_a_port_by_path(home: Path) -> None:
    entries = "".join(f"  - {{name: my-{name}, type: {name}}}\n" for name in NAMES)
    (home / "connectors.yml").write_text(f"connectors:\n{entries}")
    done("validate", home=home)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("claude-code", ".claude/settings.json"),
        ("codex", ".codex/hooks.json"),
        ("opencode", ".config/opencode/plugins/mailbox.js"),
        ("pi", ".pi/agent/extensions/mailbox.ts"),
        ("pi-rust", ".pi/agent/extensions/mailbox.ts"),
    ],
)
def test_what_is_to_be_done_in_the_tool_is_shown_and_that_it_is_done(home: Path, name: str, file: str) -> None:
    """Weakness: what a registration said of its hooks was shown nowhere."""
    user = {"HOME": str(home)}
    before = done("types", name, home=home, env=user)
    assert f"· integration {name}" in before
    assert "https://" in before
    (home / file).parent.mkdir(parents=True)
    (home / file).write_text(FILES[Path(file).name])
    assert f"✓ integration {name}" in done("types", name, home=home, env=user)
