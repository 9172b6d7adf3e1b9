"""Records of the stream: what Lambda hands on becomes a change, and nothing half understood does."""

import json
from base64 import b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.changes import parse
from mooring.core.announcement import Announce
from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField


def image(**more: Any) -> dict[str, Any]:
    """A row as it stands in a record."""
    row: dict[str, Any] = {
        "merchant_id": {"S": "m-1"},
        "connection": {"S": "prov-a#shop-1"},
        "status": {"S": "active"},
        "generation": {"N": "2"},
        "version": {"N": "5"},
        "scopes": {"L": [{"S": "read"}]},
        "expires_at": {"N": "1800003600"},
        "connected_at": {"N": "1800000000"},
        "updated_at": {"N": "1800000000"},
        "account_verified": {"BOOL": True},
        "details": {"M": {"app_key": {"S": "k-1"}}},
        "access": {"B": b64encode(b"\x01sealed access").decode()},
        "access_key": {"B": b64encode(b"\x01wrapped").decode()},
        "refresh": {"B": b64encode(b"\x01sealed refresh").decode()},
        "refresh_key": {"B": b64encode(b"\x01wrapped too").decode()},
        **more,
    }
    return {name: value for name, value in row.items() if value is not None}


def record(new: dict[str, Any] | None, old: dict[str, Any] | None = None) -> dict[str, Any]:
    """A record of the stream."""
    images = {"NewImage": new, "OldImage": old}
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "MODIFY",
        "dynamodb": {"SequenceNumber": "111", **{name: each for name, each in images.items() if each}},
    }


def test_a_change_has_both_rows_and_the_tokens_of_the_one_before() -> None:
    after = image(status={"S": "disconnected"}, announce={"S": "disconnected"}, access=None, refresh=None)
    change = parse(record(after, image()))
    assert change.announce is Announce.DISCONNECTED
    assert change.before is not None
    assert (change.before.status, change.after.status) == (Status.ACTIVE, Status.DISCONNECTED)
    assert change.after.details == {"app_key": "k-1"}
    assert change.access == SealedField(b"\x01sealed access", b"\x01wrapped")
    assert change.refresh == SealedField(b"\x01sealed refresh", b"\x01wrapped too")
    assert change.cut_off


def test_a_new_row_had_nothing_before() -> None:
    change = parse(record(image(announce={"S": "established"})))
    assert (change.before, change.access, change.refresh) == (None, None, None)


def test_a_row_before_without_a_refresh_token() -> None:
    change = parse(record(image(announce={"S": "established"}), image(refresh=None, refresh_key=None)))
    assert change.access is not None
    assert change.refresh is None


GOOD = image(announce={"S": "established"})


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        {"dynamodb": None},
        {"dynamodb": {}},
        {"dynamodb": {"NewImage": []}},
        record({"merchant_id": {"S": "m-1"}}),
        record(image()),
        record(image(announce={"S": "unheard_of"})),
        record(image(announce={"N": "1"})),
        record({**GOOD, "status": {"S": "unheard_of"}}),
        record({**GOOD, "generation": {"N": "x"}}),
        record({**GOOD, "access": {"B": "no base64!"}}),
        record({**GOOD, "access": "plain"}),
        record({**GOOD, "access": {"B": "eA==", "S": "x"}}),
        record({**GOOD, "scopes": {"L": "x"}}),
        record({**GOOD, "details": {"M": []}}),
        record(GOOD, {"connection": {"S": "prov-a#shop-1"}}),
    ],
)
def test_what_is_not_understood_is_said(broken: object) -> None:
    with pytest.raises(Failure) as caught:
        parse(broken)
    assert caught.value.reason is Reason.MESSAGE_MALFORMED
    assert "unheard" not in caught.value.detail


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(GOOD)), _values)
def test_whatever_stands_in_an_attribute_it_is_understood_or_refused(name: str, value: object) -> None:
    given = json.loads(json.dumps(record({**GOOD, name: value})))
    # Nothing but this failure leaves it.
    with suppress(Failure):
        assert parse(given).announce is Announce.ESTABLISHED
