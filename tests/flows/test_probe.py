"""A round of probes: two 401s at least thirty seconds apart end a connection, anything else discards."""

from functools import partial
from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.provider import Probe
from mooring.core.upkeep import (
    CONFIRM_SECONDS,
    EXPIRING_SECONDS,
    LATE_SECONDS,
    PROBE_SECONDS,
    Answer,
    Cause,
    Confirm,
    Delayed,
    Order,
)
from mooring.flows.probe import NEVER_SECONDS, SECOND_LOOK_SECONDS, confirm, probe
from tests.core.signing import NOW
from tests.fakes.token_keeper import ProbeCall
from tests.flows.upkeep_world import DOWN, KEY, SEEN, SILENT, UpkeepWorld
from tests.flows.world import refusal

DAY = 86_400
PROBED_KEY = KEY._replace(provider="probed")
DUE = Order(PROBED_KEY, SEEN, Cause.DUE)
REFUSED = Answer("probed", Reason.TOKEN_REFUSED)
SECOND = Confirm(PROBED_KEY, SEEN, NOW, uninstall=False)


def stands(upkeep: UpkeepWorld, **changes: Any) -> None:
    upkeep.stands(PROBED_KEY, refresh=None, **{"expires_at": None, **changes})


def test_a_living_token_is_asked_for_once_in_six_hours(upkeep: UpkeepWorld) -> None:
    stands(upkeep, unauthorized_count=2, unauthorized_at=NOW - 100)
    before = upkeep.row(PROBED_KEY)
    assert upkeep.keep(DUE) == Answer("probed")
    assert upkeep.keeper.probes == [ProbeCall("probed", "canary-access-0", "shop-9")]
    rest = upkeep.rest(PROBED_KEY)
    assert (rest.probed_at, rest.due_at) == (NOW, NOW + 6 * 3_600)
    assert (rest.unauthorized_count, rest.unauthorized_at) == (0, None)
    assert upkeep.row(PROBED_KEY) == before
    assert upkeep.queue.messages == []


def test_one_401_proves_nothing(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    assert upkeep.keep(DUE) == REFUSED
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE
    assert upkeep.tokens(PROBED_KEY)[0] == "canary-access-0"
    assert upkeep.queue.messages == [Delayed(SECOND, CONFIRM_SECONDS + 1)]


def test_two_401s_end_it(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    upkeep.keep(DUE)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("failed", Reason.TOKEN_REFUSED))]
    row = upkeep.row(PROBED_KEY)
    assert (row.status, row.last_error) == (Status.NEEDS_RECONNECT, "token_refused")
    assert upkeep.rest(PROBED_KEY).due_at is None
    assert (len(upkeep.keeper.probes), upkeep.queue.messages) == (2, [])


def test_a_living_token_at_the_second_probe_discards_the_first(upkeep: UpkeepWorld) -> None:
    stands(upkeep, unauthorized_count=2, unauthorized_at=NOW - 100)
    upkeep.keeper.said = [Probe.REFUSED, Probe.LIVE]
    upkeep.keep(DUE)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE
    assert upkeep.queue.messages == []
    assert upkeep.rest(PROBED_KEY).unauthorized_count == 0


@pytest.mark.parametrize("verdict", [Probe.REFUSED, Probe.LIVE])
def test_a_second_probe_that_could_not_tell_is_asked_again(upkeep: UpkeepWorld, verdict: Probe) -> None:
    stands(upkeep, unauthorized_count=2, unauthorized_at=NOW - 100)
    upkeep.keeper.said = [Probe.REFUSED, Probe.UNKNOWN, Probe.UNKNOWN, verdict]
    upkeep.keep(DUE)
    for _ in range(2):
        assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
        assert upkeep.queue.messages == [Delayed(SECOND, SECOND_LOOK_SECONDS)]
        assert upkeep.rest(PROBED_KEY).unauthorized_count == 2
    upkeep.deliver()
    ended = verdict is Probe.REFUSED
    assert upkeep.row(PROBED_KEY).status is (Status.NEEDS_RECONNECT if ended else Status.ACTIVE)
    assert upkeep.queue.messages == []


def test_who_cannot_tell_for_ten_minutes_is_not_asked_any_more(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = lambda _: Probe.REFUSED if upkeep.clock() == NOW else Probe.UNKNOWN
    upkeep.keep(DUE)
    while upkeep.queue.messages:
        assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    assert PROBE_SECONDS - SECOND_LOOK_SECONDS < upkeep.clock() - NOW <= PROBE_SECONDS
    assert len(upkeep.keeper.probes) == 11
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE


def test_a_fault_of_the_provider_is_no_verdict(upkeep: UpkeepWorld) -> None:
    stands(upkeep, unauthorized_count=2, unauthorized_at=NOW - 100)
    upkeep.keeper.said = Probe.UNKNOWN
    assert upkeep.keep(DUE) == Answer("probed")
    assert upkeep.rest(PROBED_KEY).unauthorized_count == 2
    assert (upkeep.row(PROBED_KEY).status, upkeep.queue.messages) == (Status.ACTIVE, [])


def test_a_second_probe_that_comes_too_early_waits(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    upkeep.clock.advance(12)
    assert upkeep.work(SECOND) == [(PROBED_KEY, Answer("waiting"))]
    assert upkeep.keeper.probes == []
    assert upkeep.queue.messages == [Delayed(SECOND, CONFIRM_SECONDS - 12 + 1)]
    assert upkeep.deliver() == [(PROBED_KEY, Answer("failed", Reason.TOKEN_REFUSED))]


@pytest.mark.parametrize(("late", "ended"), [(CONFIRM_SECONDS - 1, False), (CONFIRM_SECONDS, True)])
def test_401s_must_span_thirty_seconds(upkeep: UpkeepWorld, late: int, ended: bool) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    upkeep.clock.advance(late)
    upkeep.work(SECOND)
    assert (upkeep.row(PROBED_KEY).status is Status.NEEDS_RECONNECT) is ended


@pytest.mark.parametrize(("late", "ended"), [(PROBE_SECONDS, True), (PROBE_SECONDS + 1, False)])
@pytest.mark.parametrize("uninstall", [True, False])
def test_401s_must_be_of_one_round(upkeep: UpkeepWorld, late: int, ended: bool, uninstall: bool) -> None:
    stands(upkeep, probed_at=NOW)
    upkeep.keeper.said = Probe.REFUSED
    upkeep.clock.advance(late)
    upkeep.work(SECOND._replace(uninstall=uninstall))
    gone = Status.UNINSTALLED if uninstall else Status.NEEDS_RECONNECT
    assert upkeep.row(PROBED_KEY).status is (gone if ended else Status.ACTIVE)


@pytest.mark.parametrize("uninstall", [True, False])
def test_a_401_of_three_days_ago_begins_a_new_round(upkeep: UpkeepWorld, uninstall: bool) -> None:
    """A message lives for four days, and may be put back into its queue by hand."""
    stands(upkeep, probed_at=NOW, due_at=NOW + 4 * DAY)
    upkeep.keeper.said = [Probe.REFUSED, Probe.LIVE]
    upkeep.clock.advance(3 * DAY)
    second = SECOND._replace(uninstall=uninstall)
    assert upkeep.work(second) == [(PROBED_KEY, REFUSED)]
    anew = second._replace(refused_at=NOW + 3 * DAY)
    assert upkeep.queue.messages == [Delayed(anew, CONFIRM_SECONDS + 1)]
    assert upkeep.rest(PROBED_KEY).due_at == NOW + 4 * DAY
    assert upkeep.deliver() == [(PROBED_KEY, Answer("probed"))]
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE


def test_of_many_old_401s_one_begins_a_round(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.clock.advance(3 * DAY)
    assert [upkeep.work(SECOND)[0][1].word for _ in range(3)] == ["probed", "skipped", "skipped"]
    assert len(upkeep.keeper.probes) == 1


def test_an_old_401_that_could_ask_nobody_is_left_to_the_schedule(upkeep: UpkeepWorld) -> None:
    stands(upkeep, due_at=NOW + 4 * DAY)
    upkeep.clock.advance(3 * DAY)
    upkeep.sealer.broken.update(open=DOWN)
    assert refusal(lambda: upkeep.work(SECOND)).reason is DOWN.reason
    assert upkeep.rest(PROBED_KEY).due_at == NOW + 3 * DAY + PROBE_SECONDS


def test_a_clock_that_goes_back_ends_nothing(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    upkeep.clock.advance(-5)
    assert upkeep.work(SECOND) == [(PROBED_KEY, Answer("waiting"))]
    assert upkeep.queue.messages == [Delayed(SECOND, CONFIRM_SECONDS + 5 + 1)]


def test_at_most_one_round_in_ten_minutes(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    assert upkeep.keep(DUE) == Answer("probed")
    upkeep.clock.advance(PROBE_SECONDS - 1)
    assert upkeep.keep(DUE) == Answer("skipped")
    assert len(upkeep.keeper.probes) == 1
    upkeep.clock.advance(1)
    assert upkeep.keep(DUE) == Answer("probed")
    assert len(upkeep.keeper.probes) == 2


@pytest.mark.parametrize(
    "changes",
    [{"generation": 3}, {"version": 6}, *({"status": status} for status in Status if status != "active")],
)
def test_what_is_not_as_it_was_seen_is_not_asked_for(upkeep: UpkeepWorld, changes: dict[str, Any]) -> None:
    stands(upkeep, **changes)
    before = upkeep.snapshot(PROBED_KEY)
    upkeep.clock.advance(60)
    assert upkeep.keep(DUE).word in ("skipped", "fresh")
    assert upkeep.work(SECOND) == [(PROBED_KEY, Answer("skipped"))]
    assert (upkeep.keeper.probes, upkeep.queue.messages) == ([], [])
    assert upkeep.snapshot(PROBED_KEY) == before


def test_a_reconnect_between_the_probes_leaves_nothing_of_the_suspicion(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    assert upkeep.keep(DUE) == REFUSED
    upkeep.clock.advance(5)
    upkeep.reconnects(PROBED_KEY)
    assert upkeep.deliver() == [(PROBED_KEY, Answer("skipped"))]
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE
    assert len(upkeep.keeper.probes) == 1


def test_a_reconnect_during_the_second_probe_stands(upkeep: UpkeepWorld) -> None:
    stands(upkeep)

    def reconnects(_: ProbeCall) -> Probe:
        upkeep.reconnects(PROBED_KEY)
        return Probe.REFUSED

    upkeep.keeper.said = reconnects
    upkeep.clock.advance(60)
    assert upkeep.work(SECOND) == [(PROBED_KEY, Answer("skipped"))]
    row = upkeep.row(PROBED_KEY)
    assert (row.status, row.generation) == (Status.ACTIVE, 3)


def test_a_second_message_of_the_same_round_ends_nothing_twice(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    upkeep.clock.advance(60)
    assert upkeep.work(SECOND)[0][1].reason is Reason.TOKEN_REFUSED
    before = upkeep.snapshot(PROBED_KEY)
    upkeep.clock.advance(1)
    assert upkeep.work(SECOND) == [(PROBED_KEY, Answer("skipped"))]
    assert upkeep.snapshot(PROBED_KEY) == before


def test_a_token_that_does_not_open_is_not_sent_and_ends_nothing(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    for reason in (Reason.SEALING_UNAVAILABLE, Reason.KEY_DENIED, Reason.TOKEN_UNREADABLE):
        upkeep.clock.advance(PROBE_SECONDS)
        upkeep.sealer.broken["open"] = Failure(reason)
        assert refusal(lambda: upkeep.keep(DUE)).reason is reason
        second = SECOND._replace(refused_at=int(upkeep.clock()) - CONFIRM_SECONDS)
        assert refusal(partial(upkeep.work, second)).reason is reason
    assert upkeep.keeper.probes == []
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE


def test_an_active_row_without_a_token_is_not_asked_for(upkeep: UpkeepWorld) -> None:
    stands(upkeep, access=None)
    upkeep.clock.advance(60)
    assert upkeep.keep(DUE) == Answer("skipped")
    assert upkeep.work(SECOND) == [(PROBED_KEY, Answer("skipped"))]
    assert upkeep.keeper.probes == []


def test_without_the_table_nobody_is_asked(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.endings.broken["probing"] = DOWN
    assert refusal(lambda: upkeep.keep(DUE)).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.keeper.probes == []


def test_a_second_probe_that_cannot_be_queued_is_said(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    upkeep.queue.room = 0
    assert refusal(lambda: upkeep.keep(DUE)).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.row(PROBED_KEY).status is Status.ACTIVE


def test_probes_do_not_all_fall_due_together(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.jitter = 1.0
    upkeep.keep(DUE)
    assert upkeep.rest(PROBED_KEY).due_at == NOW + 6 * 3_600 * 3 // 4


@pytest.mark.parametrize(
    ("ends_in", "looks_in"),
    [
        (EXPIRING_SECONDS + 60, 60),
        (EXPIRING_SECONDS + 1, 1),
        (EXPIRING_SECONDS, 6 * 3_600),
        (6 * 3_600, 6 * 3_600),
        (90, 90),
        (1, 1),
        (0, LATE_SECONDS),
        (1 - LATE_SECONDS, 1),
        (-LATE_SECONDS, 6 * 3_600),
        (-18 * 3_600, 6 * 3_600),
        (1 - DAY, 1),
        (-DAY, 6 * 3_600),
        (-NEVER_SECONDS, 6 * 3_600),
        (NEVER_SECONDS + 1, 6 * 3_600),
        (None, 6 * 3_600),
    ],
)
def test_a_round_reminds_of_the_next_moment_of_an_end(
    upkeep: UpkeepWorld, ends_in: int | None, looks_in: int
) -> None:
    """Three days before, at the end, ten minutes and a day later; else the schedule stands."""
    stands(upkeep, expires_at=None if ends_in is None else NOW + ends_in)
    ports = upkeep.work_ports().probe
    assert upkeep.hear(lambda: probe(PROBED_KEY, SEEN, ports)) == Answer("probed")
    assert upkeep.rest(PROBED_KEY).due_at == NOW + looks_in


def test_a_round_that_dies_after_its_first_write_hides_no_end(upkeep: UpkeepWorld) -> None:
    """A message that comes again is refused by the round that it began itself."""
    key = KEY._replace(provider="silent")
    upkeep.stands(key, refresh=None, expires_at=NOW, due_at=NOW, expiring_at=NOW)
    upkeep.endings.broken["remind"] = DOWN
    upkeep.sealer.broken["open"] = DOWN
    due = Order(key, SEEN, Cause.DUE)
    assert refusal(lambda: upkeep.keep(due)).reason is DOWN.reason
    upkeep.sealer.broken.clear()
    upkeep.clock.advance(180)
    assert upkeep.keep(due) == Answer("skipped")
    assert upkeep.rest(key).due_at == NOW + LATE_SECONDS
    upkeep.clock.advance(LATE_SECONDS)
    assert upkeep.sweep(SILENT).enqueued == 1
    assert upkeep.deliver() == [(key, Answer("failed", Reason.TOKEN_EXPIRED))]


def test_a_descriptor_that_lost_its_probe_leaves_nothing_due_for_ever(upkeep: UpkeepWorld) -> None:
    key = KEY._replace(provider="silent")
    upkeep.stands(key, refresh=None, expires_at=None)
    upkeep.keeper.said = Probe.UNKNOWN
    assert upkeep.keep(Order(key, SEEN, Cause.DUE)) == Answer("probed")
    assert upkeep.rest(key).due_at == NOW + NEVER_SECONDS
    assert upkeep.sweep(SILENT).enqueued == 0


def test_the_second_probe_keeps_the_schedule(upkeep: UpkeepWorld) -> None:
    stands(upkeep, due_at=NOW + 999)
    upkeep.keeper.said = Probe.LIVE
    upkeep.clock.advance(60)
    ports = upkeep.work_ports().probe
    assert upkeep.hear(lambda: confirm(SECOND, ports)) == Answer("probed")
    assert upkeep.rest(PROBED_KEY).due_at == NOW + 999


def test_a_round_that_could_ask_nobody_comes_again_in_ten_minutes(upkeep: UpkeepWorld) -> None:
    stands(upkeep, due_at=NOW)
    upkeep.sealer.broken.update(open=DOWN)
    assert refusal(lambda: upkeep.keep(DUE)).reason is DOWN.reason
    assert upkeep.rest(PROBED_KEY).due_at == NOW + PROBE_SECONDS
    assert upkeep.keeper.probes == []
