"""What a service reads: only live connections, only tokens that last, never another merchant's."""

from functools import partial
from typing import Any

import pytest

from mooring.core.connection import ReadableConnection, Status
from mooring.core.errors import ConnectionFailure, Failure, Reason
from mooring.core.upkeep import Answer, Cause, Key, Order
from mooring.flows.read import AccessToken, ReadPorts, read_token
from tests.core.signing import NOW
from tests.fakes.refresher import FakeRefresher
from tests.flows.upkeep_world import DOWN, KEY, LOST, SEEN, TRANSIENT, UpkeepWorld, provider_of
from tests.flows.world import refusal

ASKED = Order(KEY, SEEN, Cause.READ)


class Reader:
    """One reader of the world's connections; its refresh function is the real flow unless a test says else.

    `naps` is how long it slept each time; the clock moves meanwhile, and `meanwhile` happens.
    """

    def __init__(self, upkeep: UpkeepWorld) -> None:
        self.upkeep = upkeep
        self.refresher = FakeRefresher()
        self.refresher.answer = upkeep.keep
        self.naps: list[float] = []
        self.meanwhile: dict[int, Any] = {}
        self.refreshes = True
        self.ports = ReadPorts(
            upkeep.connections,
            upkeep.sealer,
            self.refresher,
            lambda _: self.refreshes,
            upkeep.clock,
            self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.upkeep.clock.advance(seconds)
        self.meanwhile.pop(len(self.naps), lambda: None)()

    def read(self, min_ttl: int = 60, key: Key = KEY, seconds: float = 28) -> AccessToken:
        return self.upkeep.hear(lambda: read_token(key, min_ttl, self.ports, self.upkeep.left(seconds)))


@pytest.fixture
def reader(upkeep: UpkeepWorld) -> Reader:
    upkeep.stands(expires_at=NOW + 600, issued_at=NOW - 3_000)
    return Reader(upkeep)


def ends(reader: Reader, left: int | None, issued: int | None = None) -> None:
    """Its token ends in `left` seconds and was issued at `issued`."""
    expires_at = None if left is None else NOW + left
    reader.upkeep.connections.change(KEY, expires_at=expires_at, issued_at=issued)


def stands(failure: Failure) -> str:
    """Where the connection stands, as the failure says."""
    assert isinstance(failure, ConnectionFailure)
    return failure.connection_status


def test_a_token_that_is_still_good(reader: Reader) -> None:
    token = reader.read()
    assert (token.access_token, token.warning) == ("canary-access-0", None)
    assert token.connection == reader.upkeep.row()
    assert reader.upkeep.journal == ["read", "open"]
    assert reader.refresher.orders == []


# How long it must last.


@pytest.mark.parametrize(
    ("left", "min_ttl", "good"),
    [(600, 599, True), (600, 600, False), (1, 0, True), (0, 0, False), (-5, 0, False), (-5, -60, False),
     (3_601, 99_999, True), (3_600, 99_999, False), (None, 99_999, True)],
)  # fmt: skip
def test_it_must_last_as_long_as_asked_within_an_hour(
    reader: Reader, left: int | None, min_ttl: int, good: bool
) -> None:
    ends(reader, left)
    reader.refreshes = False
    if good:
        assert reader.read(min_ttl).access_token == "canary-access-0"
        return
    failure = refusal(lambda: reader.read(min_ttl))
    assert (failure.reason, failure.status) == (Reason.TOKEN_EXPIRED, 409)
    assert stands(failure) == "active"
    assert reader.refresher.orders == []


@pytest.mark.parametrize(
    ("lifetime", "left", "min_ttl", "good"),
    [
        (3_600, 1_801, 3_600, True),
        (3_600, 1_800, 3_600, False),
        (60, 31, 60, True),
        (60, 30, 60, False),
        (60, 30, 29, True),
        (1, 1, 60, True),
        (0, 1, 60, True),
        (-9, 1, 60, True),
        (0, 0, 60, False),
    ],
)
def test_nobody_can_ask_for_more_than_half_of_a_tokens_life(
    reader: Reader, lifetime: int, left: int, min_ttl: int, good: bool
) -> None:
    """Else a token that lives a minute would be refreshed at every read."""
    ends(reader, left, NOW + left - lifetime)
    provider_of(reader.upkeep)
    if left > 0:
        reader.read(min_ttl)
    else:  # it was issued a moment ago, and is refreshed once in three seconds whatever its life
        assert refusal(lambda: reader.read(min_ttl)).reason is Reason.REFRESH_PUT_OFF
    assert (reader.refresher.orders == []) is good


# Refreshed first when it must be.


def test_it_is_refreshed_first_when_it_does_not_last(reader: Reader) -> None:
    provider_of(reader.upkeep)
    token = reader.read(900)
    assert (token.access_token, token.warning, token.connection.version) == ("access-1", None, 6)
    assert reader.refresher.orders == [ASKED]
    assert reader.naps == []


def test_somebody_else_refreshed_it_a_moment_ago(reader: Reader) -> None:
    def answer(_: Order) -> Answer:
        provider_of(reader.upkeep)
        reader.upkeep.keep(ASKED)
        return Answer("fresh")

    reader.refresher.answer = answer
    assert reader.read(900).access_token == "access-1"


def test_a_reader_waits_for_whoever_refreshes_it_already(reader: Reader) -> None:
    reader.refresher.answer = Answer("busy", Reason.REFRESH_BUSY, NOW + 45)
    provider_of(reader.upkeep)
    reader.meanwhile[2] = lambda: reader.upkeep.keep(ASKED)
    assert reader.read(900).access_token == "access-1"
    assert reader.naps == [0.25, 0.5]
    assert len(reader.refresher.orders) == 1


@pytest.mark.parametrize("left", [600, 0])
def test_it_waits_no_longer_than_a_refresh_can_take(reader: Reader, left: int) -> None:
    ends(reader, left)
    reader.refresher.answer = Answer("busy", Reason.REFRESH_BUSY, NOW + 45)
    if left:
        assert reader.read(900).warning is Reason.REFRESH_BUSY
    else:
        failure = refusal(lambda: reader.read(900))
        assert (failure.reason, failure.status) == (Reason.REFRESH_BUSY, 503)
    assert reader.naps[:5] == [0.25, 0.5, 1.0, 2.0, 2.0]
    assert 13 <= sum(reader.naps) < 15
    assert len(reader.refresher.orders) == 1


def test_it_waits_no_longer_than_the_lease_lasts(reader: Reader) -> None:
    reader.refresher.answer = Answer("busy", Reason.REFRESH_BUSY, NOW + 3)
    assert reader.read(900).warning is Reason.REFRESH_BUSY
    assert 3 <= sum(reader.naps) < 5


def test_it_waits_no_longer_than_its_own_time_lasts(reader: Reader) -> None:
    def slow(_: Order) -> Answer:
        reader.upkeep.clock.advance(20)
        return Answer("busy", Reason.REFRESH_BUSY, NOW + 65)

    reader.refresher.answer = slow
    assert reader.read(900).warning is Reason.REFRESH_BUSY
    assert 28 - 20 - sum(reader.naps) >= 3


def test_a_row_that_cannot_be_read_while_waiting_is_read_again(reader: Reader) -> None:
    def comes_back() -> None:
        reader.upkeep.connections.broken.clear()
        reader.upkeep.keep(ASKED)

    reader.refresher.answer = Answer("busy", Reason.REFRESH_BUSY, NOW + 45)
    provider_of(reader.upkeep)
    reader.meanwhile[1] = lambda: reader.upkeep.connections.broken.update(read=DOWN)
    reader.meanwhile[2] = comes_back
    assert reader.read(900).access_token == "access-1"
    assert len(reader.naps) == 2


@pytest.mark.parametrize("status", [Status.DISCONNECTED, None])
def test_what_ends_while_waiting_is_not_read(reader: Reader, status: Status | None) -> None:
    reader.refresher.answer = Answer("busy", Reason.REFRESH_BUSY, NOW + 45)
    rows = reader.upkeep.connections.rows
    if status is None:
        reader.meanwhile[1] = rows.clear
        assert refusal(lambda: reader.read(900)).reason is Reason.CONNECTION_NOT_FOUND
        assert len(reader.naps) == 1
        return
    reader.meanwhile[1] = lambda: reader.upkeep.endings.disconnect(KEY, NOW)
    assert refusal(lambda: reader.read(900)).reason is Reason.CONNECTION_NOT_ACTIVE


def test_a_reconnect_while_waiting_is_read_at_once(reader: Reader) -> None:
    reader.refresher.answer = Answer("busy", Reason.REFRESH_BUSY, NOW + 45)
    reader.meanwhile[1] = reader.upkeep.reconnects
    token = reader.read(900)
    assert (token.access_token, token.connection.generation) == ("canary-access-anew", 3)
    assert len(reader.naps) == 1


# When it cannot be refreshed.


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("failed", Reason.PROVIDER_UNAVAILABLE, NOW + 15), Reason.PROVIDER_UNAVAILABLE),
        (Answer("failed", Reason.REFRESH_IN_DOUBT, NOW + 120), Reason.REFRESH_IN_DOUBT),
        (Answer("failed", Reason.STORE_DELAYED), Reason.STORE_DELAYED),
        (Answer("waiting", Reason.REFRESH_PUT_OFF, NOW + 15), Reason.REFRESH_PUT_OFF),
        (Answer("skipped", Reason.TOKEN_EXPIRED), Reason.TOKEN_EXPIRED),
        (Answer("fresh"), Reason.TOKEN_EXPIRED),
        (Failure(Reason.STORAGE_UNAVAILABLE), Reason.STORAGE_UNAVAILABLE),
        (Failure(Reason.OUT_OF_TIME), Reason.OUT_OF_TIME),
    ],
)
def test_a_token_that_still_lives_is_given_with_a_warning_a_dead_one_is_not(
    reader: Reader, answer: Answer | Failure, reason: Reason
) -> None:
    reader.refresher.answer = answer
    token = reader.read(900)
    assert (token.access_token, token.warning) == ("canary-access-0", reason)
    reader.upkeep.clock.advance(600)
    assert refusal(lambda: reader.read(0)).reason is reason
    assert reader.naps == []


def test_a_failing_provider_keeps_nobody_from_a_living_token(reader: Reader) -> None:
    reader.upkeep.keeper.tokens = TRANSIENT
    assert reader.read(900).warning is Reason.PROVIDER_UNAVAILABLE
    assert reader.read(900).warning is Reason.REFRESH_PUT_OFF
    assert len(reader.upkeep.keeper.refreshes) == 1


def test_a_grant_that_is_found_dead_is_not_active(reader: Reader) -> None:
    reader.upkeep.keeper.tokens = LOST
    failure = refusal(lambda: reader.read(900))
    assert (failure.reason, failure.detail) == (Reason.CONNECTION_NOT_ACTIVE, "its status is needs_reconnect")
    assert stands(failure) == "needs_reconnect"


@pytest.mark.parametrize(
    ("noted", "warning"),
    [
        (None, None),
        ("provider_unavailable", Reason.PROVIDER_UNAVAILABLE),
        ("key_denied", Reason.KEY_DENIED),
        ("a_word_of_a_later_release", None),
        ("", None),
    ],
)
def test_a_token_that_lives_long_enough_warns_when_its_latest_refresh_failed(
    reader: Reader, noted: str | None, warning: Reason | None
) -> None:
    reader.upkeep.connections.change(KEY, last_error=noted)
    token = reader.read(60)
    assert (token.access_token, token.warning) == ("canary-access-0", warning)
    assert reader.refresher.orders == []


def test_what_this_read_met_counts_more_than_what_was_noted(reader: Reader) -> None:
    reader.upkeep.connections.change(KEY, last_error="provider_unavailable")
    reader.refresher.answer = Answer("waiting", Reason.PROVIDER_PAUSED, NOW + 15)
    assert reader.read(900).warning is Reason.PROVIDER_PAUSED


def test_a_refresh_that_succeeds_ends_the_warning(reader: Reader) -> None:
    reader.upkeep.connections.change(KEY, last_error="provider_unavailable")
    provider_of(reader.upkeep)
    assert reader.read(900).warning is None
    assert reader.read(60).warning is None


def test_a_refresh_of_another_that_failed_meanwhile_is_told(reader: Reader) -> None:
    """It ended long enough for this reader; whoever refreshed it then, failed."""

    def fails(_: Order) -> Answer:
        reader.upkeep.connections.change(KEY, expires_at=NOW + 3_600, last_error="provider_timeout")
        return Answer("fresh")

    reader.refresher.answer = fails
    assert reader.read(900).warning is Reason.PROVIDER_TIMEOUT


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.PROVIDER_UNKNOWN, 409),
        (Reason.GRANT_REFUSED, 409),
        (Reason.ACCOUNT_MISMATCH, 409),
        (Reason.STORAGE_UNAVAILABLE, 503),
        (Reason.PROVIDER_ERROR, 502),
        (Reason.PROVIDER_MISCONFIGURED, 500),
    ],
)
def test_what_is_there_is_never_answered_as_if_it_were_not_or_the_question_wrong(
    reader: Reader, reason: Reason, status: int
) -> None:
    ends(reader, 0)
    reader.refresher.answer = Answer("failed", reason)
    failure = refusal(reader.read)
    assert (failure.reason, failure.status, stands(failure)) == (reason, status, "active")


@pytest.mark.parametrize(("seconds", "asks"), [(24.9, False), (25.0, True)])
def test_with_too_little_time_left_nobody_is_asked(reader: Reader, seconds: float, asks: bool) -> None:
    provider_of(reader.upkeep)
    token = reader.read(900, seconds=seconds)
    assert (reader.refresher.orders == [ASKED]) is asks
    assert token.warning is (None if asks else Reason.OUT_OF_TIME)


def test_a_new_token_that_does_not_last_either_is_given_with_a_warning(reader: Reader) -> None:
    def slow(order: Order) -> Answer:
        answer = reader.upkeep.keep(order)
        reader.upkeep.clock.advance(20)
        return answer

    provider_of(reader.upkeep, lifetime=30)
    reader.refresher.answer = slow
    token = reader.read(900)
    assert (token.access_token, token.warning) == ("access-1", Reason.TOKEN_EXPIRED)


def test_a_token_whose_provider_cannot_refresh_is_not_asked_for(reader: Reader) -> None:
    ends(reader, -1)
    reader.refreshes = False
    assert refusal(reader.read).reason is Reason.TOKEN_EXPIRED
    assert reader.refresher.orders == []


def test_a_token_that_is_erased_between_two_looks_is_not_active(reader: Reader) -> None:
    def erased(_: Order) -> Answer:
        reader.upkeep.connections.change(KEY, access=None)
        return Answer("fresh")

    reader.refresher.answer = erased
    assert refusal(lambda: reader.read(900)).reason is Reason.CONNECTION_NOT_ACTIVE


# Whose it is.


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_what_is_not_active_is_not_opened_even_if_the_ciphertext_remains(
    reader: Reader, status: Status
) -> None:
    reader.upkeep.connections.change(KEY, status=status)
    failure = refusal(reader.read)
    assert (failure.reason, failure.status) == (Reason.CONNECTION_NOT_ACTIVE, 409)
    assert (failure.detail, stands(failure)) == (f"its status is {status.value}", status.value)
    assert reader.upkeep.journal == ["read"]
    assert reader.refresher.orders == []


def test_an_active_row_without_a_token_is_not_active(reader: Reader) -> None:
    reader.upkeep.connections.change(KEY, access=None)
    assert refusal(reader.read).reason is Reason.CONNECTION_NOT_ACTIVE


@pytest.mark.parametrize(
    "where", [Key("m-2", "acme", "shop-9"), Key("m-1", "other", "shop-9"), Key("m-1", "acme", "shop-1")]
)
def test_absent_and_foreign_are_the_same_answer(reader: Reader, where: Key) -> None:
    failure = refusal(lambda: reader.read(key=where))
    assert (failure.reason, failure.status, failure.detail) == (Reason.CONNECTION_NOT_FOUND, 404, "")
    assert reader.upkeep.journal == ["read"]


@pytest.mark.parametrize("bad", ["", "a b", "a#b", "../x", "x\0", "@account"])
def test_impossible_names_are_not_even_looked_up(reader: Reader, bad: str) -> None:
    for where in (Key(bad, "acme", "shop-9"), Key("m-1", bad, "shop-9"), Key("m-1", "acme", bad)):
        assert refusal(partial(reader.read, 60, where)).reason is Reason.CONNECTION_NOT_FOUND
    assert reader.upkeep.journal == []


@pytest.mark.parametrize("reason", [Reason.SEALING_UNAVAILABLE, Reason.KEY_DENIED, Reason.TOKEN_UNREADABLE])
def test_a_token_that_does_not_open(reader: Reader, reason: Reason) -> None:
    reader.upkeep.sealer.broken["open"] = Failure(reason)
    assert refusal(reader.read).reason is reason


def test_a_token_moved_here_from_another_row_does_not_open(reader: Reader) -> None:
    rows = reader.upkeep.connections.rows
    mine = rows["m-1", "acme#shop-9"]
    moved = mine.connection._replace(merchant_id="m-2")
    rows["m-2", "acme#shop-9"] = ReadableConnection(moved, mine.access)
    failure = refusal(lambda: reader.read(key=KEY._replace(merchant_id="m-2")))
    assert failure.reason is Reason.TOKEN_UNREADABLE
