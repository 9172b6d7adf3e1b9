"""Whatever happens to a link on its way, no other text than the signed one is accepted."""

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Failure
from mooring.core.link import Link, verify_link
from tests.core.signing import KID, NOW, b64, claims, crafted, policy, signed

TOKEN = signed(scopes=["read"], account_id="shop-9")
POLICY = policy()


def read(token: str) -> Link | None:
    try:
        return verify_link(token, POLICY, NOW)
    except Failure:
        return None


@given(st.integers(0, len(TOKEN) - 1), st.integers(0, 6), st.text(st.characters(codec="utf-8"), max_size=6))
def test_a_link_with_a_piece_replaced_is_refused(place: int, length: int, piece: str) -> None:
    changed = TOKEN[:place] + piece + TOKEN[place + length :]
    assert changed == TOKEN or read(changed) is None


@given(st.text(st.characters(), max_size=1_100))
def test_any_text_is_refused_by_a_failure_and_nothing_else(token: str) -> None:
    assert read(token) is None


@given(st.binary(max_size=120), st.binary(max_size=400), st.binary(max_size=80))
def test_any_bytes_in_any_part_are_refused(head: bytes, body: bytes, signature: bytes) -> None:
    assert read(f"{b64(head)}.{b64(body)}.{b64(signature)}") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(claims(scopes=[], account_id="", confirm=True))), JSON)
def test_a_genuine_link_with_any_value_is_read_or_refused_but_never_an_error(
    claim: str, value: object
) -> None:
    link = read(crafted({"alg": "EdDSA", "kid": KID}, claims(**{claim: value})))
    assert link is None or link.return_to.startswith("https://app.example.com")


@given(JSON)
def test_any_header_is_read_or_refused_but_never_an_error(header: object) -> None:
    assert read(crafted(header, claims())) is None
