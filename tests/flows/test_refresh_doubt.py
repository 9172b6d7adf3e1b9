"""The answer was lost: two minutes pass, somebody looks, and the token is tried once more a little later."""

import pytest

from mooring.core.connection import Status
from mooring.core.errors import ALARMS, Failure, Outcome, Reason
from mooring.core.provider import Provider
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import DOUBT_SECONDS, LEASE_SECONDS, Answer, Cause, Order, Seen
from mooring.flows.refresh import LOOK_SECONDS
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import (
    BROKEN,
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


def test_after_two_minutes_somebody_looks_and_calls_nobody(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [IN_DOUBT]
    upkeep.refresh()
    upkeep.clock.advance(DOUBT_SECONDS)
    before, until = upkeep.journal[:], NOW + DOUBT_SECONDS + LOOK_SECONDS
    assert upkeep.refresh() == Answer("waiting", Reason.REFRESH_IN_DOUBT, until)
    assert upkeep.journal == [*before, "known", "lease", "put_off"]
    row, rest = upkeep.row(), upkeep.rest()
    assert (row.status, row.version, row.last_error) == (Status.ACTIVE, 5, "refresh_in_doubt")
    assert (rest.attempts, rest.attempt_at, rest.lease_owner) == (("attempt-1",), None, "")
    assert rest.retry_at == rest.due_at == until
    assert upkeep.refresh() == Answer("waiting", Reason.REFRESH_PUT_OFF, until)
    upkeep.clock.advance(LOOK_SECONDS - 1)
    assert upkeep.refresh().word == "waiting"
    assert len(upkeep.keeper.refreshes) == 1


@pytest.mark.parametrize("cause", EVERY_CAUSE)
def test_whatever_the_cause_somebody_looks_first(upkeep: UpkeepWorld, cause: Cause) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [IN_DOUBT]
    upkeep.refresh()
    upkeep.doubt_passes(order(cause=cause))
    upkeep.keeper.tokens = [LOST]
    assert upkeep.refresh(order(cause=cause)) == Answer("failed", Reason.LOST_ROTATION)


def test_a_look_that_cannot_be_noted_is_made_again(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep, grace=600)
    acting.losing = 1
    upkeep.refresh()
    upkeep.clock.advance(DOUBT_SECONDS)
    upkeep.leases.broken["put_off"] = DOWN
    assert refusal(upkeep.refresh).reason is Reason.STORAGE_UNAVAILABLE
    upkeep.leases.broken.clear()
    assert upkeep.refresh().word == "busy"
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("refreshed")
    assert acting.calls == 2


def test_between_the_look_and_the_call_the_recovery_queue_wins(upkeep: UpkeepWorld) -> None:
    """What kept the answer from the table may have kept its message from it, too, until just now."""
    upkeep.stands()
    acting = provider_of(upkeep, revokes=True)
    upkeep.leases.broken["store"] = DOWN
    assert upkeep.refresh().reason is Reason.STORE_DELAYED
    upkeep.leases.broken["recover"] = DOWN
    assert refusal(upkeep.recover).reason is Reason.STORAGE_UNAVAILABLE
    upkeep.leases.broken.clear()
    upkeep.clock.advance(DOUBT_SECONDS)
    assert upkeep.refresh().word == "waiting"
    upkeep.clock.advance(LOOK_SECONDS // 2)
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    upkeep.clock.advance(LOOK_SECONDS)
    assert upkeep.refresh() == Answer("fresh")
    assert upkeep.tokens() == ("access-1", "refresh-1")
    assert (acting.calls, acting.ended, upkeep.rest().attempts) == (1, False, ())


def test_where_nothing_rotates_nobody_looks(upkeep: UpkeepWorld) -> None:
    """The answer that was lost is worth nothing: the token that was sent is the token."""
    key = upkeep.stands(KEY._replace(provider="never"), attempts=("x",), attempt_at=NOW - 10)
    provider_of(upkeep, rotates=False)
    assert upkeep.refresh(order(NEVER)) == Answer("refreshed")
    assert upkeep.rest(key).attempts == ()


def test_then_the_old_token_is_tried_once_and_may_work(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep, grace=600)
    acting.losing = 1
    upkeep.refresh()
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("refreshed")
    assert [call.refresh_token for call in upkeep.keeper.refreshes] == ["canary-refresh-0"] * 2
    assert upkeep.tokens() == ("access-2", "refresh-2")
    assert (upkeep.rest().attempts, upkeep.rest().attempt_at, upkeep.rest().failures) == ((), None, 0)


def test_only_a_refusal_of_the_old_token_is_a_lost_rotation(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)
    acting.losing = 1
    upkeep.refresh()
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)
    assert ALARMS[Reason.LOST_ROTATION] == "LostRotation"
    row, rest = upkeep.row(), upkeep.rest()
    assert (row.status, row.last_error) == (Status.NEEDS_RECONNECT, "lost_rotation")
    assert (rest.attempts, rest.due_at, rest.lease_owner) == (("attempt-1",), None, "")
    assert acting.calls == 2


@pytest.mark.parametrize("failure", [IN_DOUBT, BROKEN, TRANSIENT, failing(Outcome.MISCONFIGURED)])
def test_anything_else_leaves_the_doubt_as_it_was(upkeep: UpkeepWorld, failure: Failure) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [IN_DOUBT, failure, LOST]
    upkeep.refresh()
    upkeep.doubt_passes()
    until = upkeep.refresh().until
    upkeep.circuits.circuits.clear()  # somebody mended what a provider refuses us for
    assert upkeep.row().status is Status.ACTIVE
    maybe_answered = failure in (IN_DOUBT, BROKEN)
    assert upkeep.rest().attempts == ("attempt-1", *(["attempt-3"] if maybe_answered else []))
    if failure is IN_DOUBT:
        upkeep.doubt_passes()
    else:  # it was looked at already, and no answer is on its way
        upkeep.clock.now = until
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)


# The provider failed, and may have issued a token all the same.


@pytest.mark.parametrize("provider", [EAGER, SOMETIMES])
def test_a_broken_answer_stays_noted_and_is_not_waited_for(upkeep: UpkeepWorld, provider: Provider) -> None:
    key = upkeep.stands(KEY._replace(provider=provider.id))
    upkeep.keeper.tokens = [BROKEN, REFRESHED]
    answer = upkeep.refresh(order(provider))
    assert answer == Answer("failed", Reason.PROVIDER_UNAVAILABLE, NOW + 15, "HTTP 503")
    rest = upkeep.rest(key)
    assert (rest.attempts, rest.attempt_at, rest.lease_owner) == (("attempt-1",), None, "")
    assert rest.retry_at == rest.due_at == NOW + 15
    upkeep.clock.advance(15)
    assert upkeep.refresh(order(provider)) == Answer("refreshed")
    assert upkeep.rest(key).attempts == ()


def test_a_grant_that_is_refused_after_a_broken_answer_is_a_lost_rotation(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)

    def broken(call: RefreshCall) -> TokenSet:
        acting.refresh(call)
        raise BROKEN

    upkeep.keeper.tokens = broken
    upkeep.refresh()
    upkeep.keeper.tokens = acting.refresh
    upkeep.clock.advance(15)
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)
    assert (upkeep.row().status, acting.calls) == (Status.NEEDS_RECONNECT, 2)


def test_after_a_broken_answer_only_a_lost_one_is_waited_for(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [BROKEN, IN_DOUBT, REFRESHED]
    upkeep.refresh()
    upkeep.clock.advance(15)
    assert upkeep.refresh().reason is Reason.REFRESH_IN_DOUBT
    assert upkeep.rest().attempts == ("attempt-1", "attempt-2")
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("refreshed")


def test_where_nothing_rotates_a_broken_answer_is_no_doubt(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="never"))
    upkeep.keeper.tokens = [BROKEN, LOST]
    upkeep.refresh(order(NEVER))
    assert upkeep.rest(key).attempts == ()
    upkeep.clock.advance(15)
    assert upkeep.refresh(order(NEVER)) == Answer("failed", Reason.GRANT_REFUSED)


# What a doubt outlives.


def test_an_unknown_refusal_or_a_fault_of_ours_never_ends_what_is_in_doubt(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [IN_DOUBT]
    upkeep.refresh()
    upkeep.doubt_passes()
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
    upkeep.doubt_passes()
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
    upkeep.doubt_passes()
    assert upkeep.refresh().reason is Reason.LOST_ROTATION
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
    upkeep.clock.now = NOW
    upkeep.doubt_passes()
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
        for word in ("failed", "waiting"):
            assert upkeep.refresh(order(cause=Cause.ASKED)).word == word
            upkeep.clock.advance(300)
    assert len(upkeep.keeper.refreshes) == 25
    assert len(upkeep.rest().attempts) == 20
    assert upkeep.rest().attempts[-1] == "attempt-49"
    assert upkeep.row().status is Status.ACTIVE


def test_a_lost_answer_about_another_account_is_a_doubt_too(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)

    def other(call: RefreshCall) -> TokenSet:
        return acting.refresh(call)._replace(account_id="shop-1")

    upkeep.keeper.tokens = other
    assert refusal(upkeep.refresh).reason is Reason.ACCOUNT_MISMATCH
    assert upkeep.refresh().reason is Reason.REFRESH_IN_DOUBT
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)
