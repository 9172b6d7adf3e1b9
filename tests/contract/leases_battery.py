"""What every implementation of the leases port must do."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Reason
from mooring.core.upkeep import (
    DOUBT_SECONDS,
    LEASE_SECONDS,
    READ_SECONDS,
    REPORT_SECONDS,
    Cause,
    Hindrance,
    Key,
    Leased,
    Order,
    Refused,
    Seen,
    Setback,
    Storing,
)
from tests.contract.samples import BARE, EVERYTHING, NOW, a_merchant, sealed
from tests.contract.upkeep_world import DUE, Rest, World, connected, fresh, leased, row, seen

THREADS = 16
TRANSIENT = Setback(Reason.PROVIDER_UNAVAILABLE, DUE + 30, in_doubt=False)
TIMEOUT = Setback(Reason.PROVIDER_TIMEOUT, DUE + DOUBT_SECONDS, in_doubt=True)
SAID = Setback(Reason.PROVIDER_UNAVAILABLE, DUE + 30, in_doubt=True, wait=False)
"""The provider did answer, but behind its answer a token may have been issued."""


def refusal(
    world: World, key: Key, cause: Cause = Cause.DUE, now: int = DUE, *, as_seen: Seen | None = None,
    rotates: bool = True,
) -> tuple[Hindrance, int]:  # fmt: skip
    """Why a lease is refused, and until when; nothing in the row may change for it."""
    before = world.rest(key)
    found = world.leases.lease(Order(key, as_seen, cause), "refused", now, rotates=rotates)
    assert isinstance(found, Refused), found
    assert world.rest(key) == before
    standing = world.connections.read(*key)
    assert found.connection == (standing.connection if standing else None)
    return found.why, found.until


class LeasesBattery:
    """Inherit it, and give the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_lease_shows_the_row_as_it_was(self, world: World) -> None:
        key = connected(world)
        before = row(world, key)
        assert leased(world, key, "one") == Leased(
            key=key,
            attempt_id="one",
            connection=before.connection,
            access=sealed("access"),
            refresh=sealed("refresh"),
            attempts=("one",),
            failures=0,
            refresh_expires_at=NOW + 86_400,
        )
        assert row(world, key) == before

    def test_a_lease_shows_the_token_before_while_there_is_one(self, world: World) -> None:
        key = connected(world)
        world.leases.store(fresh(leased(world, key), DUE, previous_until=DUE + 60), DUE)
        second = leased(world, key, "two", DUE + 2_700)
        assert (second.previous, second.previous_until) == (sealed("refresh"), DUE + 60)
        world.leases.store(fresh(second, DUE + 2_700, "newer"), DUE + 2_700)
        third = leased(world, key, "three", DUE + 5_400)
        assert (third.previous, third.previous_until) == (None, 0)

    def test_a_lease_is_noted_with_its_attempt(self, world: World) -> None:
        key = connected(world)
        before = world.rest(key)
        leased(world, key, "one")
        assert world.rest(key) == before._replace(
            lease_owner="one", lease_until=DUE + LEASE_SECONDS, attempts=("one",), attempt_at=DUE
        )

    def test_of_sixteen_at_once_one_leases(self, world: World) -> None:
        key = connected(world)
        order = Order(key, seen(world, key), Cause.DUE)
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(
                pool.map(lambda name: world.leases.lease(order, name, DUE, rotates=True), "abcdefghijklmnop")
            )
        winners = [each for each in found if isinstance(each, Leased)]
        assert len(winners) == 1
        assert world.rest(key).attempts == (winners[0].attempt_id,)
        losers = {(each.why, each.until) for each in found if isinstance(each, Refused)}
        assert losers == {(Hindrance.LEASED, DUE + LEASE_SECONDS)}

    def test_whoever_asks_again_by_the_same_name_has_its_own_lease(self, world: World) -> None:
        key = connected(world)
        assert leased(world, key, "one") == leased(world, key, "one", DUE + 1)
        assert world.rest(key).attempts == ("one",)
        assert world.rest(key).attempt_at == DUE

    def test_whoever_asks_again_takes_an_earlier_doubt_for_unheard(self, world: World) -> None:
        key = connected(world)
        leased(world, key, "dead")
        first = leased(world, key, "one", DUE + DOUBT_SECONDS)
        assert first.unheard
        assert leased(world, key, "one", DUE + DOUBT_SECONDS + 1) == first

    def test_nobody_leases_what_never_was(self, world: World) -> None:
        key = Key(a_merchant(), "prov-a", "shop-1")
        assert refusal(world, key) == (Hindrance.NOT_FOUND, 0)
        assert world.connections.read(*key) is None

    def test_nobody_leases_what_ended(self, world: World) -> None:
        ended, lost = connected(world), connected(world)
        assert world.endings.disconnect(ended, DUE)
        assert world.leases.lose(leased(world, lost), Reason.GRANT_REFUSED, DUE)
        for key in (ended, lost):
            assert refusal(world, key, Cause.ASKED) == (Hindrance.NOT_ACTIVE, 0)

    @pytest.mark.parametrize("as_seen", [Seen(1, 2), Seen(2, 1), Seen(0, 1), Seen(1, 0)])
    def test_nobody_leases_what_is_not_as_it_was_seen(self, world: World, as_seen: Seen) -> None:
        assert refusal(world, connected(world), as_seen=as_seen) == (Hindrance.SUPERSEDED, 0)

    def test_an_order_may_mean_whatever_is_there(self, world: World) -> None:
        key = connected(world)
        connected(world, merchant=key.merchant_id, at=NOW + 60)
        found = world.leases.lease(Order(key, None, Cause.ASKED), "one", NOW + 90, rotates=True)
        assert isinstance(found, Leased)
        assert found.seen == Seen(2, 2)

    def test_nobody_leases_what_has_no_refresh_token(self, world: World) -> None:
        key = connected(world, tokens=BARE)
        assert refusal(world, key, Cause.ASKED) == (Hindrance.NOT_REFRESHABLE, 0)

    @pytest.mark.parametrize("cause", list(Cause))
    def test_a_lease_keeps_everybody_out_until_it_ends(self, world: World, cause: Cause) -> None:
        key = connected(world)
        leased(world, key)
        last = DUE + LEASE_SECONDS - 1
        assert refusal(world, key, cause, last) == (Hindrance.LEASED, DUE + LEASE_SECONDS)
        assert refusal(world, key, cause, last, rotates=False) == (Hindrance.LEASED, DUE + LEASE_SECONDS)

    @pytest.mark.parametrize("cause", list(Cause))
    def test_after_a_death_the_lost_answer_is_waited_for_and_the_attempt_told(
        self, world: World, cause: Cause
    ) -> None:
        key = connected(world)
        leased(world, key, "dead")
        for now in (DUE + LEASE_SECONDS, DUE + DOUBT_SECONDS - 1):
            assert refusal(world, key, cause, now) == (Hindrance.IN_DOUBT, DUE + DOUBT_SECONDS)
        second = leased(world, key, "second", DUE + DOUBT_SECONDS, cause)
        assert (second.attempts, second.in_doubt, second.unheard) == (("dead", "second"), True, True)
        assert world.rest(key).attempts == ("dead", "second")

    def test_who_leased_it_since_has_heard_of_the_lost_answer(self, world: World) -> None:
        key = connected(world)
        leased(world, key, "dead")
        second, at = leased(world, key, "second", DUE + DOUBT_SECONDS), DUE + DOUBT_SECONDS
        world.leases.put_off(second, TRANSIENT._replace(retry_at=at + 30), at)
        third = leased(world, key, "third", at + 30)
        assert (third.attempts, third.in_doubt, third.unheard) == (("dead", "third"), True, False)

    def test_each_lost_answer_is_to_be_heard(self, world: World) -> None:
        key = connected(world)
        for number in range(3):
            lease = leased(world, key, f"dead-{number}", DUE + number * DOUBT_SECONDS)
            assert lease.unheard == (number > 0)

    def test_after_a_plain_failure_there_is_nothing_to_hear(self, world: World) -> None:
        key = connected(world)
        world.leases.put_off(leased(world, key), TRANSIENT, DUE + 1)
        assert not leased(world, key, "two", DUE + 30).unheard

    def test_where_nothing_rotates_a_lost_answer_is_no_doubt(self, world: World) -> None:
        key = connected(world)
        leased(world, key, "dead", rotates=False)
        second = leased(world, key, "second", DUE + LEASE_SECONDS, rotates=False)
        assert (second.attempts, second.in_doubt, second.unheard) == (("second",), False, False)
        assert world.rest(key).attempts == ("second",)

    def test_what_is_due_is_not_leased_before_its_time(self, world: World) -> None:
        key = connected(world)
        assert refusal(world, key, now=DUE - 6) == (Hindrance.TOO_SOON, DUE)
        assert leased(world, key, now=DUE - 5)

    def test_what_never_falls_due_is_not_leased_as_due(self, world: World) -> None:
        key = connected(world)
        world.leases.store(fresh(leased(world, key), DUE, due_at=None), DUE)
        assert refusal(world, key, now=DUE + 9_999) == (Hindrance.TOO_SOON, 0)

    @pytest.mark.parametrize("cause", [Cause.READ, Cause.HINT, Cause.ASKED])
    def test_others_need_not_wait_until_it_is_due(self, world: World, cause: Cause) -> None:
        now = NOW + 2 + READ_SECONDS if cause is Cause.READ else NOW + 3
        assert leased(world, connected(world), now=now, cause=cause)

    def test_a_reader_refreshes_nothing_that_is_younger_than_three_seconds(self, world: World) -> None:
        key = connected(world)
        issued = NOW + 2
        put_off = (Hindrance.PUT_OFF, issued + READ_SECONDS)
        for now in (issued, issued + READ_SECONDS - 1):
            assert refusal(world, key, Cause.READ, now) == put_off
        world.leases.store(fresh(leased(world, key), DUE), DUE)
        assert refusal(world, key, Cause.READ, DUE + READ_SECONDS - 1) == (
            Hindrance.PUT_OFF,
            DUE + READ_SECONDS,
        )
        assert leased(world, key, "two", DUE + READ_SECONDS, Cause.READ)

    @pytest.mark.parametrize("pause", [5, 30])
    def test_of_two_pauses_a_reader_waits_for_the_later(self, world: World, pause: int) -> None:
        key, issued = connected(world), NOW + 2
        first = leased(world, key, "one", issued, Cause.ASKED)
        world.leases.put_off(first, TRANSIENT._replace(retry_at=issued + pause), issued)
        until = issued + max(pause, READ_SECONDS)
        assert refusal(world, key, Cause.READ, until - 1) == (Hindrance.PUT_OFF, until)
        assert leased(world, key, "two", until, Cause.READ)

    @pytest.mark.parametrize("cause", [Cause.DUE, Cause.READ, Cause.HINT, Cause.UNAUTHORIZED])
    def test_what_was_put_off_waits(self, world: World, cause: Cause) -> None:
        key = connected(world)
        world.leases.put_off(leased(world, key), TRANSIENT, DUE + 1)
        assert refusal(world, key, cause, DUE + 29) == (Hindrance.PUT_OFF, DUE + 30)
        assert leased(world, key, "two", DUE + 30, cause).failures == 1

    def test_an_operator_need_not_wait(self, world: World) -> None:
        key = connected(world)
        world.leases.put_off(leased(world, key), TRANSIENT, DUE + 1)
        assert leased(world, key, "two", DUE + 2, Cause.ASKED)

    def test_a_401_refreshes_no_token_that_is_younger_than_a_minute(self, world: World) -> None:
        key = connected(world)
        issued = NOW + 2
        too_soon = (Hindrance.TOO_SOON, issued + REPORT_SECONDS)
        assert refusal(world, key, Cause.UNAUTHORIZED, issued + REPORT_SECONDS - 1) == too_soon
        world.leases.store(fresh(leased(world, key), DUE), DUE)
        assert refusal(world, key, Cause.UNAUTHORIZED, DUE + 59) == (Hindrance.TOO_SOON, DUE + REPORT_SECONDS)
        assert leased(world, key, "two", DUE + REPORT_SECONDS, Cause.UNAUTHORIZED)

    def test_new_tokens_take_the_place_of_the_old(self, world: World) -> None:
        key = connected(world)
        before, lease = row(world, key), leased(world, key)
        new = fresh(lease, DUE + 1, scopes=("read",), details={"app_key": "k-2"})
        assert world.leases.store(new, DUE + 2) is Storing.STORED
        after = row(world, key)
        assert after.access == new.fresh.access
        assert after.connection == before.connection._replace(
            version=2, scopes=("read",), expires_at=DUE + 3_601, updated_at=DUE + 2, issued_at=DUE + 1,
            details={"app_key": "k-2"},
        )  # fmt: skip
        assert world.rest(key) == Rest(
            refresh=new.fresh.refresh,
            refresh_expires_at=NOW + 86_400,
            due_at=DUE + 2_701,
            written_by="one",
        )

    def test_what_the_answer_does_not_name_stays_or_goes(self, world: World) -> None:
        key = connected(world)
        lease = leased(world, key)
        new = fresh(lease, DUE, refresh=None, expires_at=None, refresh_expires_at=None, due_at=None)
        world.leases.store(new, DUE)
        one = row(world, key).connection
        assert (one.scopes, one.expires_at) == (("read", "write"), None)
        assert world.rest(key) == Rest(refresh=sealed("refresh"), written_by="one")

    def test_the_token_before_is_kept_for_its_grace_and_no_longer(self, world: World) -> None:
        key = connected(world)
        world.leases.store(fresh(leased(world, key), DUE, previous_until=DUE + 60), DUE)
        assert world.rest(key).previous_refresh == EVERYTHING.refresh
        assert world.rest(key).previous_until == DUE + 60
        second = leased(world, key, "two", DUE + 2_700)
        world.leases.store(fresh(second, DUE + 2_700, "newer"), DUE + 2_700)
        assert (world.rest(key).previous_refresh, world.rest(key).previous_until) == (None, None)

    def test_a_token_that_stays_is_not_its_own_predecessor(self, world: World) -> None:
        key = connected(world)
        world.leases.store(fresh(leased(world, key), DUE, refresh=None, previous_until=DUE + 60), DUE)
        assert (world.rest(key).previous_refresh, world.rest(key).previous_until) == (None, None)

    def test_what_is_written_twice_counts_once(self, world: World) -> None:
        key = connected(world)
        new = fresh(leased(world, key), DUE)
        assert world.leases.store(new, DUE) is Storing.STORED
        assert world.leases.store(new, DUE + 1) is Storing.STORED
        assert world.leases.recover(new, DUE + 2) is Storing.STORED
        assert seen(world, key) == Seen(1, 2)

    def test_the_end_of_a_grant_is_noted_and_forgotten(self, world: World) -> None:
        key = connected(world)
        for attempt, at, expiring_at in (("one", DUE, DUE + 900), ("two", DUE + 2_700, None)):
            lease = leased(world, key, attempt, at)
            world.leases.store(fresh(lease, at, attempt, expiring_at=expiring_at), at)
            assert row(world, key).connection.expiring_at == expiring_at

    def test_the_end_of_a_grant_is_noted_by_what_is_recovered_too(self, world: World) -> None:
        key = connected(world)
        new = fresh(leased(world, key), DUE, expiring_at=DUE + 900)
        assert world.leases.recover(new, DUE + 1) is Storing.STORED
        assert row(world, key).connection.expiring_at == DUE + 900

    def test_what_is_lost_is_not_expiring_any_more(self, world: World) -> None:
        key = connected(world)
        world.leases.store(fresh(leased(world, key), DUE, expiring_at=DUE + 900), DUE)
        lease = leased(world, key, "two", DUE + 2_700)
        assert world.leases.lose(lease, Reason.GRANT_REFUSED, DUE + 2_701)
        assert row(world, key).connection.expiring_at is None

    def test_newer_tokens_of_the_same_generation_supersede_an_answer(self, world: World) -> None:
        key = connected(world)
        late = fresh(leased(world, key, "late"), DUE)
        second = leased(world, key, "second", DUE + DOUBT_SECONDS)
        newer = fresh(second, DUE + DOUBT_SECONDS, "newer")
        assert world.leases.store(newer, DUE + DOUBT_SECONDS) is Storing.STORED
        before = row(world, key), world.rest(key)
        assert world.leases.store(late, DUE + DOUBT_SECONDS + 1) is Storing.SUPERSEDED
        assert world.leases.recover(late, DUE + DOUBT_SECONDS + 2) is Storing.SUPERSEDED
        assert (row(world, key), world.rest(key)) == before
        assert world.endings.disconnect(key, DUE + DOUBT_SECONDS + 3)
        assert world.leases.store(late, DUE + DOUBT_SECONDS + 4) is Storing.OBSOLETE

    def test_whoever_comes_back_to_what_was_given_up_for_its_silence_stores_it_later(
        self, world: World
    ) -> None:
        """It was stopped for longer than its lease, and somebody else was refused with the same token."""
        key = connected(world)
        late, at = fresh(leased(world, key, "late"), DUE), DUE + DOUBT_SECONDS
        assert world.leases.lose(leased(world, key, "second", at), Reason.LOST_ROTATION, at + 1)
        assert world.leases.store(late, at + 2) is Storing.LATER
        assert row(world, key).connection.status is Status.NEEDS_RECONNECT
        assert world.leases.recover(late, at + 3) is Storing.STORED
        one = row(world, key)
        assert (one.connection.status, one.connection.version) == (Status.ACTIVE, 2)
        assert one.access == late.fresh.access

    def test_what_was_given_up_for_another_reason_makes_an_answer_obsolete(self, world: World) -> None:
        key = connected(world)
        late, at = fresh(leased(world, key, "late"), DUE), DUE + DOUBT_SECONDS
        leased(world, key, "second", at)
        assert world.endings.refused(key, Seen(1, 1), Reason.TOKEN_REFUSED, at, uninstall=False)
        assert world.leases.store(late, at + 1) is Storing.OBSOLETE

    def test_what_was_given_up_in_the_doubt_of_others_makes_an_answer_obsolete(self, world: World) -> None:
        key = connected(world)
        stranger, at = fresh(leased(world, key, "first"), DUE), DUE + DOUBT_SECONDS
        assert world.leases.lose(leased(world, key, "second", at), Reason.LOST_ROTATION, at + 1)
        never_noted = stranger._replace(attempt_id="stranger")
        assert world.leases.store(never_noted, at + 2) is Storing.OBSOLETE
        assert world.leases.recover(never_noted, at + 2) is Storing.OBSOLETE

    def test_a_reconnect_makes_a_refresh_obsolete(self, world: World) -> None:
        key = connected(world)
        new = fresh(leased(world, key), DUE)
        connected(world, merchant=key.merchant_id, at=DUE)
        before = row(world, key), world.rest(key)
        assert world.leases.store(new, DUE + 1) is Storing.OBSOLETE
        assert world.leases.recover(new, DUE + 999) is Storing.OBSOLETE
        assert (row(world, key), world.rest(key)) == before

    def test_an_ending_makes_a_refresh_obsolete(self, world: World) -> None:
        gone, cut = connected(world), connected(world)
        late = [(key, fresh(leased(world, key), DUE)) for key in (gone, cut)]
        assert world.endings.uninstall(gone, DUE, DUE)
        assert world.endings.disconnect(cut, DUE)
        for key, new in late:
            before = row(world, key), world.rest(key)
            assert world.leases.store(new, DUE + 1) is Storing.OBSOLETE
            assert world.leases.recover(new, DUE + 999) is Storing.OBSOLETE
            assert (row(world, key), world.rest(key)) == before

    def test_what_never_was_is_not_made_by_a_refresh(self, world: World) -> None:
        new = fresh(leased(world, connected(world)), DUE)
        nowhere = new._replace(key=Key(a_merchant(), "prov-a", "shop-1"))
        assert world.leases.store(nowhere, DUE) is Storing.OBSOLETE
        assert world.leases.recover(nowhere, DUE) is Storing.OBSOLETE
        assert world.connections.read(*nowhere.key) is None

    def test_who_outlived_its_lease_writes_later(self, world: World) -> None:
        key = connected(world)
        late = fresh(leased(world, key, "late"), DUE)
        leased(world, key, "second", DUE + DOUBT_SECONDS)
        before = row(world, key), world.rest(key)
        assert world.leases.store(late, DUE + DOUBT_SECONDS + 1) is Storing.LATER
        assert world.leases.recover(late, DUE + DOUBT_SECONDS + 1) is Storing.LATER
        assert (row(world, key), world.rest(key)) == before

    def test_who_outlived_its_lease_still_writes_while_nobody_else_came(self, world: World) -> None:
        key = connected(world)
        new = fresh(leased(world, key), DUE)
        assert world.leases.store(new, DUE + DOUBT_SECONDS + 30) is Storing.STORED

    @pytest.mark.parametrize("later", [1, LEASE_SECONDS - 1, LEASE_SECONDS, 9_999])
    def test_a_recovered_answer_is_stored_while_its_attempt_is_in_doubt(
        self, world: World, later: int
    ) -> None:
        key = connected(world)
        new = fresh(leased(world, key), DUE, previous_until=DUE + 60)
        assert world.leases.recover(new, DUE + later) is Storing.STORED
        assert row(world, key).access == new.fresh.access
        assert world.rest(key) == Rest(
            refresh=new.fresh.refresh,
            refresh_expires_at=NOW + 86_400,
            due_at=DUE + 2_700,
            previous_refresh=EVERYTHING.refresh,
            previous_until=DUE + 60,
            written_by="one",
        )

    def test_a_recovered_answer_waits_for_the_lease_of_another_and_then_counts(self, world: World) -> None:
        key = connected(world)
        lost = fresh(leased(world, key, "lost"), DUE)
        second, at = leased(world, key, "second", DUE + DOUBT_SECONDS), DUE + DOUBT_SECONDS
        assert world.leases.recover(lost, at + 1) is Storing.LATER
        world.leases.put_off(second, TIMEOUT._replace(retry_at=at + 30), at + 2)
        assert world.leases.recover(lost, at + 3) is Storing.STORED
        assert (seen(world, key), world.rest(key).attempts) == (Seen(1, 2), ("lost", "second"))

    def test_a_recovered_answer_is_of_no_use_once_newer_tokens_stand_there(self, world: World) -> None:
        key = connected(world)
        lost = fresh(leased(world, key, "lost"), DUE)
        second = leased(world, key, "second", DUE + DOUBT_SECONDS)
        newer = fresh(second, DUE + DOUBT_SECONDS, "newer")
        assert world.leases.store(newer, DUE + DOUBT_SECONDS) is Storing.STORED
        assert world.leases.recover(lost, DUE + 999) is Storing.SUPERSEDED
        assert row(world, key).access == newer.fresh.access

    def test_a_recovered_answer_brings_back_what_was_given_up_for_it(self, world: World) -> None:
        key = connected(world)
        lost, at = fresh(leased(world, key, "lost"), DUE), DUE + DOUBT_SECONDS
        assert world.leases.lose(leased(world, key, "second", at), Reason.LOST_ROTATION, at + 1)
        assert world.rest(key) == Rest(
            refresh=EVERYTHING.refresh,
            refresh_expires_at=NOW + 86_400,
            attempts=("lost",),
            attempt_at=at,
        )
        assert world.leases.recover(lost, at + 60) is Storing.STORED
        one = row(world, key).connection
        assert (one.status, one.last_error, one.version) == (Status.ACTIVE, None, 2)
        assert world.rest(key).due_at == DUE + 2_700

    def test_a_recovered_answer_brings_back_nothing_that_was_given_up_for_another_reason(
        self, world: World
    ) -> None:
        key = connected(world)
        lost, at = fresh(leased(world, key, "lost"), DUE), DUE + DOUBT_SECONDS
        leased(world, key, "second", at)
        assert world.endings.refused(key, Seen(1, 1), Reason.TOKEN_REFUSED, at, uninstall=False)
        assert world.leases.recover(lost, at + 60) is Storing.OBSOLETE
        assert row(world, key).connection.status is Status.NEEDS_RECONNECT

    def test_a_call_that_failed_plainly_leaves_no_doubt(self, world: World) -> None:
        key = connected(world)
        before = row(world, key)
        lease = leased(world, key)
        world.leases.put_off(lease, TRANSIENT, DUE + 1)
        assert world.rest(key) == Rest(
            refresh=EVERYTHING.refresh,
            refresh_expires_at=NOW + 86_400,
            due_at=DUE + 30,
            retry_at=DUE + 30,
            failures=1,
            failing_since=DUE + 1,
        )
        told = before.connection._replace(last_error="provider_unavailable", updated_at=DUE + 1)
        assert row(world, key) == before._replace(connection=told)
        assert world.leases.recover(fresh(lease, DUE), DUE + 2) is Storing.OBSOLETE

    def test_a_call_that_may_have_been_answered_stays_noted(self, world: World) -> None:
        key = connected(world)
        world.leases.put_off(leased(world, key), TIMEOUT, DUE + 10)
        rest = world.rest(key)
        assert (rest.lease_owner, rest.lease_until, rest.attempts, rest.attempt_at) == (
            "", None, ("one",), DUE
        )  # fmt: skip
        assert refusal(world, key, Cause.ASKED, DUE + 11) == (Hindrance.IN_DOUBT, DUE + DOUBT_SECONDS)
        second = leased(world, key, "two", DUE + DOUBT_SECONDS)
        assert (second.attempts, second.failures, second.unheard) == (("one", "two"), 1, True)

    def test_a_doubt_that_nothing_can_clear_is_noted_and_not_waited_for(self, world: World) -> None:
        key = connected(world)
        world.leases.put_off(leased(world, key), SAID, DUE + 1)
        assert world.rest(key) == Rest(
            refresh=EVERYTHING.refresh,
            refresh_expires_at=NOW + 86_400,
            due_at=DUE + 30,
            attempts=("one",),
            retry_at=DUE + 30,
            failures=1,
            failing_since=DUE + 1,
        )
        second = leased(world, key, "two", DUE + 30)
        assert (second.attempts, second.in_doubt, second.unheard) == (("one", "two"), True, False)

    def test_a_doubt_that_is_not_waited_for_can_still_be_cleared(self, world: World) -> None:
        key = connected(world)
        lease = leased(world, key)
        world.leases.put_off(lease, SAID, DUE + 1)
        assert world.leases.recover(fresh(lease, DUE), DUE + 2) is Storing.STORED
        assert (seen(world, key), world.rest(key).attempts) == (Seen(1, 2), ())

    def test_without_doubt_there_is_nothing_to_wait_for(self, world: World) -> None:
        key, other = connected(world), connected(world)
        for each, wait in ((key, True), (other, False)):
            world.leases.put_off(leased(world, each), TRANSIENT._replace(wait=wait), DUE + 1)
        assert world.rest(key) == world.rest(other)
        assert (world.rest(key).attempts, world.rest(key).attempt_at) == ((), None)

    def test_a_plain_failure_leaves_the_doubt_before_it(self, world: World) -> None:
        key = connected(world)
        world.leases.put_off(leased(world, key), TIMEOUT, DUE + 10)
        second, at = leased(world, key, "two", DUE + DOUBT_SECONDS), DUE + DOUBT_SECONDS
        world.leases.put_off(second, TRANSIENT._replace(retry_at=at + 30), at + 1)
        rest = world.rest(key)
        assert (rest.attempts, rest.failures, rest.failing_since) == (("one",), 2, DUE + 10)
        third = leased(world, key, "three", at + 30)
        assert third.attempts == ("one", "three")

    def test_the_notes_do_not_grow_for_ever(self, world: World) -> None:
        key = connected(world)
        for number in range(25):
            at = DUE + number * DOUBT_SECONDS
            lease = leased(world, key, f"a-{number}", at)
            world.leases.put_off(lease, TIMEOUT._replace(retry_at=at + 60), at + 10)
        assert world.rest(key).attempts == tuple(f"a-{number}" for number in range(5, 25))
        assert world.rest(key).failures == 25

    def test_a_setback_that_came_too_late_changes_nothing(self, world: World) -> None:
        key = connected(world)
        late = leased(world, key, "late")
        leased(world, key, "second", DUE + DOUBT_SECONDS)
        before = row(world, key), world.rest(key)
        world.leases.put_off(late, TRANSIENT, DUE + DOUBT_SECONDS + 1)
        assert not world.leases.lose(late, Reason.GRANT_REFUSED, DUE + DOUBT_SECONDS + 1)
        assert (row(world, key), world.rest(key)) == before

    def test_a_setback_counts_once(self, world: World) -> None:
        key = connected(world)
        lease = leased(world, key)
        for _ in range(2):
            world.leases.put_off(lease, TRANSIENT, DUE + 1)
        assert world.rest(key).failures == 1

    def test_a_setback_of_what_ended_changes_nothing(self, world: World) -> None:
        key = connected(world)
        lease = leased(world, key)
        assert world.endings.disconnect(key, DUE + 1)
        before = row(world, key), world.rest(key)
        world.leases.put_off(lease, TRANSIENT, DUE + 2)
        assert not world.leases.lose(lease, Reason.GRANT_REFUSED, DUE + 2)
        assert (row(world, key), world.rest(key)) == before

    def test_a_lost_grant_waits_for_the_merchant_and_erases_nothing(self, world: World) -> None:
        key = connected(world)
        before, lease = row(world, key), leased(world, key)
        assert world.leases.lose(lease, Reason.GRANT_REFUSED, DUE + 1)
        lost = before.connection._replace(
            status=Status.NEEDS_RECONNECT, last_error="grant_refused", updated_at=DUE + 1
        )
        assert row(world, key) == before._replace(connection=lost)
        assert world.rest(key) == Rest(refresh=EVERYTHING.refresh, refresh_expires_at=NOW + 86_400)

    def test_a_loss_told_twice_is_the_same_loss(self, world: World) -> None:
        key = connected(world)
        lease = leased(world, key)
        assert world.leases.lose(lease, Reason.GRANT_REFUSED, DUE + 1)
        before = row(world, key), world.rest(key)
        assert world.leases.lose(lease, Reason.GRANT_REFUSED, DUE + 1)
        assert not world.leases.lose(lease, Reason.GRANT_REFUSED, DUE + 2)
        assert (row(world, key), world.rest(key)) == before

    def test_nobody_loses_what_was_connected_anew(self, world: World) -> None:
        key = connected(world)
        lease = leased(world, key)
        connected(world, merchant=key.merchant_id, at=DUE)
        assert not world.leases.lose(lease, Reason.GRANT_REFUSED, DUE + 3)
        assert row(world, key).connection.status is Status.ACTIVE

    def test_a_reconnect_owes_nothing_to_the_refreshes_before(self, world: World) -> None:
        key = connected(world)
        world.leases.store(fresh(leased(world, key), DUE, previous_until=DUE + 60), DUE)
        at = DUE + 2_700
        world.leases.put_off(leased(world, key, "two", at), TIMEOUT, at + 10)
        world.endings.report(key, Seen(1, 2), at + 20)
        world.endings.probing(key, None, at + 20, pause=0, due_at=None)
        assert world.endings.postpone(key, at + 620, at + 20)
        leased(world, key, "three", at + DOUBT_SECONDS)
        connected(world, merchant=key.merchant_id, at=at + 200)
        assert world.rest(key) == Rest(
            refresh=EVERYTHING.refresh, refresh_expires_at=NOW + 86_400, due_at=DUE
        )
        one = row(world, key).connection
        assert (one.generation, one.version, one.last_error, one.issued_at) == (2, 3, None, at + 202)
