"""Uninstall notices: what is read of a genuine one, and what becomes of all the others."""

import hmac
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from mooring.core.errors import STATUS, Failure, Reason
from mooring.core.notice import Notice
from mooring.core.provider import Provider, Uninstall
from mooring.providers.notices import MAX_NOTICE_BYTES, read_notice
from tests.protocol.shapes import ACME

NOW = 1_800_000_000
SECRET = "whsec-éß"
HEX = Uninstall(
    proof="hmac_sha256_hex",
    signature_header="X-Acme-Signature",
    event_id="header:X-Acme-Delivery",
    time="body:at",
    account="body:shop.id",
    event="body:type=app.removed",
)
BASE64 = HEX._replace(proof="hmac_sha256_base64", event="header:X-Acme-Topic=app/removed=yes")
HINT = Uninstall("none", None, "header:MessageId", None, "body:app_key", "header:X-Acme-Topic=gone")
BODY: dict[str, Any] = {"type": "app.removed", "shop": {"id": "shop:9"}, "at": NOW - 5}


def provider(rules: Uninstall | None) -> Provider:
    return ACME._replace(uninstall=rules)


def digest(body: bytes, secret: str = SECRET) -> bytes:
    return hmac.digest(secret.encode(), body, "sha256")


def headers(signature: str, **others: str) -> dict[str, str]:
    topic = {"x-acme-topic": "app/removed=yes", "content-type": "application/json"}
    return {"x-acme-signature": signature, "x-acme-delivery": "d-1", **topic, **others}


def signed(body: object = None, rules: Uninstall = HEX, secret: str = SECRET) -> Notice | None:
    """The notice of a body (BODY, where none is given) that its provider signed."""
    raw = body if isinstance(body, bytes) else json.dumps(BODY if body is None else body).encode()
    proof = digest(raw, secret)
    signature = proof.hex() if rules.proof == "hmac_sha256_hex" else b64encode(proof).decode()
    return read_notice(provider(rules), headers(signature), raw, [SECRET], NOW)


def refusal(
    rules: Uninstall | None, sent: Mapping[str, str], body: bytes, secrets: Sequence[str] = (SECRET,)
) -> Reason:
    with pytest.raises(Failure) as failed:
        read_notice(provider(rules), sent, body, secrets, NOW)
    assert not any(secret in repr(failed.value) for secret in secrets if secret)
    return failed.value.reason


def refused(body: object, rules: Uninstall = HEX) -> Reason:
    """Why a body is refused although its signature is right."""
    with pytest.raises(Failure) as failed:
        signed(body, rules)
    return failed.value.reason


def test_a_proven_event() -> None:
    assert signed() == Notice("shop:9", "d-1", NOW - 5, proven=True)
    assert signed(rules=BASE64) == Notice("shop:9", "d-1", NOW - 5, proven=True)


def test_a_hint_has_no_time_and_asks_for_no_secret() -> None:
    rules = HINT._replace(time="body:at")
    body = json.dumps({"app_key": "k-1", "at": NOW}).encode()
    sent = {"x-acme-topic": "gone", "messageid": "m-1", "x-acme-signature": digest(body).hex()}
    for secrets in ([], [""], [SECRET]):
        found = read_notice(provider(rules), sent, body, secrets, NOW)
        assert found == Notice("k-1", "m-1", None, proven=False)


def test_a_provider_that_sends_no_notices_gets_none_accepted() -> None:
    assert refusal(None, headers("00"), b"{}") is Reason.PROVIDER_UNKNOWN


@pytest.mark.parametrize("kind", ["app.updated", "app.removed ", "APP.REMOVED", "", None, 7, [], {"a": 1}])
def test_a_genuine_notice_of_another_kind_is_nothing(kind: object) -> None:
    # It need not even look like the one that we know: no account, no time.
    assert signed({"type": kind}) is None


def test_a_kind_that_stands_nowhere_is_another_kind() -> None:
    assert signed({"shop": {"id": "shop:9"}, "at": NOW}) is None
    assert read_notice(provider(HINT), {}, b"{}", [], NOW) is None


def test_a_kind_in_json_s_own_words() -> None:
    rules = HEX._replace(event="body:removed=true")
    assert signed({**BODY, "removed": True}, rules) is not None
    assert signed({**BODY, "removed": False}, rules) is None


def test_without_a_kind_every_notice_is_an_uninstall() -> None:
    assert signed({"shop": {"id": 42}, "at": NOW}, HEX._replace(event=None)) == Notice("42", "d-1", NOW, True)


# The proof.


def test_no_signature() -> None:
    """HOOK-01: nothing is read, not even whether it is JSON."""
    for sent in ({}, {"x-acme-signature": ""}, {"x-other-signature": digest(b"{").hex()}):
        assert refusal(HEX, sent, b"{") is Reason.NOTICE_FORGED
    assert STATUS[Reason.NOTICE_FORGED] == 401


@pytest.mark.parametrize("secrets", [[], [""], [" \n"], ["", ""]], ids=str)
def test_without_a_secret_nothing_is_believed(secrets: list[str]) -> None:
    """HOOK-02: what is signed with nothing is signed by anybody."""
    body = json.dumps(BODY).encode()
    for secret in ("", *secrets):
        for rules, signature in (
            (HEX, digest(body, secret).hex()),
            (BASE64, b64encode(digest(body, secret)).decode()),
        ):
            assert refusal(rules, headers(signature), body, secrets) is Reason.SECRET_UNAVAILABLE
    assert STATUS[Reason.SECRET_UNAVAILABLE] == 503


def test_an_empty_line_beside_a_secret_is_no_second_secret() -> None:
    body = json.dumps(BODY).encode()
    assert refusal(HEX, headers(digest(body, "").hex()), body, [SECRET, ""]) is Reason.NOTICE_FORGED


WRONG_ENCODINGS: dict[str, Callable[[bytes], str]] = {
    "prefix": lambda d: f"sha256={d.hex()}",
    "upper case": lambda d: d.hex().upper(),
    "cut": lambda d: d.hex()[:32],
    "first digit": lambda d: d.hex()[:1],
    "space before": lambda d: f" {d.hex()}",
    "space behind": lambda d: f"{d.hex()} ",
    "line end": lambda d: f"{d.hex()}\n",
    "nul": lambda d: f"{d.hex()}\0",
    "0x": lambda d: f"0x{d.hex()}",
    "garbage": lambda d: f"{d.hex()}xyz",
    "twice": lambda d: d.hex() * 2,
    "two headers joined": lambda d: f"{d.hex()},{d.hex()}",
    "a wrong and the right one": lambda d: f"{'0' * 64}, {d.hex()}",
    "quoted": lambda d: f'"{d.hex()}"',
    "colons": lambda d: d.hex(":"),
    "base64": lambda d: b64encode(d).decode(),
    "other digits": lambda d: d.hex().translate({ord("0") + n: 0x660 + n for n in range(10)}),
    "full width": lambda d: "".join(chr(ord(c) + 0xFEE0) for c in d.hex()),
    "lone surrogate": lambda d: d.hex()[:-1] + "\ud800",
    "raw": lambda d: d.decode("latin-1"),
}


@pytest.mark.parametrize("how", WRONG_ENCODINGS)
def test_only_64_lower_case_digits_are_a_hex_proof(how: str) -> None:
    """HOOK-03"""
    body = json.dumps(BODY).encode()
    assert refusal(HEX, headers(WRONG_ENCODINGS[how](digest(body))), body) is Reason.NOTICE_FORGED


def test_only_the_standard_encoding_is_a_base64_proof() -> None:
    """HOOK-03: base64 has many spellings of one digest."""
    body = next(
        raw
        for raw in (json.dumps({**BODY, "n": n}).encode() for n in range(1_000))
        if {"+", "/"} <= set(b64encode(digest(raw)).decode())
    )
    right = b64encode(digest(body)).decode()
    assert read_notice(provider(BASE64), headers(right), body, [SECRET], NOW) is not None
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spare_bit = alphabet[alphabet.index(right[-2]) + 1]
    others = (
        right.rstrip("="), f"{right}=", right[:-2] + spare_bit + "=", right[:20] + "\n" + right[20:],
        right.replace("+", "-").replace("/", "_"), right.lower(), f" {right}", f"{right}\r\n", right[:20],
        f"sha256={right}", digest(body).hex(), f"{right},{right}", right + right,
    )  # fmt: skip
    for other in others:
        assert refusal(BASE64, headers(other), body) is Reason.NOTICE_FORGED


def test_the_proof_is_of_the_bytes_as_they_came() -> None:
    body = json.dumps(BODY).encode()
    good = headers(digest(body).hex())
    same = json.loads(body)
    for raw in (body + b" ", b"\n" + body, json.dumps(same, indent=1).encode(), body.replace(b" ", b"")):
        assert json.loads(raw) == same
        assert refusal(HEX, good, raw) is Reason.NOTICE_FORGED


def test_another_provider_s_secret() -> None:
    """HOOK-10"""
    with pytest.raises(Failure) as failed:
        signed(secret="the secret of another provider")
    assert failed.value.reason is Reason.NOTICE_FORGED


def test_either_of_two_secrets_proves_and_a_third_does_not() -> None:
    """HOOK-11"""
    body = json.dumps(BODY).encode()
    for secret in ("new", "old"):
        sent = headers(digest(body, secret).hex())
        assert read_notice(provider(HEX), sent, body, ["new", "old"], NOW) is not None
    assert refusal(HEX, headers(digest(body, "old").hex()), body, ["new"]) is Reason.NOTICE_FORGED
    assert refusal(HEX, headers(digest(body, "new\nold").hex()), body, ["new", "old"]) is Reason.NOTICE_FORGED


def test_a_proof_of_an_unknown_kind_is_none() -> None:
    with pytest.raises(KeyError):
        signed(rules=HEX._replace(proof="hmac_md5"))


# The body.


def test_two_megabytes() -> None:
    body = b" " * (2 * 1024 * 1024)
    for rules in (HEX, HINT):
        assert refusal(rules, headers(digest(body).hex()), body) is Reason.NOTICE_TOO_LARGE
    largest = json.dumps(BODY).encode().ljust(MAX_NOTICE_BYTES)
    assert signed(largest) is not None
    assert refused(largest + b" ") is Reason.NOTICE_TOO_LARGE


NOT_JSON = [
    b"", b" ", b"null", b"[]", b'"x"', b"7", b"type=app.removed&shop=shop%3A9", b"<xml/>", b"{'a':1}",
    b"\xff{}", b"{}{}", b'{"a":1,}', b"[" * 100_000, b'{"a":' * 50_000, b'{"a":' + b"9" * 5_000 + b"}",
    b'{"a":"\xed\xa0\x80"}', json.dumps(BODY).encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("body", NOT_JSON, ids=range(len(NOT_JSON)))
def test_signed_but_no_json_object(body: bytes) -> None:
    """HOOK-14"""
    assert refused(body) is Reason.NOTICE_MALFORMED
    assert refusal(HINT, {"x-acme-topic": "gone"}, body) is Reason.NOTICE_MALFORMED
    assert Reason.NOTICE_MALFORMED not in STATUS  # and so a 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"app.removed","shop":{"id":"a","id":"b"},"at":1}',
        b'{"type":"app.removed","shop":{"id":"a"},"shop":{"id":"b"},"at":1}',
        b'{"type":"app.removed","shop":{"id":"a"},"sh\\u006fp":{"id":"b"},"at":1}',
        b'{"type":"app.removed","shop":{"id":"a"},"at":1,"else":[{"x":[{"y":1,"y":1}]}]}',
        b'{"type":"app.updated","type":"app.removed","shop":{"id":"a"},"at":1}',
        b'{"type":"app.other","type":"app.updated"}',
    ],
)
def test_a_key_that_stands_twice_is_refused_wherever_it_stands(body: bytes) -> None:
    """HOOK-06: two parsers would see two accounts."""
    assert refused(body) is Reason.NOTICE_MALFORMED


@pytest.mark.parametrize(
    "account",
    [
        None,
        "",
        " ",
        "a b",
        "../x",
        "..",
        ".",
        "a/b",
        "a#b",
        "é",
        "x" * 129,
        True,
        1.5,
        [],
        ["a"],
        {"id": "a"},
    ],
    ids=ascii,
)
def test_an_account_that_is_no_name(account: object) -> None:
    assert refused({**BODY, "shop": {"id": account}}) is Reason.NOTICE_MALFORMED


@pytest.mark.parametrize("shop", [None, "shop:9", [], {}, {"id.x": "a"}])
def test_an_account_that_stands_elsewhere(shop: object) -> None:
    assert refused({**BODY, "shop": shop}) is Reason.NOTICE_MALFORMED


def test_an_account_of_digits_and_a_byte_order_mark_are_taken() -> None:
    found = signed(b"\xef\xbb\xbf" + json.dumps({**BODY, "shop": {"id": 42}}).encode())
    assert found is not None
    assert found.account_id == "42"


def test_the_account_is_read_in_one_place_only() -> None:
    body = json.dumps({"app_key": "k-1"}).encode()
    in_header = HINT._replace(account="header:X-Shop")
    assert refusal(in_header, {"x-acme-topic": "gone"}, body) is Reason.NOTICE_MALFORMED
    both = {"x-acme-topic": "gone", "x-shop": "k-2,k-1"}
    assert refusal(in_header, both, body) is Reason.NOTICE_MALFORMED
    found = read_notice(provider(in_header), {"x-acme-topic": "gone", "x-shop": "k-2"}, body, [], NOW)
    assert found == Notice("k-2", None, None, proven=False)


@pytest.mark.parametrize(
    ("value", "event_id"),
    [("e/1+=_", "e/1+=_"), ("x" * 256, "x" * 256), (7, "7"), ("x" * 257, None), ("", None), ("a b", None),
     ("a\nb", None), ("é", None), (None, None), (True, None), ([], None), (1.5, None)],
    ids=ascii,
)  # fmt: skip
def test_an_event_id_that_can_be_none_is_none(value: object, event_id: str | None) -> None:
    found = signed({**BODY, "id": value}, HEX._replace(event_id="body:id"))
    assert found == Notice("shop:9", event_id, NOW - 5, proven=True)


def test_without_a_place_for_it_there_is_no_event_id() -> None:
    found = signed(rules=HEX._replace(event_id=None))
    assert found is not None
    assert found.event_id is None
