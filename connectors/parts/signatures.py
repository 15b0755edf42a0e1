"""Who sent a webhook: the signatures that platforms put beside a body, checked and made. Pure: no I/O.

scheme    header                                             signed
hmac      X-Hub-Signature-256, else X-Signature              the body
github    X-Hub-Signature-256                                the body
slack     X-Slack-Signature, X-Slack-Request-Timestamp       v0:<time>:<body>
standard  webhook-signature, webhook-id, webhook-timestamp   <id>.<time>.<body>
stripe    Stripe-Signature (t=…,v1=…)                        <time>.<body>
bearer    Authorization: Bearer <secret>                     nothing: the secret itself is shown

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
https://docs.slack.dev/authentication/verifying-requests-from-slack
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
https://docs.stripe.com/webhooks#verify-manually

Every comparison is in constant time, and over the bytes as they came: a body that is no UTF-8 verifies too, except
under `standard`, whose library signs text.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from connectors.base.errors import ConfigError, MissingDependency

Scheme = Literal["hmac", "github", "slack", "standard", "stripe", "bearer"]

#: How far a signed time may be from now; the platforms' pages all say five minutes.
WINDOW_S = 300.0
#: Where senders put an id of the delivery that is the same when they try again; none of them is signed.
_ID_HEADERS = ("x-github-delivery", "webhook-id", "idempotency-key", "x-delivery-id")
#: Secrets that are being replaced are two or three at once.
_MAX_SIGNATURES = 16
INSTALL = "pip install 'mailbox-connectors[webhook]'"


class BadSignature(Exception):
    """The request is refused; the text is what the sender is told."""


@dataclass(frozen=True)
class Proof:
    """What a good signature says. Headers are looked up in lower case.

    `delivery_id`: the sender's id of this delivery, if it gave one. `mark`: what no second, different request can
    have, where the scheme has a time; a replay has the same.
    """

    delivery_id: str | None = None
    mark: str | None = None


def check_secret(scheme: Scheme, secret: str) -> None:
    """Raises ConfigError for a secret that cannot be one: empty, or not what the scheme wants."""
    if not secret:
        raise ConfigError("the webhook's secret is empty", hint="give it a value, or leave the option out")
    if scheme == "standard":
        _standard(secret)


def verify(
    scheme: Scheme, secret: str, headers: Mapping[str, str], body: bytes, *, now: float, window_s: float = WINDOW_S
) -> Proof:
    """`headers` by their names in lower case. Raises BadSignature."""
    return _SCHEMES[scheme][0](_Case(secret, body, now, headers, window_s))


def sign(scheme: Scheme, secret: str, body: bytes, *, now: float, delivery_id: str) -> dict[str, str]:
    """The headers that prove a body to whoever has the same secret."""
    return _SCHEMES[scheme][1](_Case(secret, body, now, delivery_id=delivery_id))


def unsigned_id(headers: Mapping[str, str]) -> str | None:
    """The sender's id of the delivery, where nothing but the sender's word stands for it."""
    return next((headers[name] for name in _ID_HEADERS if headers.get(name)), None)


@dataclass(frozen=True)
class _Case:
    """What is to be checked, or to be signed."""

    secret: str
    body: bytes
    now: float
    headers: Mapping[str, str] = field(default_factory=dict)
    window_s: float = WINDOW_S
    delivery_id: str = ""


_Verify = Callable[[_Case], Proof]
_Sign = Callable[[_Case], dict[str, str]]


def _body_verifier(*names: str) -> _Verify:
    """The body is signed, and the first of these headers that is there has it."""

    def check(case: _Case) -> Proof:
        given = next((case.headers[name] for name in names if name in case.headers), "")
        _compare([given] if given else [], f"sha256={_hex(case.secret, case.body)}")
        return Proof(delivery_id=unsigned_id(case.headers))

    return check


def _body_signer(name: str) -> _Sign:
    return lambda case: {name: f"sha256={_hex(case.secret, case.body)}"}


def _verify_bearer(case: _Case) -> Proof:
    kind, _, token = case.headers.get("authorization", "").partition(" ")
    _compare([token.strip()] if kind.lower() == "bearer" else [], case.secret)
    return Proof(delivery_id=unsigned_id(case.headers))


def _sign_bearer(case: _Case) -> dict[str, str]:
    return {"Authorization": f"Bearer {case.secret}"}


def _verify_slack(case: _Case) -> Proof:
    time, given = case.headers.get("x-slack-request-timestamp", ""), case.headers.get("x-slack-signature", "")
    expected = _slack(case, time)
    _compare([given] if given else [], expected)
    _check_time(time, case)
    return Proof(mark=expected)


def _sign_slack(case: _Case) -> dict[str, str]:
    time = str(int(case.now))
    return {"X-Slack-Request-Timestamp": time, "X-Slack-Signature": _slack(case, time)}


def _slack(case: _Case, time: str) -> str:
    return f"v0={_hex(case.secret, b'v0:%s:%s' % (time.encode('utf-8', 'replace'), case.body))}"


def _verify_stripe(case: _Case) -> Proof:
    pairs = [part.strip().partition("=") for part in case.headers.get("stripe-signature", "").split(",")]
    time = next((value for name, _, value in pairs if name == "t"), "")
    expected = _stripe(case, time)
    _compare([value for name, _, value in pairs if name == "v1"], expected)  # several while a secret is replaced
    _check_time(time, case)
    return Proof(mark=expected)


def _sign_stripe(case: _Case) -> dict[str, str]:
    time = str(int(case.now))
    return {"Stripe-Signature": f"t={time},v1={_stripe(case, time)}"}


def _stripe(case: _Case, time: str) -> str:
    return _hex(case.secret, b"%s.%s" % (time.encode("utf-8", "replace"), case.body))


def _verify_standard(case: _Case) -> Proof:
    delivery_id, time = case.headers.get("webhook-id", ""), case.headers.get("webhook-timestamp", "")
    entries = [entry.partition(",") for entry in case.headers.get("webhook-signature", "").split(" ")]
    given = [value for version, _, value in entries if version == "v1"]
    if not (delivery_id and time and given):
        raise BadSignature("Missing signature")
    _check_time(time, case)
    try:
        expected = _standard_signature(case, delivery_id, int(time))
    except UnicodeError:
        raise BadSignature("Invalid signature") from None
    _compare(given, expected.removeprefix("v1,"))
    return Proof(delivery_id=delivery_id)


def _sign_standard(case: _Case) -> dict[str, str]:
    signature = _standard_signature(case, case.delivery_id, int(case.now))
    return {"webhook-id": case.delivery_id, "webhook-timestamp": str(int(case.now)), "webhook-signature": signature}


def _compare(given: list[str], expected: str) -> None:
    """Every one is compared, whatever the first ones gave."""
    if not given:
        raise BadSignature("Missing signature")
    found = [hmac.compare_digest(one.encode("utf-8", "replace"), expected.encode()) for one in given[:_MAX_SIGNATURES]]
    if not any(found):
        raise BadSignature("Invalid signature")


def _check_time(text: str, case: _Case) -> None:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadSignature("Invalid signature")
    if abs(case.now - int(text)) > case.window_s:
        raise BadSignature("Signature is too old or from the future: check the clocks")


def _hex(secret: str, data: bytes) -> str:
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def _standard_signature(case: _Case, delivery_id: str, time: int) -> str:
    signature: str = _standard(case.secret).sign(delivery_id, datetime.fromtimestamp(time, UTC), case.body.decode())
    return signature


def _standard(secret: str) -> Any:
    try:
        from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook
    except ImportError as error:
        raise MissingDependency("the scheme standard needs standardwebhooks", install=INSTALL) from error
    try:
        return Webhook(secret)
    except EmptyWebhookSecretError as error:
        raise ConfigError("the webhook's secret is empty", hint="whsec_ alone is no secret") from error
    except ValueError as error:
        raise ConfigError(
            "a secret of the scheme standard is base64, with or without whsec_ before it",
            hint="copy it from the sender's settings as it is",
        ) from error


_SCHEMES: dict[str, tuple[_Verify, _Sign]] = {
    "hmac": (_body_verifier("x-hub-signature-256", "x-signature"), _body_signer("X-Signature")),
    "github": (_body_verifier("x-hub-signature-256"), _body_signer("X-Hub-Signature-256")),
    "slack": (_verify_slack, _sign_slack),
    "standard": (_verify_standard, _sign_standard),
    "stripe": (_verify_stripe, _sign_stripe),
    "bearer": (_verify_bearer, _sign_bearer),
}
