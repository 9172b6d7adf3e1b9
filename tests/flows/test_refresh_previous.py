"""A refused refresh token, and the one before it, which the provider takes for a declared grace."""

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Outcome, Reason
from mooring.core.tokens import SealedField, TokenSet
from mooring.core.upkeep import Answer, Cause, Key, Order, Seen
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import (
    IN_DOUBT,
    KEY,
    LOST,
    MISCONFIGURED,
    SEEN,
    TRANSIENT,
    UpkeepWorld,
    failing,
    provider_of,
)

GRACE_KEY = KEY._replace(provider="grace")
ASKED = Order(GRACE_KEY, None, Cause.ASKED)
BEFORE = "canary-refresh-before"


def stands(upkeep: UpkeepWorld, *, left: int | None = 60, key: Key = GRACE_KEY) -> None:
    """A connection that was refreshed a moment ago; the token before is taken for `left` more seconds."""
    upkeep.stands(key)
    if left is not None:
        keys, rest = upkeep.sealer.prepare(key.merchant_id, key.provider), upkeep.rest(key)
        rest.previous_refresh = keys.seal("refresh", key.account_id, BEFORE)
        rest.previous_until = NOW + left


def sent(upkeep: UpkeepWorld) -> list[str]:
    return [call.refresh_token for call in upkeep.keeper.refreshes]


def test_the_one_before_is_tried_once_and_saves_the_grant(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.tokens = [LOST, REFRESHED]
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert sent(upkeep) == ["canary-refresh-0", BEFORE]
    assert upkeep.tokens(GRACE_KEY)[1] == "refreshed-refresh-token"
    assert upkeep.row(GRACE_KEY).status is Status.ACTIVE


SPENT, STATED = NOW + 40 * 86_400, NOW + 30 * 86_400
"""When the refused token would have ended, and an end that an answer states."""


@pytest.mark.parametrize(("said", "ends_at"), [(None, SPENT), (STATED, STATED)])
def test_one_that_names_no_new_one_stays_in_force(
    upkeep: UpkeepWorld, said: int | None, ends_at: int
) -> None:
    """RFC 6749 6: what was used is what counts from now on, and not what was refused."""
    stands(upkeep)
    upkeep.rest(GRACE_KEY).refresh_expires_at = SPENT
    upkeep.keeper.tokens = [LOST, REFRESHED._replace(refresh_token=None, refresh_expires_at=said)]
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert upkeep.tokens(GRACE_KEY) == ("refreshed-access-token", BEFORE)
    rest = upkeep.rest(GRACE_KEY)
    assert rest.previous_refresh is not None
    before = upkeep.opened(GRACE_KEY, "refresh", rest.previous_refresh), rest.previous_until
    assert before == ("canary-refresh-0", NOW + 60), "the two change places"
    assert (rest.refresh_expires_at, rest.due_at) == (ends_at, NOW + (ends_at - NOW) * 2 // 3)


def test_what_stays_in_force_is_what_the_next_refresh_uses(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.tokens = [LOST, REFRESHED._replace(refresh_token=None), REFRESHED]
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    upkeep.clock.advance(3_600)
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert sent(upkeep) == ["canary-refresh-0", BEFORE, BEFORE]
    assert upkeep.tokens(GRACE_KEY)[1] == "refreshed-refresh-token"


def test_a_provider_whose_rotation_never_reached_it_is_met_by_the_one_before(upkeep: UpkeepWorld) -> None:
    """It answered, and then forgot what it had answered (a failover, say)."""
    upkeep.stands(GRACE_KEY)
    forgetful = provider_of(upkeep, grace=60)
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    forgetful.refresh_token = "canary-refresh-0"
    upkeep.clock.advance(49)
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert sent(upkeep) == ["canary-refresh-0", "refresh-1", "canary-refresh-0"]


@pytest.mark.parametrize("left", [10, 1, 0, -1, -3_600, None])
def test_after_its_grace_or_without_one_it_is_not_tried(upkeep: UpkeepWorld, left: int | None) -> None:
    """Nor when its grace may end before the call does: a spent token that is shown may cost the grant."""
    stands(upkeep, left=left)
    upkeep.keeper.tokens = [LOST, REFRESHED]
    assert upkeep.refresh(ASKED) == Answer("failed", Reason.GRANT_REFUSED)
    assert sent(upkeep) == ["canary-refresh-0"]


def test_it_is_tried_while_its_grace_outlasts_the_call(upkeep: UpkeepWorld) -> None:
    stands(upkeep, left=11)
    upkeep.keeper.tokens = [LOST, REFRESHED]
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert sent(upkeep) == ["canary-refresh-0", BEFORE]


@pytest.mark.parametrize(("left", "tried"), [(16, True), (15, False), (5, False)])
def test_what_the_first_call_took_counts(upkeep: UpkeepWorld, left: int, tried: bool) -> None:
    stands(upkeep, left=left)

    def slow(call: RefreshCall) -> TokenSet:
        if call.refresh_token == BEFORE:
            return REFRESHED
        upkeep.clock.advance(5)
        raise LOST

    upkeep.keeper.tokens = slow
    assert upkeep.refresh(ASKED).word == ("refreshed" if tried else "failed")
    assert (BEFORE in sent(upkeep)) is tried


def test_where_no_grace_is_declared_there_is_none_to_try(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = [REFRESHED, LOST, REFRESHED]
    assert upkeep.refresh() == Answer("refreshed")
    assert upkeep.refresh(Order(KEY, None, Cause.ASKED)).reason is Reason.GRANT_REFUSED
    assert len(upkeep.keeper.refreshes) == 2


@pytest.mark.parametrize("failure", [TRANSIENT, IN_DOUBT, MISCONFIGURED, failing(Outcome.TRANSIENT)])
def test_only_a_refused_grant_leads_to_it(upkeep: UpkeepWorld, failure: Failure) -> None:
    stands(upkeep)
    upkeep.keeper.tokens = [failure, REFRESHED]
    assert upkeep.refresh(ASKED).word == "failed"
    assert sent(upkeep) == ["canary-refresh-0"]


def test_when_both_are_refused_the_grant_is_lost(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.tokens = [LOST, LOST, REFRESHED]
    assert upkeep.refresh(ASKED) == Answer("failed", Reason.GRANT_REFUSED)
    assert sent(upkeep) == ["canary-refresh-0", BEFORE]
    assert upkeep.row(GRACE_KEY).status is Status.NEEDS_RECONNECT


def test_what_it_brings_may_be_lost_as_any_other_answer(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.tokens = [LOST, IN_DOUBT]
    assert upkeep.refresh(ASKED).reason is Reason.REFRESH_IN_DOUBT
    assert upkeep.row(GRACE_KEY).status is Status.ACTIVE
    assert upkeep.rest(GRACE_KEY).attempts == ("attempt-1",)


def test_a_provider_that_fails_now_ends_nothing(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.tokens = [LOST, TRANSIENT]
    assert upkeep.refresh(ASKED).reason is Reason.PROVIDER_UNAVAILABLE
    assert upkeep.row(GRACE_KEY).status is Status.ACTIVE


def test_one_that_does_not_open_changes_nothing(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.rest(GRACE_KEY).previous_refresh = SealedField(b"changed", b"key")
    upkeep.keeper.tokens = [LOST, REFRESHED]
    assert upkeep.refresh(ASKED) == Answer("failed", Reason.GRANT_REFUSED)
    assert len(upkeep.keeper.refreshes) == 1


def test_without_time_for_another_call_the_first_answer_counts(upkeep: UpkeepWorld) -> None:
    stands(upkeep)

    def slow(_: RefreshCall) -> TokenSet:
        upkeep.clock.advance(12)
        raise LOST

    upkeep.keeper.tokens = slow
    assert upkeep.refresh(ASKED) == Answer("failed", Reason.GRANT_REFUSED)
    assert len(upkeep.keeper.refreshes) == 1


def test_it_is_asked_for_with_the_secret_of_now(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.secrets.client_secret("grace")
    upkeep.secrets.values["grace"] = "canary-changed-secret"
    upkeep.keeper.tokens = [MISCONFIGURED, LOST, MISCONFIGURED, REFRESHED]
    assert upkeep.refresh(ASKED) == Answer("refreshed")
    assert sent(upkeep) == ["canary-refresh-0", "canary-refresh-0", BEFORE, BEFORE]
    assert upkeep.keeper.refreshes[-1].client_secret == "canary-changed-secret"


def test_nothing_of_either_token_leaves(upkeep: UpkeepWorld) -> None:
    stands(upkeep)
    upkeep.keeper.tokens = [LOST, LOST]
    upkeep.refresh(ASKED)
    assert upkeep.leaks() == []
    assert upkeep.refresh(Order(GRACE_KEY, Seen(*SEEN), Cause.DUE)).word == "skipped"
