"""docs/cli.md says what the program can do."""

from pathlib import Path
from typing import Any

import pytest

from connectors.commands.main import VERBS, load
from connectors.commands.reference import reference

FILE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_reference_is_that_of_this_program() -> None:
    assert FILE.read_text(encoding="utf-8") == reference(), "python -m connectors.commands.reference >docs/cli.md"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_every_option_is_in_it(verb: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    command: Any = load(verb)
    below: dict[str, Any] = getattr(command, "commands", {})

    for name, one in (below or {"": command}).items():
        heading = f"# connectors {verb} {name}".rstrip()
        section = text.partition(f"{heading}\n")[2].partition("\n#")[0]
        assert section, heading
        for param in one.params:
            for option in [*param.opts, *param.secondary_opts] if param.param_type_name == "option" else []:
                assert f"`{option}" in section, (heading, option)
