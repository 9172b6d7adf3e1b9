"""The refresh queue's messages: their shape, and what `parse` refuses."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.work_messages import (
    answer_of,
    message,
    order_payload,
    parse,
    parse_answer,
    parse_order,
)
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Answer, Cause, Confirm, Hint, Key, Order, Search, Seen, Work
from tests.contract.work_samples import DUE, KEY, WORK

LEFT_OUT = "@left out"
CANARY = "canary-value-aa17"

numbers = st.integers(0, 2**53 - 1)
names = st.from_regex(r"[A-Za-z0-9_:-]{1,128}", fullmatch=True)
providers = st.from_regex(r"[a-z][a-z0-9-]{1,31}", fullmatch=True)
words = st.from_regex(r"[a-z_]{1,32}", fullmatch=True)
keys = st.builds(Key, names, providers, names)
seens = st.builds(Seen, numbers, numbers)
works = st.one_of(
    st.builds(Order, keys, st.none() | seens, st.sampled_from(Cause), st.booleans()),
    st.builds(Hint, providers, names, st.booleans(), st.none() | names),
    st.builds(Confirm, keys, seens, numbers, st.booleans()),
    st.builds(Search, providers, names, numbers),
)


@given(works)
def test_all_work_comes_back_as_it_went(work: Work) -> None:
    text = message(work)
    assert parse(text) == work
    assert len(text) < 1_000


@given(works.filter(lambda work: isinstance(work, Order)))
def test_an_order_reaches_the_function_as_it_went(order: Order) -> None:
    assert parse_order(json.loads(order_payload(order))) == order


@given(
    st.builds(
        Answer, words, st.none() | st.sampled_from(Reason), numbers, st.just(""), st.none(), st.just(False)
    )
)
def test_an_answer_comes_back_as_it_went(answer: Answer) -> None:
    assert parse_answer(json.dumps(answer_of(answer)).encode()) == answer


@pytest.mark.parametrize(
    ("work", "shape"),
    [
        (
            DUE,
            {
                "schema": 1,
                "kind": "refresh",
                "merchant_id": "m-1",
                "provider": "prov-a",
                "account_id": "shop-1",
                "generation": 2,
                "version": 17,
                "cause": "due",
                "trial": False,
            },
        ),
        (
            Hint("prov-a", "shop-1"),
            {
                "schema": 1,
                "kind": "hint",
                "provider": "prov-a",
                "account_id": "shop-1",
                "again": False,
                "merchant_id": None,
            },
        ),
        (
            Confirm(KEY, Seen(2, 17), 1_800_000_000, uninstall=True),
            {
                "schema": 1,
                "kind": "confirm",
                "merchant_id": "m-1",
                "provider": "prov-a",
                "account_id": "shop-1",
                "generation": 2,
                "version": 17,
                "refused_at": 1_800_000_000,
                "uninstall": True,
            },
        ),
        (
            Search("prov-a", "shop-1", 1_800_000_000),
            {
                "schema": 1,
                "kind": "notice",
                "provider": "prov-a",
                "account_id": "shop-1",
                "at": 1_800_000_000,
            },
        ),
    ],
    ids=["refresh", "hint", "confirm", "notice"],
)
def test_the_shapes_are_fixed(work: Work, shape: dict[str, Any]) -> None:
    assert json.loads(message(work)) == shape


def test_whoever_has_seen_nothing_says_so() -> None:
    data = json.loads(message(Order(KEY, None, Cause.READ)))
    assert (data["generation"], data["version"]) == (None, None)


@pytest.mark.parametrize("work", WORK, ids=lambda work: type(work).__name__)
def test_what_a_later_release_adds_is_passed_over(work: Work) -> None:
    assert parse(json.dumps({**json.loads(message(work)), "more": {"x": [1]}})) == work


def refused(read: Callable[[Any], object], what: object) -> bool:
    with pytest.raises(Failure) as caught:
        read(what)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert CANARY not in str(caught.value)
    return caught.value.reason is Reason.MESSAGE_MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"refresh"',
        "1",
        "NaN",
        CANARY,
        "[" * 8_192,
        '{"schema":' + "9" * 5_000 + "}",
        message(DUE) + " " * 8_192,
        message(DUE) + message(DUE),
        message(DUE)[:-1] + ',"x":"' + "é" * 4_100 + '"}',
        message(DUE).replace('"due"', "NaN"),
        '{"schema":1,"kind":"\ud800"}',
    ],
    ids=range(15),
)
def test_what_is_no_message_is_refused(text: str) -> None:
    assert refused(parse, text)


@pytest.mark.parametrize("work", WORK, ids=lambda work: type(work).__name__)
def test_nothing_may_be_left_out(work: Work) -> None:
    data = json.loads(message(work))
    for name in data:
        if isinstance(work, Hint) and name in ("again", "merchant_id"):
            continue  # earlier releases did; tested below
        rest = json.dumps({each: value for each, value in data.items() if each != name})
        assert refused(parse, rest)


@pytest.mark.parametrize("work", WORK, ids=lambda work: type(work).__name__)
@pytest.mark.parametrize("value", [None, CANARY + " \n", "", -1, 1.5, 2**53, [], {}, True, "7"], ids=repr)
def test_no_field_takes_another_type(work: Work, value: object) -> None:
    data = json.loads(message(work))
    for name in data:
        if fits(name, value) or (isinstance(work, Hint) and name == "merchant_id" and value is None):
            continue
        changed = json.dumps({**data, name: value})
        assert refused(parse, changed), name


def fits(name: str, value: object) -> bool:
    """The changes of the test above that are none: another value of the right type."""
    if name in ("trial", "uninstall", "again"):
        return value is True
    if name in ("merchant_id", "account_id"):
        return value == "7"
    # An order that names neither is well formed; one that names only one is not, which is tested below.
    return name in ("generation", "version") and value is None


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": 0},
        {"kind": "revoke"},
        {"kind": "Refresh"},
        {"kind": "hint "},
        {"merchant_id": "a/b"},
        {"merchant_id": "m" * 129},
        {"merchant_id": "."},
        {"merchant_id": "@account"},
        {"provider": "Prov-A"},
        {"provider": "p"},
        {"account_id": ".."},
        {"account_id": "a#b"},
        {"account_id": "ü"},
        {"cause": "boredom"},
        {"cause": "DUE"},
        {"generation": None},
        {"version": None},
        {"trial": 0},
        {"trial": "false"},
    ],
    ids=str,
)
def test_an_order_is_understood_exactly_or_not_at_all(changes: dict[str, Any]) -> None:
    data = {**json.loads(message(DUE)), **changes}
    assert refused(parse, json.dumps(data))


@pytest.mark.parametrize("again", [True, False])
def test_a_hint_says_whether_it_is_a_second_look(again: bool) -> None:
    assert json.loads(message(Hint("prov-a", "shop-1", again)))["again"] is again


def test_a_hint_of_an_earlier_release_is_a_first_look() -> None:
    data = {"schema": 1, "kind": "hint", "provider": "prov-a", "account_id": "shop-1"}
    assert parse(json.dumps(data)) == Hint("prov-a", "shop-1", again=False)


@pytest.mark.parametrize("again", [True, False])
def test_a_hint_of_the_release_before_means_every_holder(again: bool) -> None:
    data = {"schema": 1, "kind": "hint", "provider": "prov-a", "account_id": "shop-1", "again": again}
    assert parse(json.dumps(data)) == Hint("prov-a", "shop-1", again, merchant_id=None)


@pytest.mark.parametrize("merchant_id", [None, "m-1"])
def test_a_hint_says_whose_connection_is_meant(merchant_id: str | None) -> None:
    text = message(Hint("prov-a", "shop-1", merchant_id=merchant_id))
    assert json.loads(text)["merchant_id"] == merchant_id
    assert parse(text).merchant_id == merchant_id  # type: ignore[union-attr]


@pytest.mark.parametrize("again", [None, 0, 1, "true", "", [], {}], ids=repr)
def test_a_hint_that_speaks_of_a_second_look_says_yes_or_no(again: object) -> None:
    data = {**json.loads(message(Hint("prov-a", "shop-1"))), "again": again}
    assert refused(parse, json.dumps(data))


@pytest.mark.parametrize("missing", ["generation", "version"])
def test_the_second_probe_must_know_what_the_first_one_saw(missing: str) -> None:
    data = {**json.loads(message(WORK[6])), missing: None}
    assert refused(parse, json.dumps(data))


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "order",
        {},
        {"schema": 1},
        {"schema": 2, "order": json.loads(message(DUE))},
        {"schema": 1, "order": None},
        {"schema": 1, "order": [CANARY]},
        {"schema": 1, "order": {}},
        {"order": json.loads(message(DUE))},
        {"Records": []},
    ],
    ids=str,
)
def test_an_event_that_is_no_order_is_refused(event: object) -> None:
    assert refused(parse_order, event)


def test_the_answer_says_word_reason_and_time_only() -> None:
    answer = Answer("busy", Reason.REFRESH_BUSY, 1_800_000_045, "for the log of who answers")
    assert answer_of(answer) == {
        "schema": 1,
        "word": "busy",
        "reason": "refresh_busy",
        "until": 1_800_000_045,
    }
    assert answer_of(Answer("refreshed"))["reason"] is None
