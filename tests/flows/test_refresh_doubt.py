"""The answer was lost: the attempt stays noted, two minutes pass, the token is tried once more."""

import pytest

from mooring.core.connection import Status
from mooring.core.errors import ALARMS, Failure, Outcome, Reason
from mooring.core.provider import Provider
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import DOUBT_SECONDS, LEASE_SECONDS, Answer, Cause, Order, Seen
from tests.core.signing import NOW
from tests.fakes.token_keeper import RefreshCall
from tests.flows.upkeep_world import (
    DOWN,
    EAGER,
    IN_DOUBT,
    KEY,
    LOST,
    NEVER,
    SEEN,
    SOMETIMES,
    TRANSIENT,
    UpkeepWorld,
    failing,
    provider_of,
)
from tests.flows.world import refusal

EVERY_CAUSE = [*Cause]


def order(provider: Provider = EAGER, cause: Cause = Cause.DUE) -> Order:
    return Order(KEY._replace(provider=provider.id), SEEN, cause)


@pytest.mark.parametrize("provider", [EAGER, SOMETIMES])
def test_a_lost_answer_leaves_a_marker_and_rings(upkeep: UpkeepWorld, provider: Provider) -> None:
    key = upkeep.stands(KEY._replace(provider=provider.id))
    upkeep.keeper.tokens = IN_DOUBT
    answer = upkeep.refresh(order(provider))
    assert answer == Answer("failed", Reason.REFRESH_IN_DOUBT, NOW + DOUBT_SECONDS)
    assert ALARMS[Reason.REFRESH_IN_DOUBT] == "RefreshInDoubt"
    row, rest = upkeep.row(key), upkeep.rest(key)
    assert (row.status, row.last_error, row.version) == (Status.ACTIVE, "provider_timeout", 5)
    assert (rest.attempts, rest.attempt_at, rest.lease_owner) == (("attempt-1",), NOW, "")
    assert rest.retry_at == rest.due_at == NOW + DOUBT_SECONDS
    assert len(upkeep.keeper.refreshes) == 1


def test_where_nothing_rotates_a_lost_answer_is_no_doubt(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="never"))
    acting = provider_of(upkeep, rotates=False)
    acting.losing = 1
    answer = upkeep.refresh(order(NEVER))
    assert answer == Answer("failed", Reason.PROVIDER_TIMEOUT, NOW + 15)
    assert upkeep.rest(key).attempts == ()
    upkeep.clock.advance(15)
    assert upkeep.refresh(order(NEVER)) == Answer("refreshed")
    assert upkeep.tokens(key) == ("access-2", "canary-refresh-0")


@pytest.mark.parametrize("cause", EVERY_CAUSE)
def test_for_two_minutes_nobody_tries_whatever_the_cause(upkeep: UpkeepWorld, cause: Cause) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [IN_DOUBT]
    upkeep.refresh()
    for _ in range(2):
        answer = upkeep.refresh(order(cause=cause))
        assert answer == Answer("waiting", Reason.REFRESH_IN_DOUBT, NOW + DOUBT_SECONDS)
        upkeep.clock.advance(DOUBT_SECONDS - 1 - (upkeep.clock() - NOW))
    assert len(upkeep.keeper.refreshes) == 1


def test_after_two_minutes_the_old_token_is_tried_once_and_may_work(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep, grace=600)
    acting.losing = 1
    upkeep.refresh()
    upkeep.clock.advance(DOUBT_SECONDS)
    assert upkeep.refresh() == Answer("refreshed")
    assert [call.refresh_token for call in upkeep.keeper.refreshes] == ["canary-refresh-0"] * 2
    assert upkeep.tokens() == ("access-2", "refresh-2")
    assert (upkeep.rest().attempts, upkeep.rest().attempt_at, upkeep.rest().failures) == ((), None, 0)


def test_only_a_refusal_of_the_old_token_is_a_lost_rotation(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)
    acting.losing = 1
    upkeep.refresh()
    upkeep.clock.advance(DOUBT_SECONDS)
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)
    assert ALARMS[Reason.LOST_ROTATION] == "LostRotation"
    row, rest = upkeep.row(), upkeep.rest()
    assert (row.status, row.last_error) == (Status.NEEDS_RECONNECT, "lost_rotation")
    assert (rest.attempts, rest.due_at, rest.lease_owner) == (("attempt-1", "attempt-2"), None, "")
    assert acting.calls == 2


@pytest.mark.parametrize("failure", [IN_DOUBT, TRANSIENT, failing(Outcome.MISCONFIGURED)])
def test_anything_else_leaves_the_doubt_as_it_was(upkeep: UpkeepWorld, failure: Failure) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [IN_DOUBT, failure, LOST]
    upkeep.refresh()
    upkeep.clock.advance(DOUBT_SECONDS)
    until = upkeep.refresh().until
    assert upkeep.row().status is Status.ACTIVE
    assert upkeep.rest().attempts[0] == "attempt-1"
    upkeep.clock.now = max(until, NOW + 2 * DOUBT_SECONDS)
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)


def test_an_unknown_refusal_or_a_fault_of_ours_never_ends_what_is_in_doubt(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [IN_DOUBT]
    upkeep.refresh()
    upkeep.sealer.broken["open"] = Failure(Reason.SEALING_UNAVAILABLE)
    for _ in range(5):
        upkeep.clock.advance(300)
        assert upkeep.refresh().reason is Reason.SEALING_UNAVAILABLE
    assert upkeep.row().status is Status.ACTIVE
    assert upkeep.rest().attempts == ("attempt-1",)
    assert len(upkeep.keeper.refreshes) == 1


def test_a_doubt_about_a_living_grant_is_settled_by_the_recovery_queue(upkeep: UpkeepWorld) -> None:
    """The table was away for longer than two minutes, and the token was given up meanwhile."""
    upkeep.stands()
    acting = provider_of(upkeep)
    upkeep.leases.broken["store"] = DOWN
    assert upkeep.refresh().reason is Reason.STORE_DELAYED
    upkeep.leases.broken.clear()
    upkeep.clock.advance(DOUBT_SECONDS)
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)
    assert upkeep.row().status is Status.NEEDS_RECONNECT
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    assert (upkeep.row().status, upkeep.row().last_error) == (Status.ACTIVE, None)
    assert upkeep.tokens() == ("access-1", acting.refresh_token)
    assert (upkeep.rest().attempts, upkeep.rest().written_by) == ((), "attempt-1")
    assert upkeep.refresh(Order(KEY, Seen(2, 6), Cause.READ)) == Answer("refreshed")


@pytest.mark.parametrize("ending", ["disconnect", "uninstall", "reconnect"])
def test_what_was_given_up_and_then_ended_is_not_recovered(upkeep: UpkeepWorld, ending: str) -> None:
    upkeep.stands()
    provider_of(upkeep)
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.leases.broken.clear()
    upkeep.clock.advance(DOUBT_SECONDS)
    upkeep.refresh()
    if ending == "reconnect":
        upkeep.reconnects()
    else:
        getattr(upkeep.endings, ending)(KEY, *([NOW] if ending == "uninstall" else []), NOW)
    before = upkeep.snapshot()
    assert upkeep.recover() == [(KEY, Answer("skipped"))]
    assert upkeep.snapshot() == before


def test_a_grant_that_was_refused_without_any_doubt_is_not_recovered(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.endings.refused(KEY, SEEN, Reason.TOKEN_REFUSED, NOW, uninstall=False)
    assert acting.issued == 1
    before = upkeep.snapshot()
    assert upkeep.recover() == [(KEY, Answer("skipped"))]
    assert upkeep.snapshot() == before


def test_a_process_that_died_in_its_call_is_a_doubt(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)

    def dies() -> None:
        raise SystemExit

    acting.during = dies
    with pytest.raises(SystemExit):
        upkeep.refresh()
    acting.during = lambda: None
    assert upkeep.rest().lease_owner == "attempt-1"
    upkeep.clock.advance(LEASE_SECONDS)
    assert upkeep.refresh() == Answer("waiting", Reason.REFRESH_IN_DOUBT, NOW + DOUBT_SECONDS)
    upkeep.clock.advance(DOUBT_SECONDS - LEASE_SECONDS)
    assert upkeep.refresh() == Answer("refreshed")


def test_the_doubt_counts_from_the_call_and_the_next_try_never_comes_sooner(upkeep: UpkeepWorld) -> None:
    upkeep.stands()

    def answer(_: RefreshCall) -> TokenSet:
        upkeep.clock.advance(10)
        raise IN_DOUBT

    upkeep.keeper.tokens = answer
    assert upkeep.refresh().until == NOW + DOUBT_SECONDS
    assert upkeep.rest().retry_at == NOW + 10 + DOUBT_SECONDS


def test_attempts_do_not_grow_without_end(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = IN_DOUBT
    for _ in range(25):
        assert upkeep.refresh().reason is Reason.REFRESH_IN_DOUBT
        upkeep.clock.advance(300)
    assert len(upkeep.rest().attempts) == 20
    assert upkeep.rest().attempts[-1] == "attempt-25"
    assert upkeep.row().status is Status.ACTIVE


def test_a_lost_answer_about_another_account_is_a_doubt_too(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)

    def other(call: RefreshCall) -> TokenSet:
        return acting.refresh(call)._replace(account_id="shop-1")

    upkeep.keeper.tokens = other
    assert refusal(upkeep.refresh).reason is Reason.ACCOUNT_MISMATCH
    assert upkeep.refresh().reason is Reason.REFRESH_IN_DOUBT
    upkeep.clock.advance(DOUBT_SECONDS)
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)
