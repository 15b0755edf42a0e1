"""The fake GitHub on a terminal: what a person types happens there, what the connector's account does is shown.

Every function takes and gives text; the program around it is `__main__`.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.testing.github.fake import FakeGitHub
from connectors.testing.github.model import Issue, Repository

HELP = """\
/open TITLE [| BODY]   open an issue
/pr TITLE [| BODY]     open a pull request
/on N                  talk about this issue or pull request from now on
/label NAME            put a label on it
/assign NAME           assign somebody
/edit TITLE            give it another title
/close  /reopen        close it, open it again
/merge                 merge a pull request
/delete                delete it
/as NAME               be somebody else
/limit SECONDS         the rate limit is used up, for so long
/list                  what there is
/quit                  end
Every other line is a comment.
"""


class Screen:
    """Who types, about which issue, and what was shown."""

    def __init__(self, fake: FakeGitHub, repository: Repository) -> None:
        self.fake = fake
        self.repository = repository
        self.person = fake.person("ada")
        self.issue: Issue | None = None
        self._shown: dict[object, str] = {}
        self._words: dict[str, Callable[[str], object]] = {
            "/open": self._open,
            "/pr": self._pull,
            "/on": self._on,
            "/label": lambda name: self.fake.label(self._here(), _needed(name), by=self.person),
            "/assign": lambda name: self.fake.assign(self._here(), self.fake.person(_needed(name)), by=self.person),
            "/edit": lambda title: self.fake.edit(self._here(), title=_needed(title), by=self.person),
            "/close": lambda _: self.fake.close(self._here(), by=self.person),
            "/reopen": lambda _: self.fake.change(self._here(), "reopened", by=self.person, state="open"),
            "/merge": lambda _: self.fake.merge(self._here(), by=self.person),
            "/delete": self._delete,
            "/as": self._as,
            "/limit": lambda seconds: self.fake.exhaust(float(seconds or 60)),
            "/list": lambda _: self._list(),
            "/help": lambda _: HELP,
        }

    # ── what a person types ───────────────────────────────────────────────────────────────────────────────────

    def typed(self, line: str) -> str:
        """Do what the line says. Returns what to tell the person."""
        word, _, rest = line.strip().partition(" ")
        if not word:
            return ""
        try:
            if word in self._words:
                said = self._words[word](rest.strip())
                return said if isinstance(said, str) else ""
            if word.startswith("/"):
                return f"  there is no {word}; /help lists what there is"
            self.fake.comment(self._here(), line.strip(), by=self.person)
        except (LookupError, ValueError) as problem:
            return f"  {problem}"
        return ""

    def _open(self, text: str, *, pull: bool = False) -> str:
        title, _, body = (part.strip() for part in _needed(text).partition("|"))
        self.issue = self.fake.open(self.repository, title, body, by=self.person, pull=pull)
        return f"  {self.repository.full_name}#{self.issue.number}"

    def _pull(self, text: str) -> str:
        return self._open(text, pull=True)

    def _on(self, number: str) -> str:
        found = self.repository.issues.get(int(number)) if number.isdigit() else None
        if found is None:
            raise LookupError(f"there is no #{number}")
        self.issue = found
        return f"  #{found.number} {found.title}"

    def _delete(self, _: str) -> None:
        self.fake.delete(self._here())
        self.issue = None

    def _as(self, name: str) -> str:
        self.person = self.fake.person(_needed(name))
        return f"  you are {self.person.login}"

    def _list(self) -> str:
        lines = [f"  #{i.number} {i.state:6} {i.title}" for i in self.repository.issues.values()]
        return "\n".join(lines) or "  nothing; /open TITLE begins"

    def _here(self) -> Issue:
        if self.issue is None:
            raise LookupError("about which issue? /open TITLE, or /on N")
        return self.issue

    # ── what the connector does ───────────────────────────────────────────────────────────────────────────────

    def news(self) -> list[str]:
        """A line for each thing that the token's account did, or that was not taken, since the last call."""
        lines = []
        with self.fake.lock:
            for issue in self.repository.issues.values():
                people = ", ".join(person.login for person in issue.assignees)
                state = issue.state + (f", assigned to {people}" if people else "")
                mine = issue.user is self.fake.account
                if self._changed(issue, state) and (mine or issue.updated_by is self.fake.account):
                    lines.append(f"[{self.fake.login}] #{issue.number} {issue.title} ({state})")
            lines += [
                f"[{self.fake.login} on #{comment.issue.number}] {_visible(comment.body)}"
                for comment in self.fake.written
                if self._changed(comment, comment.body)
            ]
        return lines + [
            f"  {delivery.event} was not taken: {delivery.status or delivery.answers[-1]}"
            for delivery in self.fake.deliveries
            if delivery.statuses and self._changed(delivery, str(delivery.status)) and delivery.status // 100 != 2
        ]

    def _changed(self, thing: object, now: str) -> bool:
        before, self._shown[thing] = self._shown.get(thing), now
        return before != now


def _needed(text: str) -> str:
    if not text:
        raise ValueError("something is missing; /help says what")
    return text


def _visible(body: str) -> str:
    """As people read it: without comments of HTML."""
    return body.partition("\n\n<!--")[0]
