"""Dates in headers: understood in all of their forms, everywhere on earth, or none; never an error."""

import pytest

from mooring.core.http_date import http_date
from tests.support.far_west import five_hours_west

MOMENT = 1_800_000_090

THE_SAME = [
    "Fri, 15 Jan 2027 08:01:30 GMT",
    "Fri, 15 Jan 2027 08:01:30 -0000",
    "Fri, 15 Jan 2027 08:01:30 +0000",
    "Fri, 15 Jan 2027 09:31:30 +0130",
    "Friday, 15-Jan-27 08:01:30 GMT",
    "Fri Jan 15 08:01:30 2027",
    " Fri, 15 Jan 2027 08:01:30 GMT\t",
]


@pytest.mark.parametrize("text", THE_SAME)
def test_every_form_means_the_same_moment(text: str) -> None:
    assert http_date(text) == MOMENT


@pytest.mark.parametrize("text", THE_SAME)
def test_so_it_does_where_the_machine_has_another_time(text: str) -> None:
    with five_hours_west():
        assert http_date(text) == MOMENT


def test_a_date_may_lie_before_1970() -> None:
    assert http_date("Wed, 31 Dec 1969 23:59:59 GMT") == -1


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "120",
        "2027-01-15T08:01:30Z",
        "Fri, 99 Jan 2027 08:01:30 GMT",
        "Fri, 31 Dec 10000 23:59:59 GMT",
        "Fri, 15 Jan 2027 08:01:30 +999999999999",
        "Fri, 15 Jan 2027 08:01:30 GMT, 120",
        "Fri, 15 Jan 2027 08:01:30 GMT" + " " * 12 + "x",
    ],
)
def test_what_is_no_date(text: str) -> None:
    assert http_date(text) is None
