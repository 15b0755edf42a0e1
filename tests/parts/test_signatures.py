"""Signatures: the vectors that the platforms publish, and everything that must not pass."""

from contextlib import nullcontext
from typing import Any, get_args

import pytest

from connectors.base.errors import ConfigError
from connectors.parts.signatures import BadSignature, Proof, Scheme, check_secret, sign, verify

#: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
GITHUB = (
    "It's a Secret to Everybody",
    b"Hello, World!",
    {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    0,
)
#: https://docs.slack.dev/authentication/verifying-requests-from-slack
SLACK = (
    "8f742231b10e8888abcd99yyyzzz85a5",
    (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    ),
    {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    },
    1531420618,
)
#: https://docs.svix.com/receiving/verifying-payloads/how-manual, and the Standard Webhooks libraries' own tests
STANDARD = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    b'{"test": 2432232314}',
    {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    1614265330,
)
VECTORS: list[Any] = [("github", GITHUB), ("hmac", GITHUB), ("slack", SLACK), ("standard", STANDARD)]
SCHEMES = get_args(Scheme)
KEYS = {"standard": STANDARD[0]}
NOW = 1_700_000_000.0


@pytest.mark.parametrize(("scheme", "vector"), VECTORS)
def test_a_published_vector_verifies(scheme: Scheme, vector: Any) -> None:
    secret, body, headers, now = vector
    verify(scheme, secret, headers, body, now=now)


@pytest.mark.parametrize(("scheme", "vector"), VECTORS)
def test_a_published_vector_is_what_is_signed(scheme: Scheme, vector: Any) -> None:
    secret, body, headers, now = vector
    made = sign(scheme, secret, body, now=now, delivery_id=headers.get("webhook-id", ""))
    value = next(value for name, value in made.items() if "signature" in name.lower())
    assert value in headers.values()


@pytest.mark.parametrize("scheme", SCHEMES)
class TestEveryScheme:
    """What holds whatever the scheme is."""

    def signed(self, scheme: Scheme, body: bytes = b'{"a": 1}') -> dict[str, str]:
        made = sign(scheme, KEYS.get(scheme, "a secret"), body, now=NOW, delivery_id="d1")
        return {name.lower(): value for name, value in made.items()}

    def check(self, scheme: Scheme, headers: dict[str, str], body: bytes = b'{"a": 1}', now: float = NOW) -> Proof:
        return verify(scheme, KEYS.get(scheme, "a secret"), headers, body, now=now)

    def test_what_is_signed_verifies(self, scheme: Scheme) -> None:
        self.check(scheme, self.signed(scheme))

    def test_the_signature_of_another_body_does_not(self, scheme: Scheme) -> None:
        # bearer shows the secret itself, whatever the body is.
        refused = pytest.raises(BadSignature, match="Invalid signature") if scheme != "bearer" else nullcontext()
        with refused:
            self.check(scheme, self.signed(scheme), b'{"a": 2}')

    def test_the_signature_of_another_secret_does_not(self, scheme: Scheme) -> None:
        other = "whsec_b3RoZXI=" if scheme == "standard" else "another"
        headers = sign(scheme, other, b'{"a": 1}', now=NOW, delivery_id="d1")
        with pytest.raises(BadSignature, match="Invalid signature"):
            self.check(scheme, {name.lower(): value for name, value in headers.items()})

    def test_no_signature_is_said_to_be_missing(self, scheme: Scheme) -> None:
        with pytest.raises(BadSignature, match="Missing signature"):
            self.check(scheme, {})

    def test_nonsense_in_any_header_is_refused_and_never_a_crash(self, scheme: Scheme) -> None:
        for name in self.signed(scheme):
            for nonsense in ("", "ü\udcff", "v1", "v1,", ",", "=", "t=", "t=x,v1=y", "1e3", "-1", "9" * 400, "sha256="):
                with pytest.raises(BadSignature):
                    self.check(scheme, {**self.signed(scheme), name: nonsense})

    def test_a_time_out_of_the_window_is_refused_both_ways_where_there_is_one(self, scheme: Scheme) -> None:
        self.check(scheme, self.signed(scheme), now=NOW + 299)
        has_time = scheme in ("slack", "standard", "stripe")
        for now in (NOW + 301, NOW - 301):
            with pytest.raises(BadSignature, match="too old or from the future") if has_time else nullcontext():
                self.check(scheme, self.signed(scheme), now=now)

    def test_an_empty_secret_is_an_error(self, scheme: Scheme) -> None:
        with pytest.raises(ConfigError, match="empty"):
            check_secret(scheme, "")

    def test_the_bytes_are_signed_and_not_what_they_mean(self, scheme: Scheme) -> None:
        body = b'{"a": "\xff\xfe"}'
        if scheme == "standard":
            with pytest.raises(BadSignature):
                self.check(scheme, self.signed(scheme), body)
        else:
            self.check(scheme, self.signed(scheme, body), body)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_***"])
def test_a_standard_secret_that_is_none_is_an_error(secret: str) -> None:
    with pytest.raises(ConfigError):
        check_secret("standard", secret)


def test_one_good_signature_of_several_is_enough_while_a_secret_is_being_replaced() -> None:
    secret, body, headers, now = STANDARD
    several = f"v1,bm90IHRoaXMgb25l v1a,x {headers['webhook-signature']}"
    verify("standard", secret, {**headers, "webhook-signature": several}, body, now=now)
    made = sign("stripe", "s", b"{}", now=NOW, delivery_id="")["Stripe-Signature"]
    verify("stripe", "s", {"stripe-signature": f"{made.replace('v1=', 'v1=00,v0=x,v1=')}"}, b"{}", now=NOW)


@pytest.mark.parametrize("value", ["757107ea", "SHA256=" + "0" * 64, "sha1=" + "0" * 40])
def test_only_the_documented_spelling_is_a_signature(value: str) -> None:
    with pytest.raises(BadSignature, match="Invalid signature"):
        verify("hmac", GITHUB[0], {"x-signature": value}, GITHUB[1], now=0)


def test_an_upper_case_digest_is_refused() -> None:
    secret, body, headers, _ = GITHUB
    upper = "sha256=" + headers["x-hub-signature-256"].removeprefix("sha256=").upper()
    with pytest.raises(BadSignature, match="Invalid signature"):
        verify("hmac", secret, {"x-signature": upper}, body, now=0)


def test_a_wrong_first_header_is_not_rescued_by_a_good_second() -> None:
    secret, body, headers, _ = GITHUB
    good = headers["x-hub-signature-256"]
    verify("hmac", secret, {"x-signature": good}, body, now=0)
    with pytest.raises(BadSignature):
        verify("hmac", secret, {"x-hub-signature-256": "sha256=0", "x-signature": good}, body, now=0)


def test_only_its_own_header_counts_for_github() -> None:
    secret, body, headers, _ = GITHUB
    with pytest.raises(BadSignature, match="Missing"):
        verify("github", secret, {"x-signature": headers["x-hub-signature-256"]}, body, now=0)


def test_an_unsigned_id_never_stands_for_a_delivery_that_has_a_signed_mark() -> None:
    secret, body, headers, now = SLACK
    first = verify("slack", secret, headers, body, now=now)
    again = verify("slack", secret, {**headers, "idempotency-key": "another"}, body, now=now)
    assert first == again
    assert first.mark
