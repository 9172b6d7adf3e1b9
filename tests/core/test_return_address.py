"""`return_to` stays byte for byte as the product signed it; ours is only put behind it."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.flow import with_parameters


@pytest.mark.parametrize(
    ("return_to", "expected"),
    [
        ("https://a.example", "https://a.example?status=x%20%26y"),
        ("https://a.example/p", "https://a.example/p?status=x%20%26y"),
        ("https://a.example/p?q=%2F&r=a+b", "https://a.example/p?q=%2F&r=a+b&status=x%20%26y"),
        ("https://a.example/p?", "https://a.example/p?&status=x%20%26y"),
        ("https://a.example/#/tab?t=1", "https://a.example/?status=x%20%26y#/tab?t=1"),
        ("https://a.example/p?q=1#f#g", "https://a.example/p?q=1&status=x%20%26y#f#g"),
    ],
)
def test_parameters_stand_behind_its_query_and_before_its_fragment(return_to: str, expected: str) -> None:
    assert with_parameters(return_to, {"status": "x &y"}) == expected


PART = st.text("abcXYZ019-._~!$&'()*+,;=:@/?%", max_size=30)


@given(PART, st.none() | PART, st.dictionaries(st.text("abc", min_size=1), st.text(min_size=1), max_size=3))
def test_what_was_added_can_be_read_and_taken_off_again(
    query: str, fragment: str | None, parameters: dict[str, str]
) -> None:
    return_to = f"https://a.example/p?{query}" + ("" if fragment is None else f"#{fragment}")
    address = with_parameters(return_to, parameters)
    before, mark, after = address.partition("#")
    assert before.startswith(f"https://a.example/p?{query}&")
    assert f"{mark}{after}" == return_to.removeprefix(f"https://a.example/p?{query}")
    added = parse_qsl(urlsplit(f"{before}").query.removeprefix(f"{query}&"), keep_blank_values=True)
    assert dict(added) == parameters
