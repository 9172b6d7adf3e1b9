"""What follows from each outcome of a failed token call; and that no fault of ours ends a connection."""

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.provider import Provider
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import Answer, Cause, Circuit, Order
from mooring.flows.refresh import refresh
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import (
    DOWN,
    EAGER,
    IN_DOUBT,
    KEY,
    LOST,
    MISCONFIGURED,
    NEVER,
    SEEN,
    SOMETIMES,
    TRANSIENT,
    UpkeepWorld,
    failing,
)

SECRET = "canary-client-secret-of-acme"
TRIAL = Order(KEY, SEEN, Cause.DUE, trial=True)
CLOSED = Circuit("acme", "provider_misconfigured", NOW - 60, closed_at=NOW)


def secrets_sent(upkeep: UpkeepWorld) -> list[str]:
    return [call.client_secret for call in upkeep.keeper.refreshes]


def lives_on(upkeep: UpkeepWorld) -> bool:
    """Whether nothing happened to it but a pause: same tokens, no lease, no doubt."""
    row, rest = upkeep.row(), upkeep.rest()
    return (
        (row.status, row.version, row.generation) == (Status.ACTIVE, 5, 2)
        and upkeep.tokens() == ("canary-access-0", "canary-refresh-0")
        and (rest.lease_owner, rest.attempts, rest.attempt_at) == ("", (), None)
    )


# The grant is lost.


def test_a_lost_grant_ends_it(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = LOST
    assert upkeep.refresh() == Answer("failed", Reason.GRANT_REFUSED)
    row, rest = upkeep.row(), upkeep.rest()
    assert (row.status, row.last_error) == (Status.NEEDS_RECONNECT, "grant_refused")
    assert (rest.lease_owner, rest.attempts, rest.due_at) == ("", (), None)
    assert len(upkeep.keeper.refreshes) == 1


@pytest.mark.parametrize("newer", ["reconnects", "disconnects"])
def test_a_lost_grant_is_believed_only_of_the_row_that_was_leased(upkeep: UpkeepWorld, newer: str) -> None:
    upkeep.stands()

    def answer(_: RefreshCall) -> TokenSet:
        if newer == "reconnects":
            upkeep.reconnects()
        else:
            upkeep.endings.disconnect(KEY, NOW)
        raise LOST

    upkeep.keeper.tokens = answer
    assert upkeep.refresh() == Answer("fresh")
    expected = Status.ACTIVE if newer == "reconnects" else Status.DISCONNECTED
    assert upkeep.row().status is expected


def test_when_the_end_cannot_be_written_it_is_found_again(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = LOST
    upkeep.leases.broken["lose"] = DOWN
    assert upkeep.refresh() == Answer("failed", Reason.STORAGE_UNAVAILABLE, NOW + 15)
    assert upkeep.row().status is Status.ACTIVE
    upkeep.leases.broken.clear()
    upkeep.clock.advance(15)
    assert upkeep.refresh() == Answer("failed", Reason.GRANT_REFUSED)
    assert upkeep.row().last_error == "grant_refused"


# We are misconfigured: every connection of the provider would fail, and none of them is at fault.


def test_a_refused_client_opens_the_circuit_and_ends_nothing(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = MISCONFIGURED
    assert upkeep.refresh() == Answer("failed", Reason.PROVIDER_MISCONFIGURED, NOW + 15)
    assert upkeep.circuits.circuits == {"acme": Circuit("acme", "provider_misconfigured", NOW)}
    assert (upkeep.secrets.forgotten, secrets_sent(upkeep)) == (["acme"], [SECRET])
    assert lives_on(upkeep)
    assert (upkeep.rest().retry_at, upkeep.rest().due_at) == (NOW + 15, NOW + 15)


def test_a_secret_that_was_changed_meanwhile_is_used_at_once(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.secrets.client_secret("acme")
    upkeep.secrets.values["acme"] = "canary-changed-secret"
    upkeep.keeper.tokens = [MISCONFIGURED, REFRESHED]
    assert upkeep.refresh() == Answer("refreshed")
    assert secrets_sent(upkeep) == [SECRET, "canary-changed-secret"]
    assert [call.refresh_token for call in upkeep.keeper.refreshes] == ["canary-refresh-0"] * 2
    assert upkeep.circuits.circuits == {}


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
        (TRANSIENT, Reason.PROVIDER_UNAVAILABLE),
        (IN_DOUBT, Reason.REFRESH_IN_DOUBT),
        (LOST, Reason.GRANT_REFUSED),
    ],
)
def test_with_a_changed_secret_it_asks_exactly_once_more(
    upkeep: UpkeepWorld, second: Failure, reason: Reason
) -> None:
    upkeep.stands()
    upkeep.secrets.client_secret("acme")
    upkeep.secrets.values["acme"] = "canary-changed-secret"
    upkeep.keeper.tokens = [MISCONFIGURED, second]
    assert upkeep.refresh().reason is reason
    assert len(upkeep.keeper.refreshes) == 2
    assert ("acme" in upkeep.circuits.circuits) is (second is MISCONFIGURED)


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.IN_DOUBT, Outcome.GRANT_LOST])
def test_only_a_refused_client_asks_twice(upkeep: UpkeepWorld, outcome: Outcome) -> None:
    upkeep.stands()
    upkeep.secrets.client_secret("acme")
    upkeep.secrets.values["acme"] = "canary-changed-secret"
    upkeep.keeper.tokens = failing(outcome)
    upkeep.refresh()
    assert (secrets_sent(upkeep), upkeep.secrets.forgotten) == ([SECRET], [])
    assert upkeep.circuits.circuits == {}


def test_a_secret_that_cannot_be_looked_up_again_leaves_the_first_answer(upkeep: UpkeepWorld) -> None:
    upkeep.stands()

    def answer(_: RefreshCall) -> TokenSet:
        upkeep.secrets.broken["client_secret"] = Failure(Reason.SECRET_UNAVAILABLE)
        raise MISCONFIGURED

    upkeep.keeper.tokens = answer
    assert upkeep.refresh().reason is Reason.PROVIDER_MISCONFIGURED
    assert len(upkeep.keeper.refreshes) == 1
    assert "acme" in upkeep.circuits.circuits


def test_a_second_call_that_cannot_be_stored_any_more_is_not_made(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.secrets.client_secret("acme")
    upkeep.secrets.values["acme"] = "canary-changed-secret"

    def answer(_: RefreshCall) -> TokenSet:
        upkeep.clock.advance(14)
        raise MISCONFIGURED

    upkeep.keeper.tokens = answer
    assert upkeep.refresh().reason is Reason.PROVIDER_MISCONFIGURED
    assert len(upkeep.keeper.refreshes) == 1


def test_a_public_client_that_is_refused_has_no_secret_to_change(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="public"))
    upkeep.keeper.tokens = MISCONFIGURED
    assert upkeep.refresh(Order(key, SEEN, Cause.DUE)).reason is Reason.PROVIDER_MISCONFIGURED
    assert secrets_sent(upkeep) == [""]
    assert "public" in upkeep.circuits.circuits


def test_a_circuit_that_cannot_be_opened_is_no_reason_to_lose_the_pause(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = MISCONFIGURED
    upkeep.circuits.broken["open"] = DOWN
    assert upkeep.refresh() == Answer("failed", Reason.PROVIDER_MISCONFIGURED, NOW + 15)
    assert lives_on(upkeep)


def test_a_trial_that_succeeds_closes_the_circuit(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.circuits.open("acme", Reason.PROVIDER_MISCONFIGURED, NOW - 60)
    assert upkeep.refresh(TRIAL) == Answer("refreshed")
    assert upkeep.circuits.circuits == {"acme": CLOSED}


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.IN_DOUBT, Outcome.MISCONFIGURED])
def test_a_trial_that_fails_leaves_it_open_since_when_it_was(upkeep: UpkeepWorld, outcome: Outcome) -> None:
    upkeep.stands()
    upkeep.circuits.open("acme", Reason.PROVIDER_MISCONFIGURED, NOW - 60)
    upkeep.keeper.tokens = failing(outcome, Reason.PROVIDER_MISCONFIGURED)
    upkeep.refresh(TRIAL)
    assert upkeep.circuits.circuits == {"acme": CLOSED._replace(closed_at=None)}


def test_who_refuses_one_grant_takes_us_again(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.circuits.open("acme", Reason.PROVIDER_MISCONFIGURED, NOW - 60)
    upkeep.keeper.tokens = LOST
    assert upkeep.refresh(TRIAL) == Answer("failed", Reason.GRANT_REFUSED)
    assert upkeep.circuits.circuits == {"acme": CLOSED}


def test_a_trial_that_could_not_be_stored_was_answered_all_the_same(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.circuits.open("acme", Reason.PROVIDER_MISCONFIGURED, NOW - 60)
    upkeep.leases.broken["store"] = DOWN
    assert upkeep.refresh(TRIAL).reason is Reason.STORE_DELAYED
    assert upkeep.circuits.circuits == {"acme": CLOSED}


def test_a_circuit_that_cannot_be_closed_costs_no_token(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.circuits.broken["close"] = DOWN
    assert upkeep.refresh(TRIAL) == Answer("refreshed")
    assert upkeep.tokens()[1] == "refreshed-refresh-token"


def test_what_an_operator_asks_for_closes_the_circuit_when_it_succeeds(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.circuits.open("acme", Reason.PROVIDER_MISCONFIGURED, NOW - 60)
    upkeep.keeper.tokens = [MISCONFIGURED, REFRESHED]
    asked = Order(KEY, SEEN, Cause.ASKED)
    assert upkeep.refresh(asked).reason is Reason.PROVIDER_MISCONFIGURED
    assert upkeep.circuits.circuits["acme"].is_open
    assert upkeep.refresh(asked) == Answer("refreshed")
    assert upkeep.circuits.circuits == {"acme": CLOSED}


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.ASKED])
def test_what_is_neither_a_trial_nor_asked_for_asks_nothing_of_circuits(
    upkeep: UpkeepWorld, cause: Cause
) -> None:
    upkeep.stands()
    assert upkeep.refresh(Order(KEY, SEEN, cause)) == Answer("refreshed")
    assert "close" not in upkeep.journal


# It may work later.


def test_a_refusal_that_nobody_knows_ends_nothing(upkeep: UpkeepWorld) -> None:
    """A rotating provider refused it, so no token was issued; and it did not say that the grant is gone."""
    upkeep.stands()
    upkeep.keeper.tokens = TokenCallFailure(
        Outcome.TRANSIENT, Reason.PROVIDER_ERROR, "HTTP 400, unknown error"
    )
    answer = upkeep.refresh()
    assert answer == Answer("failed", Reason.PROVIDER_ERROR, NOW + 15, "HTTP 400, unknown error")
    assert upkeep.row().last_error == "provider_error"
    assert lives_on(upkeep)


def test_a_transient_failure_only_costs_time(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = TRANSIENT
    assert upkeep.refresh() == Answer("failed", Reason.PROVIDER_UNAVAILABLE, NOW + 15, "HTTP 429")
    assert lives_on(upkeep)
    assert upkeep.row().last_error == "provider_unavailable"


def test_the_pauses_grow_to_at_most_four_minutes(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.jitter = 1.0
    upkeep.keeper.tokens = TRANSIENT
    pauses = []
    for _ in range(8):
        answer = upkeep.refresh(TRIAL)
        pauses.append(answer.until - int(upkeep.clock()))
        assert upkeep.refresh(TRIAL) == Answer("waiting", Reason.REFRESH_PUT_OFF, answer.until)
        upkeep.clock.now = answer.until
    assert pauses == [20, 40, 80, 160, 240, 240, 240, 240]
    assert lives_on(upkeep)
    assert len(upkeep.keeper.refreshes) == 8


def test_since_when_it_fails_is_noted_until_it_works_again(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [TRANSIENT, TRANSIENT, REFRESHED]
    upkeep.refresh()
    assert upkeep.rest().failing_since == NOW
    upkeep.clock.advance(300)
    upkeep.refresh()
    assert upkeep.rest().failing_since == NOW
    upkeep.clock.advance(300)
    assert upkeep.refresh().word == "refreshed"
    assert upkeep.rest().failing_since is None


def test_the_pause_counts_from_the_end_of_a_slow_call(upkeep: UpkeepWorld) -> None:
    upkeep.stands()

    def answer(_: RefreshCall) -> TokenSet:
        upkeep.clock.advance(10)
        raise TRANSIENT

    upkeep.keeper.tokens = answer
    assert upkeep.refresh().until == NOW + 25


@pytest.mark.parametrize(("asked", "pause"), [(None, 15), (1, 15), (15, 15), (16, 16), (3_600, 3_600)])
@pytest.mark.parametrize("provider", [EAGER, NEVER])
def test_a_provider_that_says_when_to_come_again_is_not_asked_before(
    upkeep: UpkeepWorld, provider: Provider, asked: int | None, pause: int
) -> None:
    """And not before our own pause has passed either."""
    key = upkeep.stands(KEY._replace(provider=provider.id))
    upkeep.keeper.tokens = TokenCallFailure(
        Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 429", retry_after=asked
    )
    order = Order(key, SEEN, Cause.DUE)
    assert upkeep.refresh(order).until == NOW + pause
    assert upkeep.rest(key).retry_at == upkeep.rest(key).due_at == NOW + pause
    upkeep.keeper.tokens = REFRESHED
    upkeep.clock.advance(pause - 1)
    assert upkeep.refresh(order).reason is Reason.REFRESH_PUT_OFF
    upkeep.clock.advance(1)
    assert upkeep.refresh(order).word == "refreshed"


def test_the_longer_of_both_pauses_counts(upkeep: UpkeepWorld) -> None:
    upkeep.stands(failures=4)
    upkeep.keeper.tokens = TokenCallFailure(
        Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, maybe_issued=True, retry_after=20
    )
    assert upkeep.refresh().until == NOW + 180
    assert upkeep.rest().attempts == ("attempt-1",)


def test_a_pause_that_cannot_be_noted_ends_with_the_lease(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = TRANSIENT
    upkeep.leases.broken["put_off"] = DOWN
    assert upkeep.refresh().reason is Reason.PROVIDER_UNAVAILABLE
    upkeep.leases.broken.clear()
    upkeep.keeper.tokens = REFRESHED
    upkeep.clock.advance(44)
    assert upkeep.refresh().word == "busy"
    upkeep.clock.advance(75)
    assert upkeep.refresh().word == "waiting"  # the attempt is noted, and nobody noted that it failed
    upkeep.clock.advance(1)
    assert upkeep.refresh() == Answer("waiting", Reason.REFRESH_IN_DOUBT, NOW + 150)  # the look
    upkeep.clock.advance(30)
    assert upkeep.refresh().word == "refreshed"


# Our own faults before the call: nothing is sent, nobody dies.


@pytest.mark.parametrize(
    ("method", "reason", "pause"),
    [
        ("reuse", Reason.SEALING_UNAVAILABLE, 15),
        ("reuse", Reason.KEY_DENIED, 15),
        ("open", Reason.SEALING_UNAVAILABLE, 15),
        ("open", Reason.KEY_DENIED, 15),
        ("open", Reason.TOKEN_UNREADABLE, 3_600),
    ],
)
def test_without_keys_nothing_is_sent(upkeep: UpkeepWorld, method: str, reason: Reason, pause: int) -> None:
    upkeep.stands()
    upkeep.sealer.broken[method] = Failure(reason, "why")
    assert upkeep.refresh() == Answer("failed", reason, NOW + pause, "why")
    assert upkeep.keeper.refreshes == []
    assert upkeep.rest().retry_at == NOW + pause
    assert lives_on(upkeep)


@pytest.mark.parametrize("secret", ["", " \n"])
def test_without_a_client_secret_nothing_is_sent(upkeep: UpkeepWorld, secret: str) -> None:
    upkeep.stands()
    upkeep.secrets.values["acme"] = secret
    assert upkeep.refresh() == Answer("failed", Reason.SECRET_UNAVAILABLE, NOW + 15)
    assert upkeep.keeper.refreshes == []
    assert lives_on(upkeep)


def test_a_token_that_was_moved_here_is_not_sent(upkeep: UpkeepWorld) -> None:
    other = upkeep.stands(KEY._replace(merchant_id="m-2"), refresh="canary-refresh-of-m-2")
    upkeep.stands()
    upkeep.rest().refresh = upkeep.rest(other).refresh
    assert upkeep.refresh().reason is Reason.TOKEN_UNREADABLE
    assert upkeep.keeper.refreshes == []
    assert upkeep.row().status is Status.ACTIVE


def test_a_row_whose_access_token_is_gone_sends_nothing(upkeep: UpkeepWorld) -> None:
    upkeep.stands(access=None)
    assert upkeep.refresh() == Answer("failed", Reason.TOKEN_UNREADABLE, NOW + 3_600)
    assert upkeep.keeper.refreshes == []


@pytest.mark.parametrize("outcome", [Outcome.TRANSIENT, Outcome.MISCONFIGURED])
@pytest.mark.parametrize("provider", [SOMETIMES, NEVER])
def test_what_was_answered_leaves_no_doubt_whatever_the_rotation(
    upkeep: UpkeepWorld, provider: Provider, outcome: Outcome
) -> None:
    key = upkeep.stands(KEY._replace(provider=provider.id))
    upkeep.keeper.tokens = failing(outcome)
    upkeep.refresh(Order(key, SEEN, Cause.DUE))
    assert (upkeep.rest(key).attempts, upkeep.row(key).status) == ((), Status.ACTIVE)


def test_time_that_ran_out_while_preparing_sends_nothing(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    ends = iter((28.0, 23.9))
    answer = upkeep.hear(
        lambda: refresh(Order(KEY, SEEN, Cause.DUE), upkeep.work_ports().refresh, lambda: next(ends))
    )
    assert answer == Answer("failed", Reason.OUT_OF_TIME, NOW + 15)
    assert upkeep.keeper.refreshes == []
    assert lives_on(upkeep)
