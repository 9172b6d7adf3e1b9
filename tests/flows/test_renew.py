"""A service reports a 401, an operator asks for a refresh: what they are told of the connection."""

from functools import partial

import pytest

from mooring.core.connection import Status
from mooring.core.errors import ConnectionFailure, Failure, Reason
from mooring.core.upkeep import Answer, Cause, Key, Order
from mooring.flows.renew import RenewPorts, renew
from tests.core.signing import NOW
from tests.fakes.refresher import FakeRefresher
from tests.flows.upkeep_world import DOWN, KEY, SEEN, UpkeepWorld, provider_of
from tests.flows.world import refusal

REPORT = Order(KEY, SEEN, Cause.UNAUTHORIZED)
DONE = [
    Answer("refreshed"),
    Answer("fresh", None, NOW + 9),
    Answer("reported"),
    Answer("probed"),
    Answer("skipped"),
    Answer("skipped", Reason.TOKEN_EXPIRED),
]


@pytest.mark.parametrize("answer", DONE, ids=lambda answer: answer.word)
def test_whatever_was_done_is_told_with_the_connection_as_it_stands(
    upkeep: UpkeepWorld, answer: Answer
) -> None:
    upkeep.stands()
    refresher = FakeRefresher()
    refresher.answer = answer
    told = upkeep.hear(lambda: renew(REPORT, RenewPorts(upkeep.connections, refresher)))
    assert told == (answer, upkeep.row())
    assert refresher.orders == [REPORT]
    assert upkeep.journal == ["read"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("busy", Reason.REFRESH_BUSY, NOW + 9), Reason.REFRESH_BUSY),
        (Answer("waiting", Reason.REFRESH_IN_DOUBT, NOW + 9), Reason.REFRESH_IN_DOUBT),
        (Answer("waiting", Reason.REFRESH_PUT_OFF, NOW + 9), Reason.REFRESH_PUT_OFF),
        (Answer("failed", Reason.PROVIDER_TIMEOUT, NOW + 9), Reason.PROVIDER_TIMEOUT),
        (Answer("failed", Reason.PROVIDER_MISCONFIGURED), Reason.PROVIDER_MISCONFIGURED),
        (Answer("failed", Reason.STORE_DELAYED), Reason.STORE_DELAYED),
        (Answer("failed"), Reason.INTERNAL),
        (Answer("a word of a later release"), Reason.INTERNAL),
    ],
)
def test_why_it_was_not_done_is_told_of_what_still_lives(
    upkeep: UpkeepWorld, answer: Answer, reason: Reason
) -> None:
    upkeep.stands()
    refresher = FakeRefresher()
    refresher.answer = answer
    failure = refusal(lambda: renew(REPORT, RenewPorts(upkeep.connections, refresher)))
    assert isinstance(failure, ConnectionFailure)
    assert (failure.reason, failure.connection_status) == (reason, "active")


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
@pytest.mark.parametrize("answer", [Answer("skipped", Reason.CONNECTION_NOT_ACTIVE), Answer("fresh")])
def test_what_is_not_active_is_told_as_such_whatever_was_answered(
    upkeep: UpkeepWorld, status: Status, answer: Answer
) -> None:
    upkeep.stands(status=status)
    refresher = FakeRefresher()
    refresher.answer = answer
    failure = refusal(lambda: renew(REPORT, RenewPorts(upkeep.connections, refresher)))
    assert (failure.reason, failure.status) == (Reason.CONNECTION_NOT_ACTIVE, 409)
    assert failure.detail == f"its status is {status.value}"
    assert isinstance(failure, ConnectionFailure)
    assert failure.connection_status == status.value


def test_a_connection_that_is_not_there(upkeep: UpkeepWorld) -> None:
    refresher = FakeRefresher()
    refresher.answer = Answer("skipped", Reason.CONNECTION_NOT_FOUND)
    failure = refusal(lambda: renew(REPORT, RenewPorts(upkeep.connections, refresher)))
    assert (failure.reason, failure.status) == (Reason.CONNECTION_NOT_FOUND, 404)


@pytest.mark.parametrize("bad", ["", "a b", "a#b", "..", "@account"])
def test_impossible_names_do_not_even_ask(upkeep: UpkeepWorld, bad: str) -> None:
    refresher = FakeRefresher()
    for key in (Key(bad, "acme", "shop-9"), Key("m-1", bad, "shop-9"), Key("m-1", "acme", bad)):
        order = Order(key, None, Cause.ASKED)
        failure = refusal(partial(renew, order, RenewPorts(upkeep.connections, refresher)))
        assert failure.reason is Reason.CONNECTION_NOT_FOUND
    assert (refresher.orders, upkeep.journal) == ([], [])


def test_when_the_refresh_function_cannot_be_asked(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    refresher = FakeRefresher()
    refresher.answer = Failure(Reason.STORAGE_UNAVAILABLE)
    assert refusal(lambda: renew(REPORT, RenewPorts(upkeep.connections, refresher))).status == 503
    assert upkeep.journal == []


def test_when_the_row_cannot_be_read_afterwards(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.connections.broken["read"] = DOWN
    failure = refusal(lambda: renew(REPORT, RenewPorts(upkeep.connections, FakeRefresher())))
    assert failure.reason is Reason.STORAGE_UNAVAILABLE


def test_an_operator_sees_the_new_version(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    provider_of(upkeep)
    refresher = FakeRefresher()
    refresher.answer = upkeep.keep
    order = Order(KEY, None, Cause.ASKED)
    answer, connection = upkeep.hear(lambda: renew(order, RenewPorts(upkeep.connections, refresher)))
    assert (answer.word, connection.version) == ("refreshed", 6)
