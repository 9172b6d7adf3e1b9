"""What holds for notices that nobody thought of: only the one signature proves, and no input is a defect."""

import json
from base64 import b64encode
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name
from mooring.core.notice import Notice
from mooring.core.provider import Uninstall
from mooring.providers.notices import read_notice
from tests.protocol.test_notices import BASE64, BODY, HEX, HINT, NOW, SECRET, digest, headers, provider

RAW = json.dumps(BODY).encode()
SIGNATURES = {HEX: digest(RAW).hex(), BASE64: b64encode(digest(RAW)).decode()}
RULES = st.sampled_from(list(SIGNATURES))
ANY_TEXT = st.text(max_size=100)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def told(rules: Uninstall, sent: dict[str, str], body: bytes, *secrets: str) -> Notice | Reason | None:
    """What is read of it, or why it is refused."""
    try:
        return read_notice(provider(rules), sent, body, secrets or [SECRET], NOW)
    except Failure as failure:
        return failure.reason


def forged(rules: Uninstall, signature: str, body: bytes, *secrets: str) -> bool:
    return told(rules, headers(signature), body, *secrets) is Reason.NOTICE_FORGED


@given(RULES, st.data())
def test_one_changed_character_of_the_signature(rules: Uninstall, data: st.DataObject) -> None:
    right = SIGNATURES[rules]
    place = data.draw(st.integers(0, len(right) - 1))
    other = data.draw(st.characters().filter(lambda char: char != right[place]))
    assert forged(rules, right[:place] + other + right[place + 1 :], RAW)


@given(RULES, st.integers(0, 64), ANY_TEXT)
def test_a_piece_of_the_signature_with_anything_put_in(rules: Uninstall, place: int, text: str) -> None:
    right = SIGNATURES[rules]
    for changed in (right[:place], right[place:], right[:place] + text + right[place:], text):
        if changed != right:
            assert forged(rules, changed, RAW)


@given(RULES, st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_one_changed_byte_of_the_body(rules: Uninstall, place: int, bits: int) -> None:
    changed = bytearray(RAW)
    changed[place] ^= bits
    assert forged(rules, SIGNATURES[rules], bytes(changed))


@given(RULES, st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_other_secret(rules: Uninstall, secret: str) -> None:
    assume(secret.strip() and secret != SECRET)
    assert forged(rules, SIGNATURES[rules], RAW, secret)
    assert not forged(rules, SIGNATURES[rules], RAW, secret, SECRET)


@given(st.binary(max_size=200))
def test_any_signed_bytes_end_in_a_word(body: bytes) -> None:
    assert told(HEX, headers(digest(body).hex()), body) in {Reason.NOTICE_MALFORMED, None}


@given(JSON, JSON, JSON)
def test_any_signed_fields_end_in_a_notice_or_a_word(account: Any, at: Any, event_id: Any) -> None:
    body = json.dumps({"type": "app.removed", "shop": {"id": account}, "at": at, "id": event_id}).encode()
    found = told(HEX._replace(event_id="body:id"), headers(digest(body).hex()), body)
    if not isinstance(found, Notice):
        assert found in {Reason.NOTICE_MALFORMED, Reason.NOTICE_TIME}
        return
    assert is_name(found.account_id)
    assert found.at is not None
    assert 0 <= found.at <= NOW + 300


@given(st.binary(max_size=200), st.dictionaries(ANY_TEXT.map(str.lower), ANY_TEXT, max_size=5))
def test_any_bytes_are_no_hint(body: bytes, sent: dict[str, str]) -> None:
    assert told(HINT, {**sent, "x-acme-topic": "gone"}, body) is Reason.NOTICE_MALFORMED


@given(JSON, st.dictionaries(ANY_TEXT.map(str.lower), ANY_TEXT, max_size=5))
def test_a_hint_is_never_more_than_a_hint(account: Any, sent: dict[str, str]) -> None:
    found = told(HINT, {**sent, "x-acme-topic": "gone"}, json.dumps({"app_key": account}).encode())
    assert found is Reason.NOTICE_MALFORMED or (
        isinstance(found, Notice) and (found.proven, found.at) == (False, None)
    )
