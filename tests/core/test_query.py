"""A query string is read strictly, and refused rather than guessed at."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Failure, Reason
from mooring.core.query import parse_query


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("code=a", "a"),
        ("code=a+b%20c", "a b c"),
        ("code=a%2Bb", "a+b"),
        ("code=", ""),
        ("code", ""),
        ("code=a=b", "a=b"),
        ("&&code=x&", "x"),
        ("other=1", None),
        ("", None),
        ("co%64e=x", "x"),
        ("code=%C3%A9", "é"),
        ("code[]=x", None),
        ("code;x=1", None),
        ("=x", None),
        ("Code=x", None),
    ],
)
def test_the_only_value_of_a_parameter(raw: str, value: str | None) -> None:
    assert parse_query(raw).one("code") == value


@pytest.mark.parametrize("raw", ["code=a&code=b", "code=a&code=a", "code=&code", "code=a&co%64e=b"])
def test_a_repeated_parameter_is_refused_when_it_is_asked_for(raw: str) -> None:
    query = parse_query(raw + "&state=s")
    assert query.one("state") == "s"
    with pytest.raises(Failure) as refused:
        query.one("code")
    assert (refused.value.reason, refused.value.status) == (Reason.PARAMETER_REPEATED, 400)


BROKEN = [
    "code=%zz", "code=%", "code=%4", "code=100%", "%zz=1", "code=%u0000",
    "code=%ff%fe", "code=%C0%80", "code=%ED%A0%80", "code=%F8%88%80%80%80", "code=\ud800",
    "code=%00", "code=a%0Ab", "code=%0d%0aSet-Cookie:x=1", "code=%7f", "a%00=1", "code=\n", "code=%1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("raw", BROKEN, ids=ascii)
def test_broken_or_hostile_encoding(raw: str) -> None:
    with pytest.raises(Failure) as refused:
        parse_query(raw)
    assert (refused.value.reason, refused.value.status) == (Reason.REQUEST_MALFORMED, 400)


def test_sixteen_kilobytes_and_fifty_parameters_are_the_most() -> None:
    assert parse_query("code=" + "x" * (16_384 - 5)).one("code") is not None
    assert parse_query("&".join(f"p{n}=1" for n in range(50))).one("p49") == "1"
    for raw in ("code=" + "x" * (16_384 - 4), "&".join(f"p{n}=1" for n in range(51)), "&" * 50):
        with pytest.raises(Failure) as refused:
            parse_query(raw)
        assert refused.value.reason is Reason.REQUEST_MALFORMED


@given(st.text(st.characters(), max_size=200))
def test_any_text_is_a_query_or_a_failure(raw: str) -> None:
    reason = None
    try:
        parse_query(raw)
    except Failure as failure:
        reason = failure.reason
    assert reason in (None, Reason.REQUEST_MALFORMED)


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)


@given(st.dictionaries(PRINTABLE, PRINTABLE, max_size=8))
def test_what_a_browser_encodes_is_read_as_it_was(fields: dict[str, str]) -> None:
    query = parse_query(urlencode(fields))
    assert {name: query.one(name) for name in fields} == fields
