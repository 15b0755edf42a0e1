"""`python -m connectors.testing.github`: a person types, what the connector's account does appears."""

from __future__ import annotations

import signal
import subprocess
import sys

import httpx
import yaml

from connectors.testing.github import FakeGitHub, Repository
from connectors.testing.github.__main__ import introduction
from connectors.testing.github.screen import Screen


def test_the_introduction_can_be_pasted(fake: FakeGitHub) -> None:
    text = introduction(fake, "http://127.0.0.1:4801/webhook/github-fake", "s3cret")
    entry = yaml.safe_load(text[text.index("connectors:\n") : text.index(".env:")])["connectors"][0]
    assert (entry["type"], entry["base_url"], entry["repositories"]) == ("github", fake.url, ["acme/app"])
    assert (entry["listen"], entry["port"]) == (True, 4801)
    assert f"\nGITHUB_TOKEN={fake.token}\n" in text
    assert "\nGITHUB_WEBHOOK_SECRET=s3cret\n" in text
    assert "listen:" not in introduction(fake)


def test_what_is_typed_happens(fake: FakeGitHub, repository: Repository) -> None:
    screen = Screen(fake, repository)
    assert screen.typed("hello\n") == "  about which issue? /open TITLE, or /on N"
    assert screen.typed("/open It crashes | When I click\n") == "  acme/app#1"
    for line in ("me too", "/label bug", "/assign bob", "/as grace", "/pr Fix it", "looks good", "/merge", "/on 1"):
        assert "  there is no" not in screen.typed(line)
    screen.typed("/close")
    issue, pull = repository.issues.values()
    assert (issue.body, issue.labels, issue.state) == ("When I click", ["bug"], "closed")
    assert [person.login for person in issue.assignees] == ["bob"]
    assert pull.merged_at is not None
    assert [comment.body for comment in pull.comments] == ["looks good"]
    assert screen.typed("/list") == "  #1 closed It crashes\n  #2 closed Fix it"
    assert screen.typed("/on 9") == "  there is no #9"
    assert "/open TITLE" in screen.typed("/help")
    assert "there is no /nonsense" in screen.typed("/nonsense")
    screen.typed("/limit 30")
    assert fake.limits.left(fake.login) == 0


def test_what_the_connector_does_is_shown_once(fake: FakeGitHub, repository: Repository, client: httpx.Client) -> None:
    screen = Screen(fake, repository)
    screen.typed("/open It crashes")
    screen.typed("me too")
    assert screen.news() == []
    client.post("/repos/acme/app/issues/1/comments", json={"body": "On it.\n\n<!-- unseen -->"})
    client.post("/repos/acme/app/issues/1/assignees", json={"assignees": ["bob"]})
    assert screen.news() == [
        "[connector-bot] #1 It crashes (open, assigned to bob)",
        "[connector-bot on #1] On it.",
    ]
    client.patch("/repos/acme/app/issues/1", json={"state": "closed"})
    assert screen.news() == ["[connector-bot] #1 It crashes (closed, assigned to bob)"]
    assert screen.news() == []


def test_the_program_serves_and_ends_and_its_token_is_another_each_time() -> None:
    tokens = set()
    for _ in range(2):
        command = [sys.executable, "-m", "connectors.testing.github"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            head = {}
            for line in program.stdout:
                name, _, value = line.strip().partition(" ")
                head[name] = value.strip()
                if line.startswith("Type /open"):
                    break
            tokens.add(head["token"])
            program.stdin.write("/open It crashes\n")
            program.stdin.flush()
            assert next(line for line in program.stdout if line.strip()) == "  acme/app#1\n"
            with httpx.Client(
                base_url=head["base_url"], headers={"Authorization": f"Bearer {head['token']}"}
            ) as client:
                assert client.get("/repos/acme/app/issues").json()[0]["title"] == "It crashes"
                client.post("/repos/acme/app/issues/1/comments", json={"body": "hi Ada"})
            assert next(line for line in program.stdout if line.strip()) == "[connector-bot on #1] hi Ada\n"
            program.stdin.close()
            program.send_signal(signal.SIGTERM)
            assert program.wait(10) == 0
    assert len(tokens) == 2
