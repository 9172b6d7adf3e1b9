"""No token is lost: what the provider issued is stored, lies on the recovery queue, or rings."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from mooring.core.connection import Status
from mooring.core.errors import ALARMS, Reason
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import DOUBT_SECONDS, LEASE_SECONDS, READ_SECONDS, Answer, Cause, Order, Seen
from mooring.flows.refresh import LOOK_SECONDS
from tests.core.signing import NOW
from tests.fakes.token_keeper import REFRESHED, RefreshCall
from tests.flows.upkeep_world import DOWN, KEY, LIFETIME, LOST, SEEN, UpkeepWorld, provider_of
from tests.flows.world import refusal

NEW = REFRESHED._replace(access_token="canary-access-1", refresh_token="canary-refresh-1")
READ = Order(KEY, SEEN, Cause.READ)


def test_what_the_table_does_not_take_goes_to_the_recovery_queue_and_is_stored_from_there(
    upkeep: UpkeepWorld,
) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW._replace(expires_at=NOW + LIFETIME)
    upkeep.leases.broken["store"] = DOWN
    assert upkeep.refresh() == Answer("failed", Reason.STORE_DELAYED)
    (queued,) = upkeep.recovery.refreshed
    assert (queued.key, queued.seen, queued.attempt_id) == (KEY, SEEN, "attempt-1")
    assert upkeep.opened(KEY, "access", queued.fresh.access) == "canary-access-1"
    assert upkeep.row().version == 5
    upkeep.leases.broken.clear()
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    assert upkeep.tokens() == ("canary-access-1", "canary-refresh-1")
    assert (upkeep.row().version, upkeep.row().expires_at) == (6, NOW + LIFETIME)
    assert (upkeep.rest().attempts, upkeep.rest().lease_owner) == ((), "")


def test_no_grace_is_kept_for_a_token_that_stays(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="grace"))
    upkeep.keeper.tokens = [NEW._replace(refresh_token=None), NEW]
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh(Order(key, SEEN, Cause.DUE))
    upkeep.doubt_passes(Order(key, SEEN, Cause.DUE))
    upkeep.refresh(Order(key, SEEN, Cause.DUE))
    kept, rotated = (each.fresh for each in upkeep.recovery.refreshed)
    assert (kept.refresh, kept.previous_until) == (None, None)
    assert rotated.previous_until == NOW + DOUBT_SECONDS + LOOK_SECONDS + 60


def test_until_it_is_recovered_nobody_else_uses_the_token(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    provider_of(upkeep)
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.leases.broken.clear()
    words = []
    for _ in range(4):
        words.append(upkeep.refresh(READ).word)
        upkeep.clock.advance(39)
    assert words == ["busy", "busy", "waiting", "waiting"]
    assert len(upkeep.keeper.refreshes) == 1
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    assert upkeep.refresh(READ._replace(seen=None)).word == "refreshed"


def test_a_set_that_comes_twice_from_the_recovery_queue_is_stored_once(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.recovery.refreshed *= 2
    assert upkeep.recover() == [(KEY, Answer("recovered"))] * 2
    assert upkeep.row().version == 6


def test_what_even_the_recovery_queue_does_not_take_rings(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW
    upkeep.leases.broken["store"] = upkeep.recovery.broken["put_refreshed"] = DOWN
    failure = refusal(upkeep.refresh)
    assert (failure.reason, failure.alarm) == (Reason.TOKEN_LOST, "TokenLost")
    assert failure.__cause__ is None
    assert upkeep.rest().attempts == ("attempt-1",)  # in doubt: what follows is a lost rotation
    assert upkeep.row().status is Status.ACTIVE


def test_a_write_whose_answer_was_lost_is_not_stored_twice(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.leases.broken.clear()
    assert upkeep.leases.store(upkeep.recovery.refreshed[0], NOW).value == "stored"
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    assert upkeep.row().version == 6


def test_whoever_lost_the_lease_cannot_write_but_loses_no_token(upkeep: UpkeepWorld) -> None:
    """A process that was stopped for longer than its lease wakes up in the middle of its call."""
    upkeep.stands()
    acting = provider_of(upkeep)

    def sleeps() -> None:
        acting.during = lambda: None
        upkeep.clock.advance(LEASE_SECONDS + DOUBT_SECONDS)
        order = Order(KEY, SEEN, Cause.DUE)
        leased = upkeep.leases.lease(order, "another", int(upkeep.clock()), rotates=True)
        assert getattr(leased, "attempts", ()) == ("attempt-1", "another")

    acting.during = sleeps
    assert upkeep.refresh(seconds=1_000) == Answer("failed", Reason.STORE_DELAYED)
    assert upkeep.row().version == 5
    assert refusal(upkeep.recover).reason is Reason.REFRESH_BUSY
    assert len(upkeep.recovery.refreshed) == 1
    upkeep.clock.advance(LEASE_SECONDS)
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    assert upkeep.tokens() == ("access-1", "refresh-1")
    assert upkeep.rest().attempts == ("attempt-1", "another"), "whose answer is missing still"


def test_whoever_was_overtaken_by_newer_tokens_changes_nothing_and_rings(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    acting = provider_of(upkeep, grace=10_000)
    inner: list[Answer] = []

    def sleeps() -> None:
        acting.during = lambda: None
        upkeep.doubt_passes()
        inner.append(upkeep.refresh())

    acting.during = sleeps
    assert upkeep.refresh(seconds=1_000) == Answer("failed", Reason.TOKEN_SUPERSEDED)
    assert inner == [Answer("refreshed")]
    assert ALARMS[Reason.TOKEN_SUPERSEDED] == "TokenDiscarded"
    assert upkeep.tokens() == ("access-1", "refresh-1")
    assert upkeep.recovery.refreshed == []
    assert upkeep.revocations.messages == [], "what is of the grant that lives is not revoked"


def test_where_nothing_rotates_being_overtaken_loses_nothing(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="never"))
    acting = provider_of(upkeep, rotates=False)
    order = Order(key, SEEN, Cause.DUE)

    def sleeps() -> None:
        acting.during = lambda: None
        upkeep.clock.advance(LEASE_SECONDS)
        assert upkeep.refresh(order) == Answer("refreshed")

    acting.during = sleeps
    assert upkeep.refresh(order, seconds=1_000) == Answer("fresh")
    assert upkeep.row(key).version == 6


def test_whoever_comes_back_to_what_was_given_up_for_its_silence_saves_it(upkeep: UpkeepWorld) -> None:
    """Stopped with the answer in hand; meanwhile another was refused with the token that it had used up."""
    upkeep.stands()
    acting = provider_of(upkeep)

    def sleeps() -> None:
        upkeep.doubt_passes()
        upkeep.keeper.tokens = LOST
        assert upkeep.refresh() == Answer("failed", Reason.LOST_ROTATION)
        upkeep.keeper.acting(acting)

    acting.during = sleeps
    assert upkeep.refresh(seconds=1_000) == Answer("failed", Reason.STORE_DELAYED)
    assert upkeep.row().status is Status.NEEDS_RECONNECT
    assert upkeep.recover() == [(KEY, Answer("recovered"))]
    row = upkeep.row()
    assert (row.status, row.last_error, row.version) == (Status.ACTIVE, None, 6)
    assert upkeep.tokens() == ("access-1", "refresh-1")
    assert upkeep.rest().due_at is not None
    acting.during = lambda: None
    assert upkeep.refresh(Order(KEY, None, Cause.ASKED)) == Answer("refreshed")


@pytest.mark.parametrize("ending", ["disconnect", "uninstall", "reconnect", "refused"])
@pytest.mark.parametrize("table", ["well", "down"])
def test_what_ends_during_the_call_stays_ended(upkeep: UpkeepWorld, ending: str, table: str) -> None:
    upkeep.stands()
    acting = provider_of(upkeep)
    ways: dict[str, Callable[[], object]] = {
        "disconnect": lambda: upkeep.endings.disconnect(KEY, NOW),
        "uninstall": lambda: upkeep.endings.uninstall(KEY, NOW, NOW),
        "reconnect": upkeep.reconnects,
        "refused": lambda: upkeep.endings.refused(KEY, SEEN, Reason.TOKEN_REFUSED, NOW, uninstall=True),
    }

    def ends() -> None:
        ways[ending]()
        after.append(upkeep.snapshot())

    after: list[object] = []
    acting.during = ends
    if table == "down":
        upkeep.leases.broken["store"] = DOWN
    answer = upkeep.refresh()
    expected = Reason.UNINSTALLED_MEANWHILE if table == "well" else Reason.STORE_DELAYED
    assert answer == Answer("failed", expected)
    done = upkeep.recover()
    assert done == ([] if table == "well" else [(KEY, Answer("skipped"))])
    assert upkeep.snapshot() == after[0]
    if ending == "reconnect":
        assert upkeep.tokens() == ("canary-access-anew", "canary-refresh-anew")
    else:
        assert upkeep.tokens() == (None, None)
    calls = len(upkeep.keeper.refreshes)
    assert upkeep.refresh(READ).word in ("skipped", "fresh")
    assert len(upkeep.keeper.refreshes) == calls
    # What the call brought is on its way to its provider, and of the generation that it was for.
    (asked,) = upkeep.revocations.messages
    assert (asked.key, asked.generation, dict(asked.details)) == (KEY, SEEN.generation, {"app_key": "k"})
    assert asked.refresh is not None
    brought = upkeep.opened(KEY, "access", asked.access), upkeep.opened(KEY, "refresh", asked.refresh)
    assert brought == ("access-1", "refresh-1")


def test_what_cannot_be_handed_on_to_be_revoked_is_discarded_all_the_same(upkeep: UpkeepWorld) -> None:
    upkeep.stands()

    def ends() -> None:
        upkeep.endings.disconnect(KEY, NOW)

    provider_of(upkeep).during = ends
    upkeep.revocations.broken["ask"] = DOWN
    assert upkeep.refresh() == Answer("failed", Reason.UNINSTALLED_MEANWHILE)
    assert upkeep.tokens() == (None, None)


def test_another_accounts_token_is_never_stored_and_rings(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW._replace(account_id="shop-1")
    failure = refusal(upkeep.refresh)
    assert (failure.reason, failure.alarm) == (Reason.ACCOUNT_MISMATCH, "TokenDiscarded")
    assert (upkeep.tokens()[1], upkeep.row().status) == ("canary-refresh-0", Status.ACTIVE)
    assert upkeep.rest().attempts == ("attempt-1",)
    assert upkeep.rest().retry_at == NOW + DOUBT_SECONDS
    assert "store" not in upkeep.journal
    assert upkeep.recovery.refreshed == []


def broken(_: object) -> NoReturn:
    raise ValueError("canary-access-1 stands in a text of a library")


def test_a_defect_after_the_call_rings_and_says_nothing(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = broken
    failure = refusal(upkeep.refresh)
    assert (failure.reason, failure.detail, failure.alarm) == (Reason.TOKEN_LOST, "ValueError", "TokenLost")
    assert "canary" not in str(failure)
    assert upkeep.rest().attempts == ("attempt-1",)
    assert upkeep.row().status is Status.ACTIVE


@pytest.mark.parametrize(("place", "method"), [("leases", "store"), ("recovery", "put_refreshed")])
def test_a_defect_while_storing_rings(upkeep: UpkeepWorld, place: str, method: str) -> None:
    upkeep.stands()
    upkeep.leases.broken["store"] = DOWN
    getattr(upkeep, place).broken[method] = ValueError("canary-access-1")
    failure = refusal(upkeep.refresh)
    assert (failure.reason, failure.detail) == (Reason.TOKEN_LOST, "ValueError")
    assert upkeep.rest().attempts == ("attempt-1",)


def test_a_token_that_cannot_be_sealed_rings(upkeep: UpkeepWorld) -> None:
    upkeep.stands()

    def answer(_: RefreshCall) -> TokenSet:
        return NEW._replace(details=None)  # type: ignore[arg-type]

    upkeep.keeper.tokens = answer
    assert refusal(upkeep.refresh).reason is Reason.TOKEN_LOST


def test_without_rotation_a_lost_write_is_no_doubt(upkeep: UpkeepWorld) -> None:
    key = upkeep.stands(KEY._replace(provider="never"))
    provider_of(upkeep, rotates=False)
    upkeep.leases.broken["store"] = upkeep.recovery.broken["put_refreshed"] = DOWN
    order = Order(key, SEEN, Cause.DUE)
    assert refusal(lambda: upkeep.refresh(order)).reason is Reason.TOKEN_LOST
    upkeep.leases.broken.clear()
    upkeep.clock.advance(LEASE_SECONDS)
    assert upkeep.refresh(order) == Answer("refreshed")
    assert upkeep.tokens(key) == ("access-2", "canary-refresh-0")


def test_a_late_message_does_not_undo_a_later_refresh(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    provider_of(upkeep, grace=10_000)
    upkeep.leases.broken["store"] = DOWN
    upkeep.refresh()
    upkeep.leases.broken.clear()
    upkeep.doubt_passes()
    assert upkeep.refresh() == Answer("refreshed")
    assert upkeep.recover() == [(KEY, Answer("failed", Reason.TOKEN_SUPERSEDED))]
    assert upkeep.tokens() == ("access-2", "refresh-2")
    assert upkeep.row().version == 6


def test_a_failed_write_and_a_failed_pause_are_two_things(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW._replace(account_id="shop-1")
    upkeep.leases.broken["put_off"] = DOWN
    assert refusal(upkeep.refresh).reason is Reason.ACCOUNT_MISMATCH
    assert upkeep.rest().lease_until == NOW + LEASE_SECONDS


def test_a_seen_version_is_what_every_write_is_bound_to(upkeep: UpkeepWorld) -> None:
    upkeep.stands()
    upkeep.keeper.tokens = NEW
    upkeep.refresh(READ)
    assert upkeep.refresh(READ) == Answer("fresh")
    upkeep.clock.advance(READ_SECONDS)
    assert upkeep.refresh(READ._replace(seen=Seen(2, 6))).word == "refreshed"
