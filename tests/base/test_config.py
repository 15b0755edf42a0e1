"""connectors.yml and .env: what they say, and every problem at once with its line, instance and suggestion."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base.config import (
    Config,
    DeliveryPolicy,
    Limits,
    RestartPolicy,
    check_options,
    environ_for,
    expand,
    load,
    parse_env,
)
from connectors.base.errors import ConfigError
from connectors.base.home import Home
from connectors.base.manager import ConnectorManager
from connectors.base.problems import Problem
from connectors.base.variables import substitute
from connectors.base.yamltext import MAX_BYTES, MAX_VALUES

Loads = Callable[..., Config]

PROBE = """
from connectors.base.connector import Connector
from connectors.base.options import Options, option
from connectors.base.secrets import Secret
from pydantic import field_validator

class Probe(Connector):
    connector_type = "probe"
    class Options(Options):
        token: Secret = option(description="t", env="PROBE_TOKEN", help_url="https://probe.test/token")
        channels: list[str] = option([], description="c")
        poll_s: int = option(5, description="p", env="PROBE_POLL")
        url: str | None = option(None, description="u")
        signing: Secret | None = option(None, description="s")

        @field_validator("url")
        @classmethod
        def _check(cls, value):
            raise ValueError(f"must not be {value}")

    def connect(self): pass
    def disconnect(self): pass
    def send_message(self, msg): return True
    def run_loop(self): pass
"""
PLAIN = PROBE.replace("    class Options", "    class Ignored").replace('"probe"', '"plain"')


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    """Write connectors.yml (and .env), load them with the given variables."""

    def load_text(text: str, env: str | None = None, **environ: str) -> Config:
        (tmp_path / "connectors.yml").write_text(text)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        return load(tmp_path, environ)

    return load_text


@pytest.fixture
def checks(tmp_path: Path, loads: Loads) -> Loads:
    """As `loads`, with the options compared with the classes of probe.py and plain.py."""
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "plain.py").write_text(PLAIN)

    def check_text(text: str, env: str | None = None, **environ: str) -> Config:
        before = loads(text, env, **environ)
        config, new = check_options(before, tmp_path)
        assert set(config.problems) == {*before.problems, *new}
        return config

    return check_text


def said(config: Config) -> list[str]:
    return [str(problem) for problem in config.problems]


# ── entries ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_has_its_name_type_options_and_line(loads: Loads) -> None:
    config = loads("connectors:\n  - name: a\n    type: slack\n    channels: [C1, C2]\n    deep: {x: 1}\n")
    assert config.problems == ()
    assert config.usable
    (entry,) = config.entries
    assert (entry.name, entry.type, entry.enabled, entry.line) == ("a", "slack", True, 2)
    assert entry.options == entry.raw == {"channels": ["C1", "C2"], "deep": {"x": 1}}
    assert entry.line_of(("channels", 1)) == 4
    assert entry.line_of(("deep", "nowhere")) == 5
    assert config.entry("a") is entry
    assert config.entry("b") is None


def test_the_defaults_are_the_documented_ones(loads: Loads) -> None:
    config = loads("connectors: []\n")
    assert config.usable
    assert config.entries == ()
    assert config.restart == RestartPolicy(1.0, 300.0, 60.0, None)
    assert config.delivery == DeliveryPolicy(8, 86_400.0, 1.0, 300.0, "resend", 2.0)
    assert (config.limits.inbox_max_files, config.limits.log_files) == (100_000, 5)
    assert config.alerts.on == ("auth", "crash_loop", "dead_letter", "stall")
    assert config.group is None


def test_sections_are_read_and_an_entry_overrides_delivery_and_limits(loads: Loads, tmp_path: Path) -> None:
    config = loads(
        """
manager: {restart: {initial_delay_s: 2, max_delay_s: 60.5, max_restarts: 3}}
limits: {inbox_max_files: 10, attachment_roots: [files, /srv/files]}
delivery: {max_attempts: 3, on_ambiguous: hold}
alerts: {command: notify, on: [auth], min_interval_s: "${MIN}"}
group: 1000
connectors:
  - {name: a, type: t, delivery: {max_attempts: 9}, limits: {keep_days: 1}}
  - {name: b, type: t}
""",
        MIN="5",
    )
    assert config.problems == ()
    a, b = config.entries
    assert config.restart == RestartPolicy(2.0, 60.5, 60.0, 3)
    assert a.delivery == DeliveryPolicy(max_attempts=9, on_ambiguous="hold")
    assert b.delivery == config.delivery == DeliveryPolicy(max_attempts=3, on_ambiguous="hold")
    assert (a.limits.keep_days, b.limits.keep_days, a.limits.inbox_max_files) == (1, 30, 10)
    assert config.limits.attachment_roots == (str(tmp_path / "files"), "/srv/files")
    assert (config.alerts.command, config.alerts.on, config.alerts.min_interval_s) == ("notify", ("auth",), 5.0)
    assert config.group == "1000"
    assert "delivery" not in a.options


def test_a_home_a_folder_and_the_file_itself_can_be_loaded(loads: Loads, tmp_path: Path) -> None:
    config = loads("connectors: [{name: a, type: t}]\n")
    assert load(Home(tmp_path), {}) == load(str(tmp_path / "connectors.yml"), {}) == config
    assert config.file == tmp_path / "connectors.yml"


def test_entries_are_equal_when_only_their_place_in_the_file_changed(loads: Loads) -> None:
    before = loads("connectors: [{name: a, type: t, x: 1}]\n")
    after = loads("# a comment\nconnectors:\n\n  - type: t\n    name: a\n    x: 1\n")
    assert before.entries == after.entries
    assert before.entries != loads("connectors: [{name: a, type: t, x: 2}]\n").entries


def test_neither_config_nor_entry_shows_options_or_values(loads: Loads) -> None:
    text = "connectors: [{name: a, type: t, token: '${T}', password: c4nary-too}]\nalerts: {url: '${T}'}\n"
    config = loads(text, T="c4nary")
    assert set(config.values) == {"c4nary", "c4nary-too"}
    assert config.entries[0].options == {"token": "c4nary", "password": "c4nary-too"}
    assert "c4nary" not in repr(config)
    assert "c4nary" not in repr(config.entries)


def test_loading_imports_neither_pydantic_nor_any_connector(tmp_path: Path) -> None:
    (tmp_path / "connectors.yml").write_text("connectors: [{name: cli, type: cli}]\n")
    program = (
        f"import sys; from connectors.base.config import load; assert load({str(tmp_path)!r}).entries\n"
        "bad = [name for name in sys.modules if name.endswith('.connector') or name.startswith('pydantic')]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


# ── problems ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_problem_is_one_line_with_place_instance_and_suggestion() -> None:
    problem = Problem("connectors.yml", 7, "slack-main", 'unknown option "chanels"', "channels")
    assert str(problem) == 'connectors.yml:7: slack-main: unknown option "chanels" (did you mean "channels"?)'
    whole = Problem("connectors.yml", 0, None, "is empty", severity="warning")
    assert str(whole) == "connectors.yml: warning: is empty"
    assert str(Problem("f", 1, "a\n\x1b[2J", "é")) == "f:1: a\\n\\x1b[2J: é"


def test_all_problems_come_at_once_in_the_order_of_the_file_and_good_entries_stay(loads: Loads) -> None:
    config = loads(
        """
conectors: []
manager: {restart: {max_delay: 1}, retsart: {}}
limits: {inbox_max_files: lots, keep_days: -1, log_files: true}
delivery: {on_ambiguous: resnd, max_attempts: 0, quiet_s: inf}
alerts: {on: [auth, crashloop], comand: x}
group: [a]
connectors:
  - name: good
    type: cli
  - name: good
    type: cli
  - name: Good
    type: cli
  - nme: x
    type: cli
  - name: no-type
    tpye: cli
  - name: "bad\\n"
    type: cli
  - name: sometimes
    type: cli
    enabled: maybe
  - name: unset
    type: slack
    token: ${SLACK_TOKN}
    nested: {deep: ["${OTHER}", "${ also }"]}
  - name: twice
    type: cli
    x: 1
    x: 2
  - just text
  - name: policy
    type: cli
    delivery: {max_atempts: 1}
  - name: approvals
    type: cli
""",
        SLACK_TOKEN="xoxb-set",
    )
    assert config.usable
    assert [entry.name for entry in config.entries] == ["good"]
    name = "use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or a digit"
    assert said(config) == [
        'connectors.yml:2: unknown key "conectors" (did you mean "connectors"?)',
        'connectors.yml:3: manager: unknown key "retsart" (did you mean "restart"?)',
        'connectors.yml:3: manager.restart: unknown key "max_delay" (did you mean "max_delay_s"?)',
        'connectors.yml:4: limits: "inbox_max_files" must be a whole number',
        'connectors.yml:4: limits: "keep_days" must be at least 0',
        'connectors.yml:4: limits: "log_files" must be a whole number',
        'connectors.yml:5: delivery: "on_ambiguous" takes only: resend, hold (did you mean "resend"?)',
        'connectors.yml:5: delivery: "max_attempts" must be at least 1',
        'connectors.yml:5: delivery: "quiet_s" must be a number',
        'connectors.yml:6: alerts: "on" takes only: auth, crash_loop, dead_letter, stall (did you mean "crash_loop"?)',
        'connectors.yml:6: alerts: unknown key "comand" (did you mean "command"?)',
        'connectors.yml:7: "group" must be the name or the number of a unix group',
        "connectors.yml:11: good: the name is used twice: the first one is in line 9",
        'connectors.yml:13: Good: differs from "good" (line 9) only in case: they would share one folder',
        'connectors.yml:15: entry 4 has no name, but "nme" (did you mean "name"?)',
        'connectors.yml:17: no-type: has no type, but "tpye" (did you mean "type"?)',
        f"connectors.yml:19: bad\\n: cannot be a name: {name}",
        'connectors.yml:23: sometimes: "enabled" must be true or false',
        (
            "connectors.yml:26: unset: token: variable SLACK_TOKN is not set: add it to .env, or export it"
            ' (did you mean "SLACK_TOKEN"?)'
        ),
        "connectors.yml:27: unset: nested.deep.0: variable OTHER is not set: add it to .env, or export it",
        (
            'connectors.yml:27: unset: nested.deep.1: "${" begins no variable: write ${NAME} or ${NAME:-default}, '
            'and "$${" for a literal "${"'
        ),
        'connectors.yml:31: twice: "x" is given twice: the first one is in line 30',
        'connectors.yml:32: entry 10 is no mapping: write "- name: slack-main" and below it "type: slack"',
        'connectors.yml:35: policy: delivery: unknown key "max_atempts" (did you mean "max_attempts"?)',
        'connectors.yml:36: approvals: "approvals" is a name that the program uses itself: choose another one',
    ]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "connectors.yml: ", "is empty"),
        ("# only a comment\n", "connectors.yml: ", "is empty"),
        ("- name: a\n", "connectors.yml:1: ", "must be a mapping"),
        ("just text", "connectors.yml:1: ", "must be a mapping"),
        ("limits: {}\n", "connectors.yml:1: ", 'has no "connectors:"'),
        ("conectors: []\n", "connectors.yml:1: ", 'but "conectors" (did you mean "connectors"?)'),
        ("limits: {}\nconnectors:\n", "connectors.yml:2: ", '"connectors: []"'),
        ("connectors:\n  a: {type: cli}\n", "connectors.yml:1: ", "must be a list"),
        ("connectors:\n  - name: a\n   type: b\n", "connectors.yml:3: ", "not YAML"),
        ("connectors:\n\t- name: a\n", "connectors.yml:2: ", "not YAML"),
        ("connectors: [\n", "connectors.yml:2: ", "not YAML"),
        ("a: 1\n---\nb: 2\n", "connectors.yml:2: ", "not YAML"),
        ("connectors: [${A}]\n", "connectors.yml:1: ", 'put "${VARIABLE}" into quotes'),
        ("connectors:\n  - name: @me\n", "connectors.yml:2: ", "must be in quotes"),
        ("connectors: \x07\n", "connectors.yml:1: ", "not YAML"),
        ("connectors: *nobody\n", "connectors.yml:1: ", "not YAML"),
        ("connectors: &a\n  - *a\n", "connectors.yml:", "contains itself"),
        ("a: &a {<<: *a}\n", "connectors.yml:1: ", "contains itself"),
        (f"connectors: {'[' * 90_000}{']' * 90_000}\n", "connectors.yml:1: ", "nested more than"),
    ],
)
def test_a_file_that_says_nothing_is_unusable_with_one_problem(loads: Loads, text: str, place: str, words: str) -> None:
    config = loads(text)
    assert not config.usable
    assert config.entries == ()
    (problem,) = said(config)
    assert problem.startswith(place)
    assert words in problem


@pytest.mark.parametrize("make", ["missing", "folder", "fifo", "huge", "latin-1"])
def test_a_file_that_cannot_be_read_is_unusable_and_nothing_hangs(tmp_path: Path, make: str) -> None:
    path = tmp_path / "connectors.yml"
    if make == "folder":
        path.mkdir()
    elif make == "fifo":
        os.mkfifo(path)
    elif make == "huge":
        path.write_bytes(b"#" * (MAX_BYTES + 1))
    elif make == "latin-1":
        path.write_bytes(b"connectors:\n  - name: caf\xe9\n")
    config = load(path if make == "folder" else tmp_path, {})
    assert not config.usable
    assert len(config.problems) == 1
    assert make != "latin-1" or config.problems[0].line == 2


def test_aliases_cannot_make_a_small_file_huge(loads: Loads) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12))
    config = loads("l0: &l0 [x, x, x]\n" + levels + "connectors: []\n")
    assert not config.usable
    assert f"more than {MAX_VALUES} values" in said(config)[0]


def test_merge_keys_cannot_make_a_small_file_huge(loads: Loads) -> None:
    levels = "".join(f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
    config = loads("l0: &l0 {x: 1}\n" + levels + "connectors: []\n")
    assert not config.usable
    assert f"more than {MAX_VALUES} values" in said(config)[0]


@given(st.text(alphabet="ab:-[]{}#&*!|>'\"%@`$\n \t\\,?<0.~é\x00", max_size=80), st.text(max_size=30))
def test_no_content_of_the_two_files_ever_raises(tmp_path_factory: pytest.TempPathFactory, text: str, env: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "connectors.yml").write_text(text)
    (folder / ".env").write_bytes(env.encode("utf-8", "replace"))
    config = load(folder, {})
    assert config.usable or config.errors


# ── YAML ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_anchors_and_merge_keys_work_and_what_the_entry_says_itself_wins(loads: Loads) -> None:
    config = loads(
        """
limits: &limits {keep_days: 3}
connectors:
  - &first
    name: a
    type: t
    x: 1
    y: [1]
  - <<: *first
    name: b
    x: 2
  - <<: [{z: 3}, *first]
    name: c
    limits: *limits
"""
    )
    assert config.problems == ()
    a, b, c = config.entries
    assert b.options == {"x": 2, "y": [1]}
    assert c.options == {"x": 1, "y": [1], "z": 3}
    assert (a.type, b.type, c.limits.keep_days) == ("t", "t", 3)


def test_a_merge_of_a_merge_works(loads: Loads) -> None:
    config = loads(
        "connectors:\n  - &a {name: a, type: t, x: 1}\n  - &b {<<: *a, name: b, y: 2}\n  - {<<: *b, name: c}\n"
    )
    assert config.entries[2].options == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("12", 12),
        ("-100123", -100123),
        ("0123", "0123"),
        ("12:30", "12:30"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.5", 1.5),
        (".inf", ".inf"),
        ("2026-01-01", "2026-01-01"),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("a=b", "a=b"),
    ],
)
def test_a_value_is_never_changed_into_something_that_was_not_written(loads: Loads, written: str, read: object) -> None:
    config = loads(f"connectors: [{{name: a, type: t, x: {written}}}]\n")
    assert config.problems == ()
    value = config.entries[0].options["x"]
    assert value == read
    assert type(value) is type(read)


def test_keys_are_texts_as_written(loads: Loads) -> None:
    config = loads("alerts:\n  on: [stall]\nconnectors: [{name: a, type: t, no: 1, 12: x}]\n")
    assert config.problems == ()
    assert config.alerts.on == ("stall",)
    assert config.entries[0].options == {"no": 1, "12": "x"}


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [echo]", "!custom x", "!!binary aGk=", "!!set {a}"])
def test_a_tag_that_makes_objects_is_a_problem_and_makes_none(loads: Loads, tag: str) -> None:
    config = loads(f"connectors:\n  - name: a\n    type: t\n    x: {tag}\n  - {{name: b, type: t}}\n")
    assert [entry.name for entry in config.entries] == ["b"]
    (problem,) = said(config)
    assert problem.startswith("connectors.yml:4: a: the tag ")


# ── variables ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("x-${A}-${B}-y", "x-one--y"),
        ("${A:-d}", "one"),
        ("${B:-d}", "d"),
        ("${C:-d}", "d"),
        ("${C:-}", ""),
        ("${C:-${A}}", "one"),
        ("${C:-${D:-x}}y}", "xy}"),
        ("${A:-${C}}", "one"),
        ("$${A}", "${A}"),
        ("$A $ $$ {A} }", "$A $ $$ {A} }"),
        ("${V}", "${A}"),
        ("${C:-a:b-c d}", "a:b-c d"),
    ],
)
def test_variables_are_expanded_as_a_shell_does(text: str, expected: str) -> None:
    environ = {"A": "one", "B": "", "V": "${A}"}
    assert expand(text, environ) == expected
    assert expand({"k": [text, 1, None]}, environ) == {"k": [expected, 1, None]}


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "${1A}", "${A:-x", "${A-x}", "${ A }", "${a" * 50, "${A:-" * 50 + "}" * 50]
)
def test_what_begins_like_a_variable_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expand(text, {"A": ""})
    assert caught.value.hint


def test_an_unset_variable_is_an_error_that_names_it_and_the_cure() -> None:
    with pytest.raises(ConfigError, match="variable NOBODY is not set") as caught:
        expand(["${NOBODY}"], {})
    assert ".env" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "unset", "empty"),
    [
        ("${A}${B}${C}", ("C",), ("B",)),
        ("${B:-d}${C:-d}", (), ()),
        ("${A:-${C}}", (), ()),
        ("${C:-${D}${B}}", ("D",), ("B",)),
    ],
)
def test_a_text_tells_which_of_its_variables_are_unset_or_empty_and_have_no_default(
    text: str, unset: tuple[str, ...], empty: tuple[str, ...]
) -> None:
    result = substitute(text, {"A": "one", "B": ""})
    assert (result.unset, result.empty) == (unset, empty)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


@given(value=st.text(), before=st.text(alphabet="ab $}"), name=NAMES)
def test_what_a_variable_holds_comes_out_unchanged_and_is_not_expanded_again(
    value: str, before: str, name: str
) -> None:
    before = before.rstrip("$")
    assert expand(f"{before}${{{name}}}", {name: value}) == before + value
    assert substitute(f"${{{name}}}", {name: value}).used[0].value == value


@given(st.text())
def test_a_text_whose_dollars_are_escaped_comes_out_as_it_was(text: str) -> None:
    if "$${" in text:
        return
    assert expand(text.replace("${", "$${"), {}) == text


@given(st.text(alphabet="${}:-AB "))
def test_expanding_any_text_gives_a_text_or_a_config_error(text: str) -> None:
    try:
        assert isinstance(expand(text, {"A": "a"}), str)
    except ConfigError:
        pass


def test_values_of_variables_are_collected_to_be_redacted(loads: Loads) -> None:
    config = loads(
        "connectors: [{name: a, type: t, x: '${X}', y: '${Y:-default}', z: ['p${Z}q']}]\n",
        "Z=from-the-file\nUNUSED=unused-value\nUNUSED_TOKEN=a-token\n",
        X="from-the-environment",
    )
    # what a connector may read by itself (`get_config(env_key=...)`) is recognised by its name
    assert set(config.values) == {"from-the-environment", "from-the-file", "a-token"}


def test_an_entry_that_is_disabled_may_use_variables_that_are_not_set(loads: Loads) -> None:
    config = loads("connectors:\n  - {name: a, type: t, enabled: no, token: '${NOT_YET}'}\n")
    assert config.problems == ()
    assert not config.entries[0].enabled
    assert config.entries[0].options == {"token": "${NOT_YET}"}


@pytest.mark.parametrize(("value", "enabled"), [("1", True), ("off", False), ("TRUE", True), ("no", False)])
def test_enabled_can_come_from_a_variable(loads: Loads, value: str, enabled: bool) -> None:
    assert loads("connectors: [{name: a, type: t, enabled: '${ON}'}]\n", ON=value).entries[0].enabled is enabled


@pytest.mark.parametrize("key", ["enabled", "type", "x"])
def test_an_unset_variable_is_one_problem_wherever_it_is(loads: Loads, key: str) -> None:
    values = {"name": "a", "type": "t", key: "${UNSET}"}
    config = loads(f"connectors: [{{{', '.join(f'{k}: {v!r}' for k, v in values.items())}}}]\n")
    assert config.entries == ()
    (problem,) = said(config)
    assert problem == f"connectors.yml:1: a: {key}: variable UNSET is not set: add it to .env, or export it"


# ── .env ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_env_file_is_read_with_export_quotes_and_comments() -> None:
    found = parse_env(
        "\ufeff# comment\n\nA=1\nexport B = two words # comment\nC='li#t\\n'\n"
        'D="a\\nb \\"q\\" \\$x" # c\nE=#channel\nF= # nothing\nG=\nH="two\nlines"\r\n  I=x=y\nJ="${A}"\nA=again'
    )
    assert found.faults == ()
    assert found.values == {
        "A": "again",
        "B": "two words",
        "C": "li#t\\n",
        "D": 'a\nb "q" $x',
        "E": "#channel",
        "F": "",
        "G": "",
        "H": "two\nlines",
        "I": "x=y",
        "J": "${A}",
    }
    assert found.repeats == ((14, "A"),)


def test_faults_of_an_env_file_have_their_lines_and_the_rest_is_used(loads: Loads) -> None:
    config = loads(
        "connectors: [{name: a, type: t, x: '${GOOD}'}]\n",
        'no assignment\nGOOD=1\n1BAD=x\nB=\'x\' y\nC="two\nlines" z\nD=\x00\nA="never closed\nE=1',
    )
    assert [entry.options for entry in config.entries] == [{"x": "1"}]
    assert [(problem.file, problem.line) for problem in config.problems] == [(".env", n) for n in (1, 3, 4, 5, 7, 8)]
    assert said(config)[-1] == ".env:8: the quote after A= is never closed"
    assert environ_for(config) == {"GOOD": "1", "E": "1"}


def test_the_real_environment_wins_over_the_env_file_and_a_child_gets_both(loads: Loads) -> None:
    config = loads("connectors: [{name: a, type: t, x: '${X}'}]\n", "X=file\nY=file\n", X="real", Z="real")
    assert config.entries[0].options == {"x": "real"}
    assert environ_for(config) == {"X": "real", "Y": "file", "Z": "real"}


@pytest.mark.parametrize("make", ["folder", "latin-1", "unreadable"])
def test_an_env_file_that_cannot_be_read_stops_no_entry(loads: Loads, tmp_path: Path, make: str) -> None:
    path = tmp_path / ".env"
    if make == "folder":
        path.mkdir()  # a virtual environment of that name
    elif make == "latin-1":
        path.write_bytes(b"A=caf\xe9\n")
    else:
        path.symlink_to(path)
    config = loads("connectors: [{name: a, type: t}]\n")
    assert len(config.entries) == 1
    assert [problem.file for problem in config.problems] == ([] if make == "folder" else [".env"])


PLAIN_VALUES = st.text(alphabet=st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"]))


@given(st.dictionaries(NAMES, PLAIN_VALUES, max_size=5), st.sampled_from("'\""))
def test_what_is_written_in_quotes_is_read_back_exactly(values: dict[str, str], quote: str) -> None:
    def quoted(value: str) -> str:
        if quote == "'" and "'" not in value:
            return f"'{value}'"
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    found = parse_env("".join(f"{name}={quoted(value)}\n" for name, value in values.items()))
    assert found.values == values
    assert found.faults == found.repeats == ()


@given(st.text())
def test_any_env_file_is_read_without_raising_and_its_lines_are_counted(text: str) -> None:
    found = parse_env(text)
    lines = text.count("\n") + 1
    assert all(1 <= line <= lines for line, _ in (*found.faults, *found.repeats))


# ── secrets ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_that_stands_in_the_file_is_a_warning_and_is_redacted(loads: Loads) -> None:
    config = loads(
        "alerts:\n  url: https://hooks.slack.com/services/T01/B02/abcdefgh\n"
        "connectors:\n  - name: a\n    type: t\n    bot_token: plainly-here\n    other: [xoxb-1234567890-abc]\n"
        "    password: ${P:-}\n    poll: 5\n"
    )
    assert [entry.name for entry in config.entries] == ["a"]
    assert config.errors == ()
    cure = "a secret stands in the file: move it to .env and write ${NAME} here"
    assert said(config) == [
        f"connectors.yml:2: warning: alerts.url: {cure}",
        f"connectors.yml:6: warning: a: bot_token: {cure}",
        f"connectors.yml:7: warning: a: other.0: {cure}",
    ]
    assert {"plainly-here", "xoxb-1234567890-abc"} <= set(config.values)


# ── options against the classes ────────────────────────────────────────────────────────────────────────────────


def probe(*lines: str) -> str:
    options = "".join(f"    {line}\n" for line in lines)
    return f"connectors:\n  - name: p\n    type: ./probe.py\n{options}"


def test_options_are_compared_with_the_declaration_with_lines_and_suggestions(checks: Loads) -> None:
    config = checks(probe("chanels: []", "poll_s: often"))
    assert config.entries == ()
    assert said(config) == [
        (
            'connectors.yml:2: p: option "token" is missing: give it, or set PROBE_TOKEN in .env '
            "(where it comes from: https://probe.test/token)"
        ),
        'connectors.yml:4: p: unknown option "chanels" (did you mean "channels"?)',
        'connectors.yml:5: p: option "poll_s" must be a valid integer, unable to parse string as an integer',
    ]


def test_an_option_is_read_from_its_variable_and_its_value_is_redacted(checks: Loads) -> None:
    config = checks(probe("channels: C1"), "PROBE_TOKEN=t0ken-value\nPROBE_POLL=77777\n")
    assert config.problems == ()
    assert config.entries[0].options == {"token": "t0ken-value", "channels": "C1", "poll_s": "77777"}
    assert {"t0ken-value", "77777"} <= set(config.values)


@pytest.mark.parametrize(
    ("lines", "environ"),
    [
        (["token: ${T}"], {"T": ""}),
        (["token: prefix-${T}"], {"T": ""}),
        (["token: ''"], {}),
        (["token: ${T:-}"], {}),
        ([], {"PROBE_TOKEN": ""}),
        (["token: ${T}", "signing: ${S}"], {"T": "t0ken-value", "S": ""}),
    ],
)
def test_an_empty_secret_is_an_error_and_never_no_secret(
    checks: Loads, lines: list[str], environ: dict[str, str]
) -> None:
    config = checks(probe(*lines), **environ)
    assert config.entries == ()
    (problem,) = said(config)
    assert "secret" in problem
    assert "empty" in problem


def test_an_empty_secret_of_a_class_that_declares_nothing_is_an_error_too(checks: Loads) -> None:
    text = "connectors:\n  - {name: p, type: ./plain.py, token: '${T}', other: '${T}'}\n"
    config = checks(text, T="")
    assert config.entries == ()
    assert said(config) == [
        'connectors.yml:2: p: option "token" is secret and its variable T is set but empty: give it a value'
    ]


def test_a_class_that_declares_nothing_accepts_any_option(checks: Loads) -> None:
    config = checks("connectors:\n  - {name: p, type: ./plain.py, anything: 1}\n")
    assert config.problems == ()
    assert config.entries[0].options == {"anything": 1}


def test_a_secret_too_short_to_be_redacted_and_one_in_the_file_are_warnings(checks: Loads) -> None:
    config = checks(probe("token: abc", "signing: 's1gning'"))
    assert [entry.name for entry in config.entries] == ["p"]
    assert said(config) == [
        "connectors.yml:4: warning: p: token: a secret stands in the file: move it to .env and write ${NAME} here",
        'connectors.yml:4: warning: p: option "token" is secret and shorter than 4 characters: logs will show it',
        "connectors.yml:5: warning: p: signing: a secret stands in the file: move it to .env and write ${NAME} here",
    ]
    assert "s1gning" in config.values


def test_no_problem_shows_the_value_of_a_variable(checks: Loads) -> None:
    environ: dict[str, Any] = {"T": "c4nary-token", "U": "c4nary-url", "P": "c4nary-poll"}
    config = checks(probe("token: ${T}", "url: ${U}", "poll_s: ${P}", "chnl: ${U}"), **environ)
    assert len(config.problems) == 3
    assert "c4nary" not in " ".join(said(config))
    assert "must not be ****" in " ".join(said(config))


def test_a_type_that_cannot_be_loaded_is_a_problem_of_its_entry_and_the_others_stay(
    checks: Loads, tmp_path: Path
) -> None:
    (tmp_path / "needs.py").write_text("import no_such_sdk\n")
    config = checks(
        "connectors:\n  - {name: a, type: clii}\n  - name: b\n    type: ./needs.py\n  - {name: c, type: ./plain.py}\n"
    )
    assert [entry.name for entry in config.entries] == ["c"]
    first, second = said(config)
    assert first.startswith('connectors.yml:2: a: there is no connector type "clii" (did you mean "cli"?): use one of ')
    assert second == (
        "connectors.yml:4: b: ./needs.py needs the package no_such_sdk, which is not installed: pip install no_such_sdk"
    )


def test_a_disabled_entry_is_not_checked_so_its_type_need_not_be_installed(checks: Loads) -> None:
    config = checks("connectors:\n  - {name: a, type: no-such-type, enabled: false, x: 1}\n")
    assert config.problems == ()
    assert len(config.entries) == 1


def test_checking_changes_nothing_but_entries_values_and_problems(checks: Loads, tmp_path: Path) -> None:
    before = load(tmp_path, {}) if (tmp_path / "connectors.yml").exists() else None
    assert before is None
    config = checks("limits: {keep_days: 2}\n" + probe("token: ${T}"), T="t0ken-value")
    again, new = check_options(config, Home(tmp_path))
    assert new == []
    assert again == config
    assert replace(config, entries=()).limits == Limits(keep_days=2)


@pytest.mark.parametrize("name", ["manager", "Manager.json", "manager.lock", "manager.sock", "format", "approvals"])
def test_a_name_that_the_program_uses_in_state_or_logs_is_refused(name: str, home: Path) -> None:
    (home / "connectors.yml").write_text(f"connectors:\n  - name: {name}\n    type: cli\n")
    config = load(home, {})
    assert [str(problem) for problem in config.errors] == [
        f'connectors.yml:2: {name}: "{name}" is a name that the program uses itself: choose another one'
    ]


@pytest.mark.parametrize("name", ["approvals", "Manager.json"])
def test_such_a_name_is_refused_however_the_connector_is_started(name: str, home: Path) -> None:
    manager = ConnectorManager(home)
    with pytest.raises(ConfigError, match="is a name that the program uses itself"):
        manager.add_connector(name, "cli")
    alone = [sys.executable, "-P", "-m", "connectors.cli.connector", "--seed-home", str(home), "--name", name]
    done = subprocess.run(alone, input="", capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, f'"{name}" is a name that the program uses itself' in done.stderr) == (78, True)
    assert not (home / "state" / name / "lock").exists()


@pytest.mark.parametrize(("name", "read"), [("off", "false"), ("yes", "true"), ("1.5", "1.5")])
def test_a_name_that_yaml_reads_as_something_else_is_to_be_quoted(name: str, read: str, home: Path) -> None:
    (home / "connectors.yml").write_text(f"connectors:\n  - name: {name}\n    type: cli\n")
    (problem,) = load(home, {}).errors
    assert str(problem) == (
        f'connectors.yml:2: the name is {read} to YAML, and no text: put it in quotes, as in name: "off"'
    )
    (home / "connectors.yml").write_text(f'connectors:\n  - name: "{name}"\n    type: cli\n')
    assert load(home, {}).errors == ()


def test_two_entries_with_one_exclusive_value_are_told(home: Path) -> None:
    source = """
        from connectors.base import options
        from connectors.base.connector import Connector
        from connectors.base.secrets import Secret

        class Bot(Connector):
            connector_type = "bot"

            class Options(options.Options):
                token: Secret = options.option(description="t", env="BOT_TOKEN", exclusive=True)

            def connect(self): pass
            def disconnect(self): pass
            def run_loop(self): pass
            def send_message(self, msg): return True
    """
    (home / "bot.py").write_text(textwrap.dedent(source))
    (home / ".env").write_text("BOT_TOKEN=one-token-1234\nOTHER=another-token-1234\n")
    entries = [{"name": "one", "type": "./bot.py"}, {"name": "two", "type": "./bot.py"}]
    entries.append({"name": "three", "type": "./bot.py", "token": "${OTHER}"})
    entries.append({"name": "off", "type": "./bot.py", "enabled": "false"})
    (home / "connectors.yml").write_text(json.dumps({"connectors": entries}))

    checked, problems = check_options(load(Home(home), {}), Home(home))

    assert [(p.instance, p.severity) for p in problems] == [("two", "error")]
    assert "the same value as that of one" in problems[0].text
    assert "one-token" not in problems[0].text
    assert [entry.name for entry in checked.entries] == ["one", "three", "off"]
