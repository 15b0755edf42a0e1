"""The suite for connectors that tell of coding agents' sessions, and its assertion for a single event.

    class TestMyAgent(LifecycleContract, ConnectorContract):
        connector = MyAgentConnector

        def cause(self, platform, phase, session):
            platform.hook(session, phase)             # whatever makes the tool, or its fake, tell of it

What is wrong with an event by the contract is `connectors.parts.lifecycle.problems`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from connectors.base.home import Home
from connectors.base.message import Message, SourceEvent
from connectors.parts.lifecycle import PHASES, TERMINAL, Phase, problems
from connectors.testing.basis import ContractBasis
from connectors.testing.waiting import wait_for


def assert_lifecycle_conformance(event: Message | SourceEvent) -> None:
    """AssertionError that names every field which is not as the contract says."""
    found = problems(event)
    assert not found, "\n".join(found)


class LifecycleContract(ContractBasis):
    """Each test runs the connector against `platform()` and lets the tool tell of a session."""

    #: The phases that the tool can tell of.
    phases: ClassVar[tuple[Phase, ...]] = PHASES

    def cause(self, platform: Any, phase: Phase, session: str) -> Any:
        """Make the tool say that the session is in this phase; returns what `redeliver` needs to know of it."""
        pytest.skip("nobody can cause a hook: override cause()")

    @pytest.mark.parametrize("phase", PHASES)
    def test_every_phase_is_one_event_that_conforms(self, home: Home, live: Any, phase: Phase) -> None:
        if phase not in self.phases:
            pytest.skip(f"the tool never says {phase}")
        self.start(home, live).connected()
        self.cause(live, phase, "s1")
        [event] = wait_for(lambda: self.events(home))
        assert_lifecycle_conformance(event)
        assert event.event is not None
        assert event.event.payload["lifecycle"]["phase"] == phase
        assert event.event.payload["session"]["id"] == "s1"

    def test_a_life_is_told_in_its_order_and_each_phase_has_its_own_key(self, home: Home, live: Any) -> None:
        self.start(home, live).connected()
        for n, phase in enumerate(self.phases):
            self.cause(live, phase, "s1")
            wait_for(lambda n=n: len(self.events(home)) == n + 1)  # type: ignore[misc]  # bound now
        told = [event.event.payload["lifecycle"] for event in self.events(home) if event.event is not None]
        assert [one["phase"] for one in told] == list(self.phases)
        assert len({one["dedupe_key"] for one in told}) == len(self.phases)
        assert [one["terminal"] for one in told] == [phase in TERMINAL for phase in self.phases]

    def test_sessions_are_conversations_of_their_own(self, home: Home, live: Any) -> None:
        self.start(home, live).connected()
        for session in ("s1", "s2"):
            self.cause(live, self.phases[0], session)
        events = wait_for(lambda: self.events(home) if len(self.events(home)) == 2 else [])
        assert len({event.conversation.id for event in events}) == 2

    def test_a_hook_that_is_told_again_is_no_second_event(self, home: Home, live: Any) -> None:
        running = self.start(home, live).connected()
        event = self.cause(live, self.phases[-1], "s1")
        wait_for(lambda: self.events(home) and self.acknowledged(live, event))
        self.redeliver(live, event)
        wait_for(lambda: running.status.get("counters", {}).get("duplicates"), what="the redelivery was recognised")
        assert len(self.events(home)) == 1
