"""Reports of a 401 by services: refreshed where that is possible, else counted, and never simply believed."""

from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.provider import Probe
from mooring.core.upkeep import REPORT_SECONDS, REPORTS_SECONDS, Answer, Cause, Key, Order, Seen
from tests.core.signing import NOW
from tests.fakes.token_keeper import ProbeCall
from tests.flows.upkeep_world import DOWN, KEY, LIFETIME, LOST, SEEN, UpkeepWorld, provider_of
from tests.flows.world import refusal

PROBED = KEY._replace(provider="probed")
SILENT = KEY._replace(provider="silent")
TWICE: dict[str, Any] = {"unauthorized_count": 2, "unauthorized_at": NOW - REPORT_SECONDS}
"""Two reports were counted, the last one a minute ago."""
DEAD = Answer("failed", Reason.TOKEN_REFUSED)


def stands(upkeep: UpkeepWorld, key: Key = PROBED, **changes: Any) -> None:
    upkeep.stands(key, refresh=None, **{"expires_at": None, **changes})


def report(upkeep: UpkeepWorld, key: Key = PROBED, seen: Seen | None = SEEN) -> Answer:
    return upkeep.keep(Order(key, seen, Cause.UNAUTHORIZED))


def reports(upkeep: UpkeepWorld, count: int, key: Key = PROBED) -> list[Answer]:
    """So many reports, a minute apart."""
    answers = []
    for _ in range(count):
        answers.append(report(upkeep, key))
        upkeep.clock.advance(REPORT_SECONDS)
    return answers


def test_two_reports_only_count(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    before = upkeep.row(PROBED)
    assert reports(upkeep, 2) == [Answer("reported")] * 2
    assert (upkeep.rest(PROBED).unauthorized_count, upkeep.row(PROBED)) == (2, before)
    assert upkeep.keeper.probes == []


def test_the_third_asks_the_probe_which_may_end_it(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = Probe.REFUSED
    assert reports(upkeep, 3) == [Answer("reported"), Answer("reported"), DEAD]
    row = upkeep.row(PROBED)
    assert (row.status, row.last_error) == (Status.NEEDS_RECONNECT, "token_refused")
    assert len(upkeep.keeper.probes) == 1


def test_a_probe_that_succeeds_begins_the_count_again(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    assert reports(upkeep, 3)[2] == Answer("probed")
    assert upkeep.rest(PROBED).unauthorized_count == 0
    assert reports(upkeep, 2) == [Answer("reported")] * 2
    assert upkeep.row(PROBED).status is Status.ACTIVE


def test_a_probe_that_finds_nothing_out_is_asked_again_by_the_next_report(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.said = [Probe.UNKNOWN, Probe.REFUSED]
    assert reports(upkeep, 4) == [*[Answer("reported")] * 3, DEAD]


def test_without_a_probe_the_third_report_ends_it(upkeep: UpkeepWorld) -> None:
    stands(upkeep, SILENT)
    assert reports(upkeep, 3, SILENT) == [Answer("reported"), Answer("reported"), DEAD]
    assert upkeep.row(SILENT).status is Status.NEEDS_RECONNECT
    assert upkeep.keeper.probes == []


@pytest.mark.parametrize("key", [PROBED, SILENT])
def test_a_flood_of_reports_counts_as_one_a_minute(upkeep: UpkeepWorld, key: Key) -> None:
    stands(upkeep, key)
    upkeep.keeper.said = Probe.REFUSED
    words = [report(upkeep, key).word]
    for _ in range(9):
        upkeep.clock.advance(6.5)
        words.append(report(upkeep, key).word)
    assert words == ["reported", *["skipped"] * 9]
    assert upkeep.row(key).status is Status.ACTIVE


@pytest.mark.parametrize("key", [PROBED, SILENT])
@pytest.mark.parametrize(("ago", "counted"), [(REPORTS_SECONDS - 1, 3), (REPORTS_SECONDS, 1)])
def test_only_reports_in_a_row_speak_of_a_dead_token(
    upkeep: UpkeepWorld, key: Key, ago: int, counted: int
) -> None:
    stands(upkeep, key, unauthorized_count=2, unauthorized_at=NOW - ago)
    upkeep.keeper.said = Probe.REFUSED
    assert report(upkeep, key) == (DEAD if counted == 3 else Answer("reported"))
    if counted == 1:
        assert (upkeep.rest(key).unauthorized_count, upkeep.rest(key).unauthorized_at) == (1, NOW)
        assert upkeep.row(key).status is Status.ACTIVE


def test_one_report_an_hour_never_ends_anything(upkeep: UpkeepWorld) -> None:
    stands(upkeep, SILENT)
    for _ in range(10):
        assert report(upkeep, SILENT) == Answer("reported")
        upkeep.clock.advance(3_600)
    assert upkeep.row(SILENT).status is Status.ACTIVE


@pytest.mark.parametrize("seen", [Seen(1, 5), Seen(2, 4), Seen(3, 6), Seen(2, 6)])
def test_what_is_said_of_another_version_is_ignored(upkeep: UpkeepWorld, seen: Seen) -> None:
    stands(upkeep)
    before = upkeep.snapshot(PROBED)
    assert report(upkeep, seen=seen).word in ("skipped", "fresh")
    assert upkeep.snapshot(PROBED) == before


def test_a_report_about_no_version_is_ignored(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    before = upkeep.snapshot(PROBED)
    assert report(upkeep, seen=None) == Answer("skipped")
    assert upkeep.snapshot(PROBED) == before


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_what_is_not_active_is_not_reported(upkeep: UpkeepWorld, status: Status) -> None:
    stands(upkeep, status=status, **TWICE)
    before = upkeep.snapshot(PROBED)
    assert report(upkeep).word == "skipped"
    assert upkeep.snapshot(PROBED) == before


def test_a_reconnect_while_the_third_report_is_looked_into_stands(upkeep: UpkeepWorld) -> None:
    stands(upkeep, **TWICE)

    def reconnects(_: ProbeCall) -> Probe:
        upkeep.reconnects(PROBED)
        return Probe.REFUSED

    upkeep.keeper.said = reconnects
    assert report(upkeep) == Answer("skipped")
    row = upkeep.row(PROBED)
    assert (row.status, row.generation) == (Status.ACTIVE, 3)


def test_a_row_that_changes_between_the_count_and_the_probe_is_not_asked_for(upkeep: UpkeepWorld) -> None:
    stands(upkeep, **TWICE, access=None)
    assert report(upkeep) == Answer("skipped")
    assert upkeep.keeper.probes == []


@pytest.mark.parametrize(
    "failure",
    [Failure(Reason.SEALING_UNAVAILABLE), Failure(Reason.KEY_DENIED), Failure(Reason.TOKEN_UNREADABLE)],
)
def test_a_fault_of_ours_ends_nothing(upkeep: UpkeepWorld, failure: Failure) -> None:
    stands(upkeep, **TWICE)
    upkeep.sealer.broken["open"] = failure
    assert refusal(lambda: report(upkeep)).reason is failure.reason
    assert upkeep.row(PROBED).status is Status.ACTIVE


def test_without_the_table_nothing_is_counted(upkeep: UpkeepWorld) -> None:
    stands(upkeep, **TWICE)
    upkeep.endings.broken["report"] = DOWN
    assert refusal(lambda: report(upkeep)).reason is Reason.STORAGE_UNAVAILABLE
    assert upkeep.keeper.probes == []


# Where there is a refresh token, a report refreshes.


def test_a_report_refreshes_at_once(upkeep: UpkeepWorld) -> None:
    upkeep.stands(due_at=NOW + 900, expires_at=NOW + 1_800)
    provider_of(upkeep)
    assert report(upkeep, KEY) == Answer("refreshed")
    assert upkeep.row().version == 6
    assert upkeep.rest().unauthorized_count == 0


def test_at_most_one_refresh_a_minute_is_driven_by_reports(upkeep: UpkeepWorld) -> None:
    upkeep.stands(issued_at=NOW - LIFETIME)
    acting = provider_of(upkeep)
    assert report(upkeep, KEY) == Answer("refreshed")
    upkeep.clock.advance(REPORT_SECONDS - 1)
    assert report(upkeep, KEY, Seen(2, 6)) == Answer("fresh", None, NOW + REPORT_SECONDS)
    assert report(upkeep, KEY) == Answer("fresh")
    assert acting.calls == 1
    upkeep.clock.advance(1)
    assert report(upkeep, KEY, Seen(2, 6)) == Answer("refreshed")


def test_a_report_of_a_dead_grant_finds_that_out(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = LOST
    assert report(upkeep, KEY) == Answer("failed", Reason.GRANT_REFUSED)
    assert upkeep.row().status is Status.NEEDS_RECONNECT
