"""Every way in which a link is no link: its reason and status; nothing is read before the signature."""

import json
from base64 import b64encode
from typing import Any

import jwt
import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.link import LinkPolicy, verify_link
from tests.core.signing import ABSENT, KEY, KID, NOW, OTHER_KEY, b64, claims, crafted, policy, signed

HEADER = {"alg": "EdDSA", "typ": "JWT", "kid": KID}


def refusal(token: str | None, against: LinkPolicy | None = None) -> Failure:
    with pytest.raises(Failure) as refused:
        verify_link(token, against or policy(), NOW)
    return refused.value


@pytest.mark.parametrize("token", [None, ""])
def test_no_link(token: str | None) -> None:
    failure = refusal(token)
    assert (failure.reason, failure.status) == (Reason.LINK_MISSING, 400)


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        ".",
        "..",
        "a.b.c",
        "ä.ö.ü",
        "\x00.\x00.\x00",
        "\ud800.x.y",
        "=.=.=",
        "😀" * 10,
        signed() + ".extra",
        signed() + "=",
        signed() + "\n",
        " " + signed(),
        f"{b64(json.dumps(HEADER).encode())}.é.AAAA",
        crafted(b"[]", claims()),
        crafted(b'"text"', claims()),
        crafted(b"\xff\xfe", claims()),
        crafted(HEADER, b"[1]"),
        crafted(HEADER, b"null"),
        crafted(HEADER, b"{"),
        crafted(HEADER, b"[" * 450),
        crafted(b"[" * 450, claims()),
        crafted(HEADER, b'{"iat":' + b"9" * 500 + b"}"),
    ],
    ids=lambda token: repr(token[:24]),
)
def test_text_that_is_no_jwt_of_ours(token: str) -> None:
    failure = refusal(token)
    assert (failure.reason, failure.status) == (Reason.LINK_MALFORMED, 400)


def test_the_standard_alphabet_and_padding_of_base64_are_other_spellings_and_refused() -> None:
    head, body, signature = signed().split(".")
    padded = b64encode(json.dumps(claims(return_to="https://app.example.com/a")).encode()).decode()
    assert refusal(f"{head}.{body}.{signature}==").reason is Reason.LINK_MALFORMED
    assert refusal(f"{head}=.{body}.{signature}").reason is Reason.LINK_MALFORMED
    assert refusal(f"{head}.{padded}.+/+/").reason is Reason.LINK_MALFORMED


def test_a_last_character_that_decodes_to_the_same_bytes_is_refused() -> None:
    token = signed()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = alphabet[alphabet.index(token[-1]) + 1]  # 64 bytes leave four bits of the last character unused
    assert refusal(token[:-1] + twin).reason is Reason.LINK_MALFORMED


@pytest.mark.parametrize(
    "alg", ["none", "None", "eddsa", "EDDSA", "Ed25519", "HS256", "RS256", "", None, 0, []]
)
def test_only_eddsa_spelt_exactly_so(alg: object) -> None:
    failure = refusal(crafted({**HEADER, "alg": alg}, claims()))
    assert (failure.reason, failure.status) == (Reason.LINK_ALGORITHM, 403)


def test_an_unsigned_jwt_of_pyjwt() -> None:
    assert refusal(jwt.encode(claims(), "", algorithm="none", headers={"kid": KID})).reason is (
        Reason.LINK_ALGORITHM
    )


def test_the_public_key_used_as_an_hmac_secret() -> None:
    token = jwt.encode(claims(), KEY.public_key().public_bytes_raw(), algorithm="HS256", headers={"kid": KID})
    assert refusal(token).reason is Reason.LINK_ALGORITHM


def test_critical_extensions_are_understood_by_nobody_here() -> None:
    for critical in (["b64"], [], None):
        assert refusal(crafted({**HEADER, "crit": critical}, claims())).reason is Reason.LINK_ALGORITHM


@pytest.mark.parametrize("kid", ["other", "", "KEY-1", "key-1 ", None, 1, ["key-1"], {"a": 1}, ABSENT])
def test_an_unknown_kid(kid: object) -> None:
    header = {name: value for name, value in {**HEADER, "kid": kid}.items() if value is not ABSENT}
    failure = refusal(crafted(header, claims()))
    assert (failure.reason, failure.status) == (Reason.LINK_KEY_UNKNOWN, 403)


def test_a_key_that_travels_in_the_header_is_not_used() -> None:
    own = {"kty": "OKP", "crv": "Ed25519", "x": b64(OTHER_KEY.public_key().public_bytes_raw())}
    assert refusal(crafted({**HEADER, "jwk": own}, claims(), OTHER_KEY)).reason is Reason.LINK_FORGED


def test_another_key_under_our_kid() -> None:
    failure = refusal(signed(key=OTHER_KEY))
    assert (failure.reason, failure.status) == (Reason.LINK_FORGED, 403)


@pytest.mark.parametrize("signature", ["", b64(b"\0" * 64), b64(b"\xff" * 64), b64(b"\0" * 63), b64(b"x")])
def test_signatures_that_are_none(signature: str) -> None:
    head, body, _ = signed().split(".")
    assert refusal(f"{head}.{body}.{signature}").reason is Reason.LINK_FORGED


def test_a_policy_without_keys_accepts_nothing() -> None:
    assert refusal(signed(), policy()._replace(keys={})).reason is Reason.LINK_KEY_UNKNOWN


def test_each_character_changed() -> None:
    token = signed()
    refused = {
        Reason.LINK_FORGED, Reason.LINK_MALFORMED, Reason.LINK_ALGORITHM, Reason.LINK_KEY_UNKNOWN,
    }  # fmt: skip
    for place, char in enumerate(token):
        changed = token[:place] + ("A" if char != "A" else "B") + token[place + 1 :]
        assert refusal(changed).reason in refused, place


def test_each_character_left_out() -> None:
    token = signed()
    for place in range(len(token)):
        assert refusal(token[:place] + token[place + 1 :]).status in (400, 403), place


def test_nothing_is_said_about_the_claims_of_a_forged_link() -> None:
    bad: dict[str, Any] = {"exp": NOW - 1, "return_to": "https://evil.example", "aud": "x", "sub": ""}
    assert refusal(signed(key=OTHER_KEY, **bad)).reason is Reason.LINK_FORGED


WRONG: list[tuple[str, Any, Reason, int]] = [
    ("aud", "https://connect.example.com/", Reason.LINK_AUDIENCE, 403),
    ("aud", "https://CONNECT.example.com", Reason.LINK_AUDIENCE, 403),
    ("aud", "", Reason.LINK_AUDIENCE, 403),
    ("aud", ABSENT, Reason.LINK_AUDIENCE, 403),
    ("aud", ["https://connect.example.com"], Reason.LINK_AUDIENCE, 403),
    ("use", "Connect", Reason.LINK_USE, 403),
    ("use", "delete", Reason.LINK_USE, 403),
    ("use", ABSENT, Reason.LINK_MALFORMED, 400),
    ("use", 1, Reason.LINK_MALFORMED, 400),
    ("iat", ABSENT, Reason.LINK_MALFORMED, 400),
    ("iat", float(NOW), Reason.LINK_MALFORMED, 400),
    ("iat", str(NOW), Reason.LINK_MALFORMED, 400),
    ("iat", True, Reason.LINK_MALFORMED, 400),
    ("iat", None, Reason.LINK_MALFORMED, 400),
    ("iat", -(10**30), Reason.LINK_MALFORMED, 400),
    ("exp", ABSENT, Reason.LINK_MALFORMED, 400),
    ("exp", NOW, Reason.LINK_MALFORMED, 400),
    ("exp", NOW - 1, Reason.LINK_MALFORMED, 400),
    ("exp", NOW + 600.5, Reason.LINK_MALFORMED, 400),
    ("exp", 10**30, Reason.LINK_MALFORMED, 400),
    ("exp", float("inf"), Reason.LINK_MALFORMED, 400),
    *((name, value, Reason.LINK_MALFORMED, 400) for name in ("sub", "jti") for value in
      (ABSENT, "", 7, None, [], "a b", "a/b", "a#b", "a\n", "a\0b", "é", "x" * 129, "../etc", "a~b",
       ".", "..")),
    ("provider", ABSENT, Reason.LINK_MALFORMED, 400),
    ("provider", "", Reason.LINK_MALFORMED, 400),
    ("provider", "ACME", Reason.LINK_MALFORMED, 400),
    ("provider", "../acme", Reason.LINK_MALFORMED, 400),
    ("provider", ["acme"], Reason.LINK_MALFORMED, 400),
    ("scopes", [], Reason.LINK_MALFORMED, 400),
    ("scopes", "read", Reason.LINK_MALFORMED, 400),
    ("scopes", [""], Reason.LINK_MALFORMED, 400),
    ("scopes", ["read", 1], Reason.LINK_MALFORMED, 400),
    ("account_id", "", Reason.LINK_MALFORMED, 400),
    ("account_id", 12, Reason.LINK_MALFORMED, 400),
    ("account_id", "a b", Reason.LINK_MALFORMED, 400),
    ("confirm", "yes", Reason.LINK_MALFORMED, 400),
    ("confirm", 1, Reason.LINK_MALFORMED, 400),
    ("confirm", None, Reason.LINK_MALFORMED, 400),
    ("return_to", ABSENT, Reason.LINK_MALFORMED, 400),
    ("return_to", "", Reason.LINK_MALFORMED, 400),
    ("return_to", ["https://app.example.com"], Reason.LINK_MALFORMED, 400),
    ("return_to", "https://other.example.com/", Reason.RETURN_TO_NOT_ALLOWED, 400),
]  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "value", "reason", "status"),
    WRONG,
    ids=lambda part: repr(part)[:28] if part is not ABSENT else "-",
)
def test_a_genuine_link_with_a_wrong_claim(claim: str, value: Any, reason: Reason, status: int) -> None:
    failure = refusal(crafted(HEADER, claims(**{claim: value})))
    assert (failure.reason, failure.status) == (reason, status)


def test_a_manage_link_that_names_a_provider_names_a_real_one() -> None:
    assert refusal(signed(use="manage", provider="NOT ONE")).reason is Reason.LINK_MALFORMED


def test_a_failure_never_repeats_what_the_link_said() -> None:
    failure = refusal(crafted(HEADER, claims(sub="canary with spaces")))
    assert "canary" not in f"{failure}{failure!r}{failure.detail}"
