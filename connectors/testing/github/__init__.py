"""A GitHub to test against: a part of its REST API and its webhooks, on loopback only, with its failures.

`FakeGitHub` is for tests; `python -m connectors.testing.github` starts one in which a person can type issues and
comments, for demos without a network. Both need nothing but this package.
"""

from connectors.testing.github.deliveries import Delivery, Hook
from connectors.testing.github.fake import FakeGitHub
from connectors.testing.github.model import Comment, Issue, Person, Repository, Request

__all__ = ["Comment", "Delivery", "FakeGitHub", "Hook", "Issue", "Person", "Repository", "Request"]
