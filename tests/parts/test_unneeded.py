"""Parts of a library that a connector never uses are not in its process."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from connectors.parts.unneeded import HTTPX_PROGRAM, give_back, unneeded


def test_what_is_unneeded_cannot_be_imported_in_the_block_and_can_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_for_this_test.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    with unneeded("only_for_this_test"), pytest.raises(ImportError):
        import_module("only_for_this_test")

    assert import_module("only_for_this_test").__name__ == "only_for_this_test"


def test_what_was_imported_before_stays() -> None:
    import json

    with unneeded("json"):
        import json as again

    assert again is json
    assert sys.modules["json"] is json


def test_memory_is_given_back_wherever_that_can_be_asked_for() -> None:
    give_back()  # raises nothing


def test_httpx_works_without_its_program() -> None:
    code = (
        "import sys\n"
        "from connectors.parts.unneeded import HTTPX_PROGRAM, unneeded\n"
        "with unneeded(HTTPX_PROGRAM):\n"
        "    import httpx\n"
        "transport = httpx.MockTransport(lambda request: httpx.Response(200, text='well'))\n"
        "print(httpx.Client(transport=transport).get('http://a.test').text)\n"
        "print(sorted({'click', 'rich', 'pygments', HTTPX_PROGRAM} & sys.modules.keys()))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert out.stdout == "well\n[]\n", HTTPX_PROGRAM
