"""What must end some day: a grant whose end no refresh moves, and a token that nothing can refresh."""

from itertools import pairwise
from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.provider import Probe
from mooring.core.schedule import PROBE_EVERY_SECONDS
from mooring.core.upkeep import EXPIRING_SECONDS, LATE_SECONDS, PROBE_SECONDS, Answer, Cause, Hint, Key, Order
from mooring.flows.probe import NEVER_SECONDS
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, ProbeCall
from tests.flows.upkeep_world import DOWN, KEY, PROBED, SEEN, SILENT, UpkeepWorld, provider_of
from tests.flows.world import refusal

DAY = 86_400
TOLD = Answer("expiring", expiring=True)
PROBED_KEY, SILENT_KEY = KEY._replace(provider=PROBED.id), KEY._replace(provider=SILENT.id)
ASKED = Order(KEY, None, Cause.ASKED)


def due(key: Key) -> Order:
    return Order(key, SEEN, Cause.DUE)


# A grant with an end.


def refreshed(upkeep: UpkeepWorld, before: int | None, after: int | None, **answer: Any) -> Answer:
    """One refresh of a grant that ends `before` seconds from now, and afterwards in `after`."""
    upkeep.stands(refresh_expires_at=None if before is None else NOW + before)
    ends_at = None if after is None else NOW + after
    upkeep.keeper.tokens = REFRESHED._replace(refresh_expires_at=ends_at, **answer)
    return upkeep.refresh()


def test_a_grant_whose_end_is_near_and_does_not_move_is_told(upkeep: UpkeepWorld) -> None:
    assert refreshed(upkeep, DAY, DAY) == Answer("refreshed", expiring=True)
    assert upkeep.row().expiring_at == NOW + DAY
    assert upkeep.row().status is Status.ACTIVE


@pytest.mark.parametrize(
    ("before", "after", "expiring"),
    [
        (DAY, DAY, True),
        (DAY, DAY - 1, True),
        (DAY, DAY + 59, True),
        (DAY, DAY + 60, False),
        (DAY, 90 * DAY, False),
        (EXPIRING_SECONDS, EXPIRING_SECONDS, True),
        (EXPIRING_SECONDS + 1, EXPIRING_SECONDS + 1, False),
        (1, 1, True),
        (0, 0, False),
        (-9, -9, False),
        (None, DAY, False),
        (DAY, None, False),
        (None, None, False),
    ],
)
def test_only_an_end_that_is_near_stated_and_not_moved_is_told(
    upkeep: UpkeepWorld, before: int | None, after: int | None, expiring: bool
) -> None:
    assert refreshed(upkeep, before, after) == Answer("refreshed", expiring=expiring)
    assert upkeep.row().expiring_at == (NOW + (after or 0) if expiring else None)


def test_where_the_refresh_token_stays_so_does_its_end(upkeep: UpkeepWorld) -> None:
    assert refreshed(upkeep, DAY, None, refresh_token=None) == Answer("refreshed", expiring=True)
    assert (upkeep.row().expiring_at, upkeep.rest().refresh_expires_at) == (NOW + DAY, NOW + DAY)


def test_it_is_told_once_and_shown_until_it_moves(upkeep: UpkeepWorld) -> None:
    refreshed(upkeep, DAY, DAY)
    upkeep.clock.advance(3_600)
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert upkeep.row().expiring_at == NOW + DAY
    upkeep.keeper.tokens = REFRESHED._replace(refresh_expires_at=NOW + 30 * DAY)
    upkeep.clock.advance(3_600)
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert upkeep.row().expiring_at is None


def test_a_merchant_who_came_back_is_not_asked_to(upkeep: UpkeepWorld) -> None:
    refreshed(upkeep, DAY, DAY)
    upkeep.reconnects()
    assert upkeep.row().expiring_at is None


def test_a_fixed_end_is_told_three_days_before_by_the_schedule_alone(upkeep: UpkeepWorld) -> None:
    """From ten days before to the end: told once, in time, and refreshed no more than once a minute."""
    end = NOW + 10 * DAY
    upkeep.stands(refresh_expires_at=end, expires_at=None)
    upkeep.keeper.tokens = REFRESHED._replace(refresh_expires_at=end)
    told, at = [], []
    while upkeep.clock() < end:
        answer = upkeep.refresh(Order(KEY, None, Cause.DUE))
        assert answer.word == "refreshed"
        at.append(int(upkeep.clock()))
        told += [at[-1]] if answer.expiring else []
        upkeep.clock.now = upkeep.rest().due_at or 0
    assert told == [end - EXPIRING_SECONDS]
    assert len(at) < 20
    assert all(later - earlier >= 60 for earlier, later in pairwise(at))


# A token that nothing can refresh.


@pytest.mark.parametrize("key", [PROBED_KEY, SILENT_KEY])
def test_a_token_far_from_its_end_is_looked_after_as_ever(upkeep: UpkeepWorld, key: Key) -> None:
    upkeep.stands(key, refresh=None, expires_at=NOW + EXPIRING_SECONDS + 1)
    assert upkeep.keep(due(key)) == Answer("probed")
    assert upkeep.row(key).expiring_at is None
    assert len(upkeep.keeper.probes) == 1


@pytest.mark.parametrize("key", [PROBED_KEY, SILENT_KEY])
def test_a_near_end_is_told_once_and_looked_at_again_in_six_hours(upkeep: UpkeepWorld, key: Key) -> None:
    upkeep.stands(key, refresh=None, expires_at=NOW + DAY)
    assert upkeep.keep(due(key)) == TOLD
    assert (upkeep.row(key).expiring_at, upkeep.rest(key).due_at) == (NOW + DAY, NOW + PROBE_EVERY_SECONDS)
    assert upkeep.sweep(upkeep.providers[key.provider]).enqueued == 0
    assert upkeep.keeper.probes == []
    upkeep.clock.advance(1)
    assert not upkeep.keep(due(key)).expiring


def test_without_a_probe_a_told_end_falls_due_at_the_end_and_once_it_is_sure(upkeep: UpkeepWorld) -> None:
    upkeep.keeper.said = Probe.UNKNOWN
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=NOW + DAY)
    upkeep.keep(due(SILENT_KEY))
    at, words = [], []
    while (due_at := upkeep.rest(SILENT_KEY).due_at) is not None:
        upkeep.clock.now = due_at
        at.append(due_at - NOW)
        assert upkeep.sweep(SILENT).enqueued == 1
        words += [answer for _, answer in upkeep.deliver()]
    assert at == [PROBE_EVERY_SECONDS, DAY, DAY + LATE_SECONDS]
    assert words == [Answer("probed"), Answer("probed"), Answer("failed", Reason.TOKEN_EXPIRED)]


def test_near_its_end_a_token_is_still_probed(upkeep: UpkeepWorld) -> None:
    upkeep.stands(PROBED_KEY, refresh=None, expires_at=NOW + DAY)
    assert upkeep.keep(due(PROBED_KEY)) == TOLD
    upkeep.clock.advance(PROBE_EVERY_SECONDS)
    assert upkeep.keep(due(PROBED_KEY)) == Answer("probed")
    assert len(upkeep.keeper.probes) == 1
    assert upkeep.rest(PROBED_KEY).due_at == NOW + 2 * PROBE_EVERY_SECONDS


@pytest.mark.parametrize("left", [21_599, 600, 1])
def test_whatever_the_probes_schedule_the_end_is_not_missed(upkeep: UpkeepWorld, left: int) -> None:
    upkeep.stands(PROBED_KEY, refresh=None, expires_at=NOW + left)
    assert upkeep.keep(due(PROBED_KEY)).expiring
    assert upkeep.rest(PROBED_KEY).due_at == NOW + left


def test_what_cannot_be_reminded_of_falls_due_at_its_end(upkeep: UpkeepWorld) -> None:
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=NOW + DAY)
    upkeep.endings.broken["remind"] = DOWN
    assert upkeep.keep(due(SILENT_KEY)) == TOLD
    assert upkeep.rest(SILENT_KEY).due_at == NOW + DAY


@pytest.mark.parametrize("left", [9 * DAY, NEVER_SECONDS - 1])
def test_without_a_probe_the_end_is_not_missed_either(upkeep: UpkeepWorld, left: int) -> None:
    """One that fell due early, because its provider was able to refresh then."""
    upkeep.stands(SILENT_KEY, expires_at=NOW + left)
    upkeep.keeper.said = Probe.UNKNOWN
    assert upkeep.keep(due(SILENT_KEY)) == Answer("probed")
    assert upkeep.rest(SILENT_KEY).due_at == NOW + left - EXPIRING_SECONDS


@pytest.mark.parametrize("key", [SILENT_KEY, KEY])
@pytest.mark.parametrize("late", [LATE_SECONDS, LATE_SECONDS + 1, 30 * DAY])
def test_ten_minutes_after_its_end_the_merchant_has_to_come_back(
    upkeep: UpkeepWorld, key: Key, late: int
) -> None:
    upkeep.stands(key, refresh=None, expires_at=NOW - late, failures=3, retry_at=NOW - 1)
    before = upkeep.tokens(key)
    assert upkeep.keep(due(key)) == Answer("failed", Reason.TOKEN_EXPIRED)
    row, rest = upkeep.row(key), upkeep.rest(key)
    assert (row.status, row.last_error, row.expiring_at) == (Status.NEEDS_RECONNECT, "token_expired", None)
    assert (rest.due_at, rest.retry_at, rest.failures) == (None, None, 0)
    assert (upkeep.tokens(key), upkeep.keeper.probes, upkeep.keeper.refreshes) == (before, [], [])
    after = upkeep.snapshot(key)
    upkeep.clock.advance(1)
    assert upkeep.keep(due(key)).word == "skipped"
    assert upkeep.snapshot(key) == after


@pytest.mark.parametrize("key", [SILENT_KEY, KEY])
@pytest.mark.parametrize("ahead", [0, 1, LATE_SECONDS - 1])
def test_a_clock_almost_ten_minutes_ahead_kills_nobody(upkeep: UpkeepWorld, key: Key, ahead: int) -> None:
    upkeep.keeper.said = Probe.UNKNOWN
    upkeep.stands(key, refresh=None, expires_at=NOW - ahead)
    before = upkeep.tokens(key)
    assert upkeep.keep(due(key)) == TOLD
    upkeep.clock.advance(0.5)
    upkeep.keep(due(key))
    assert (upkeep.row(key).status, upkeep.tokens(key)) == (Status.ACTIVE, before)


def test_a_clock_ten_minutes_ahead_kills_nobody_before_the_end_by_the_right_one(upkeep: UpkeepWorld) -> None:
    """Whatever ends it, the token had run out by the clock of whoever is right."""
    end = NOW + DAY
    upkeep.keeper.said = Probe.UNKNOWN
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=end)
    for right in range(end - 1_200, end, 60):
        upkeep.clock.now = right + LATE_SECONDS
        upkeep.keep(due(SILENT_KEY))
        assert upkeep.row(SILENT_KEY).status is Status.ACTIVE
    upkeep.clock.now = end + LATE_SECONDS
    assert upkeep.keep(due(SILENT_KEY)).reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("key", [PROBED_KEY, KEY._replace(provider="both")])
@pytest.mark.parametrize("late", [0, LATE_SECONDS, 30 * DAY])
def test_where_there_is_a_probe_it_decides_and_not_the_stated_end(
    upkeep: UpkeepWorld, key: Key, late: int
) -> None:
    """Some providers prolong a token while it is used, and never say so."""
    upkeep.stands(key, refresh=None, expires_at=NOW - late)
    before = upkeep.tokens(key)
    words = []
    for _ in range(6):
        words.append(upkeep.keep(due(key)).word)
        upkeep.clock.advance(PROBE_EVERY_SECONDS)
    assert words == ["expiring", *["probed"] * 5]
    assert (upkeep.row(key).status, upkeep.tokens(key)) == (Status.ACTIVE, before)
    assert upkeep.rest(key).due_at == int(upkeep.clock()), "as if it had no end"
    upkeep.keeper.said = Probe.REFUSED
    upkeep.keep(due(key))
    assert upkeep.deliver() == [(key, Answer("failed", Reason.TOKEN_REFUSED))]
    assert upkeep.row(key).last_error == "token_refused"


@pytest.mark.parametrize("late", [DAY, DAY + 1, 30 * DAY])
def test_a_day_after_its_end_a_token_of_which_nobody_says_that_it_lives_is_over(
    upkeep: UpkeepWorld, late: int
) -> None:
    upkeep.keeper.said = Probe.UNKNOWN
    upkeep.stands(PROBED_KEY, refresh=None, expires_at=NOW - late, expiring_at=NOW - late)
    before = upkeep.tokens(PROBED_KEY)
    assert upkeep.keep(due(PROBED_KEY)) == Answer("failed", Reason.TOKEN_EXPIRED)
    row = upkeep.row(PROBED_KEY)
    assert (row.status, row.last_error) == (Status.NEEDS_RECONNECT, "token_expired")
    assert (upkeep.rest(PROBED_KEY).due_at, upkeep.tokens(PROBED_KEY)) == (None, before)
    assert len(upkeep.keeper.probes) == 1


def test_until_then_what_cannot_be_told_ends_nothing(upkeep: UpkeepWorld) -> None:
    """By the schedule alone, from the end on."""
    upkeep.keeper.said = Probe.UNKNOWN
    upkeep.stands(PROBED_KEY, refresh=None, expires_at=NOW, due_at=NOW, expiring_at=NOW)
    said: list[tuple[int, Answer]] = []
    while (due_at := upkeep.rest(PROBED_KEY).due_at) is not None and len(said) < 9:
        upkeep.clock.now = due_at
        assert upkeep.sweep(PROBED).enqueued == 1
        ((_, answer),) = upkeep.deliver()
        said.append((int(upkeep.clock()) - NOW, answer))
    looks = [0, LATE_SECONDS, *(LATE_SECONDS + each * PROBE_EVERY_SECONDS for each in (1, 2, 3))]
    assert said == [*((at, Answer("probed")) for at in looks), (DAY, Answer("failed", Reason.TOKEN_EXPIRED))]


@pytest.mark.parametrize("verdict", [Probe.LIVE, Probe.UNKNOWN])
def test_a_hint_ends_nothing_that_is_past_its_end(upkeep: UpkeepWorld, verdict: Probe) -> None:
    upkeep.keeper.said = verdict
    upkeep.stands(PROBED_KEY, refresh=None, expires_at=NOW - 30 * DAY)
    assert upkeep.work(Hint(PROBED.id, PROBED_KEY.account_id)) == [(PROBED_KEY, Answer("probed"))]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE


def test_an_end_that_cannot_be_written_is_said(upkeep: UpkeepWorld) -> None:
    upkeep.stands(PROBED_KEY, refresh=None, expires_at=NOW - DAY, expiring_at=NOW - DAY)

    def breaks(_: ProbeCall) -> Probe:
        upkeep.endings.broken["expire"] = DOWN
        return Probe.UNKNOWN

    upkeep.keeper.said = breaks
    assert refusal(lambda: upkeep.keep(due(PROBED_KEY))).reason is DOWN.reason
    upkeep.endings.broken.clear()
    assert upkeep.rest(PROBED_KEY).due_at == NOW + PROBE_SECONDS
    upkeep.clock.advance(PROBE_SECONDS)
    upkeep.keeper.said = Probe.UNKNOWN
    assert upkeep.keep(due(PROBED_KEY)).reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("late", [0, LATE_SECONDS, 30 * DAY])
def test_a_descriptor_restored_without_its_refresh_kills_nobody(upkeep: UpkeepWorld, late: int) -> None:
    """The rows keep their refresh tokens, and once the descriptor is mended they are used again."""
    upkeep.stands(expires_at=NOW - late)
    before, acme = upkeep.tokens(), upkeep.providers["acme"]
    upkeep.providers["acme"] = acme._replace(refresh=None)
    upkeep.keeper.said = Probe.UNKNOWN
    for _ in range(3):
        assert upkeep.keep(due(KEY)) == Answer("probed")
        upkeep.clock.advance(DAY)
    row = upkeep.row()
    assert (row.status, row.last_error, row.expiring_at) == (Status.ACTIVE, None, None)
    assert upkeep.tokens() == before
    upkeep.providers["acme"] = acme
    assert upkeep.keep(ASKED) == Answer("refreshed")


@pytest.mark.parametrize("cause", [Cause.READ, Cause.ASKED, Cause.UNAUTHORIZED, Cause.HINT])
def test_nobody_but_the_schedule_ends_it(upkeep: UpkeepWorld, cause: Cause) -> None:
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=NOW - LATE_SECONDS)
    upkeep.keep(Order(SILENT_KEY, SEEN, cause))
    assert upkeep.row(SILENT_KEY).status is Status.ACTIVE
    assert "expire" not in upkeep.journal


def test_what_was_renewed_meanwhile_is_not_ended(upkeep: UpkeepWorld) -> None:
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=NOW - LATE_SECONDS)
    upkeep.connections.change(SILENT_KEY, generation=3, version=6)
    before = upkeep.snapshot(SILENT_KEY)
    assert upkeep.keep(due(SILENT_KEY)) == Answer("skipped")
    assert upkeep.snapshot(SILENT_KEY) == before


def test_a_fault_of_the_table_ends_nothing_and_comes_again(upkeep: UpkeepWorld) -> None:
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=NOW - LATE_SECONDS)
    upkeep.endings.broken["expire"] = DOWN
    assert refusal(lambda: upkeep.keep(due(SILENT_KEY))).reason is DOWN.reason
    upkeep.endings.broken.clear()
    assert upkeep.keep(due(SILENT_KEY)).reason is Reason.TOKEN_EXPIRED


def test_a_whole_life_without_a_refresh_token(upkeep: UpkeepWorld) -> None:
    """Connected, told three days before its end, ended, and connected again."""
    upkeep.stands(SILENT_KEY, refresh=None, expires_at=NOW + 60 * DAY, due_at=NOW + 57 * DAY)
    upkeep.keeper.said = Probe.UNKNOWN
    said = []
    while (due_at := upkeep.rest(SILENT_KEY).due_at) is not None:
        upkeep.clock.now = due_at
        assert upkeep.sweep(SILENT).enqueued == 1
        ((_, answer),) = upkeep.deliver()
        said.append((int(upkeep.clock()) - NOW, answer))
    probed = Answer("probed")
    assert said == [
        (57 * DAY, TOLD),
        (57 * DAY + PROBE_EVERY_SECONDS, probed),
        (60 * DAY, probed),
        (60 * DAY + LATE_SECONDS, Answer("failed", Reason.TOKEN_EXPIRED)),
    ]
    upkeep.reconnects(SILENT_KEY)
    assert (upkeep.row(SILENT_KEY).status, upkeep.row(SILENT_KEY).last_error) == (Status.ACTIVE, None)


# A read refreshes at most once in three seconds.


def test_however_short_its_tokens_live_readers_refresh_once_in_three_seconds(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    provider_of(upkeep, lifetime=1)
    calls = []
    for _ in range(60):
        upkeep.refresh(Order(KEY, None, Cause.READ))
        calls.append(len(upkeep.keeper.refreshes))
        upkeep.clock.advance(1)
    assert [calls.index(number) for number in range(1, 7)] == [0, 3, 6, 9, 12, 15]
    assert calls[-1] == 20
