"""What every implementation of the endings port must do."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.core.connection import ReadableConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.token_end import UNCLEAR_SECONDS
from mooring.core.upkeep import (
    EXPIRING_SECONDS,
    LATE_SECONDS,
    REPORT_SECONDS,
    REPORTS_SECONDS,
    Expiry,
    Key,
    Seen,
    Storing,
)
from tests.contract.samples import BARE, EVERYTHING, NOW, a_link, a_merchant, a_state, exchange
from tests.contract.upkeep_world import DUE, Rest, World, connected, fresh, leased, row

NOWHERE = Key("m-never", "prov-a", "shop-1")
FIRST = Seen(1, 1)
PAUSE = 600


def lost(world: World) -> Key:
    """A connection that waits for its merchant since DUE + 1."""
    key = connected(world)
    assert world.leases.lose(leased(world, key), Reason.GRANT_REFUSED, DUE + 1)
    return key


def everything(world: World, key: Key) -> tuple[ReadableConnection, Rest]:
    return row(world, key), world.rest(key)


def expires(world: World, at: int) -> Key:
    """A connection whose token nothing can refresh, and that ends then."""
    return connected(world, tokens=BARE._replace(expires_at=at))


def ended(before: ReadableConnection, status: Status, now: int, error: str | None) -> ReadableConnection:
    """What readers see once it is over."""
    told = before.connection._replace(status=status, updated_at=now, last_error=error)
    return ReadableConnection(told._replace(expires_at=None, issued_at=None), None)


class EndingsBattery:
    """Inherit it, and give the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_round_of_probes_shows_the_row(self, world: World) -> None:
        key = connected(world)
        before = everything(world, key)
        assert world.endings.probing(key, None, DUE, pause=PAUSE, due_at=None) == before[0]
        assert everything(world, key) == (before[0], before[1]._replace(probed_at=DUE))

    def test_a_round_says_when_the_next_is_due(self, world: World) -> None:
        key = connected(world, tokens=BARE)
        assert world.rest(key).due_at is None
        assert world.endings.probing(key, FIRST, DUE, pause=PAUSE, due_at=DUE + 21_600)
        assert world.rest(key).due_at == DUE + 21_600

    @pytest.mark.parametrize(
        ("ends_in", "due_in"),
        [
            (EXPIRING_SECONDS + 60, 60),
            (EXPIRING_SECONDS, 21_600),
            (21_600, 21_600),
            (90, 90),
            (0, LATE_SECONDS),
            (-LATE_SECONDS, 21_600),
            (60 - UNCLEAR_SECONDS, 60),
            (-UNCLEAR_SECONDS, 21_600),
        ],
    )
    @pytest.mark.parametrize("seen", [None, FIRST])
    def test_a_round_is_due_again_before_its_token_ends_and_when_it_has(
        self, world: World, ends_in: int, due_in: int, seen: Seen | None
    ) -> None:
        """All in the one write: whoever dies after it has hidden no end."""
        key = expires(world, DUE + ends_in)
        before = everything(world, key)
        assert world.endings.probing(key, seen, DUE, pause=PAUSE, due_at=DUE + 21_600) == before[0]
        after = (before[0], before[1]._replace(probed_at=DUE, due_at=DUE + due_in))
        assert everything(world, key) == after
        assert world.endings.probing(key, seen, DUE, pause=PAUSE, due_at=DUE + 21_600) is None
        assert everything(world, key) == after

    def test_a_round_that_says_nothing_of_the_next_leaves_an_end_as_it_was(self, world: World) -> None:
        key = expires(world, DUE + 90)
        assert world.endings.probing(key, FIRST, DUE, pause=PAUSE, due_at=None)
        assert world.rest(key).due_at is None

    @pytest.mark.parametrize("seen", [Seen(1, 2), Seen(2, 1)])
    def test_an_end_brings_no_round_to_what_is_not_as_it_was_seen(self, world: World, seen: Seen) -> None:
        key = expires(world, DUE)
        before = everything(world, key)
        assert world.endings.probing(key, seen, DUE, pause=0, due_at=9) is None
        assert everything(world, key) == before

    def test_there_is_one_round_in_ten_minutes(self, world: World) -> None:
        key = connected(world)
        assert world.endings.probing(key, None, DUE, pause=PAUSE, due_at=None)
        before = everything(world, key)
        assert world.endings.probing(key, None, DUE + PAUSE - 1, pause=PAUSE, due_at=9) is None
        assert everything(world, key) == before
        assert world.endings.probing(key, None, DUE + PAUSE, pause=PAUSE, due_at=None)

    def test_without_a_pause_every_round_begins(self, world: World) -> None:
        key = connected(world)
        for now in (DUE, DUE, DUE + 1):
            assert world.endings.probing(key, FIRST, now, pause=0, due_at=None)

    @pytest.mark.parametrize("due_at", [None, DUE + 21_600])
    def test_of_sixteen_rounds_at_once_one_begins(self, world: World, due_at: int | None) -> None:
        key = connected(world)
        with ThreadPoolExecutor(16) as pool:
            begun = pool.map(
                lambda _: world.endings.probing(key, None, DUE, pause=PAUSE, due_at=due_at), range(16)
            )
        assert len([each for each in begun if each is not None]) == 1

    @pytest.mark.parametrize("seen", [Seen(1, 2), Seen(2, 1), Seen(0, 1)])
    def test_what_is_not_as_it_was_seen_is_neither_probed_nor_doubted_nor_ended(
        self, world: World, seen: Seen
    ) -> None:
        key = connected(world)
        world.endings.report(key, FIRST, DUE)
        before = everything(world, key)
        assert world.endings.probing(key, seen, DUE, pause=0, due_at=9) is None
        assert world.endings.report(key, seen, DUE + 999) is None
        world.endings.alive(key, seen)
        for uninstall in (True, False):
            assert not world.endings.refused(key, seen, Reason.TOKEN_REFUSED, DUE, uninstall=uninstall)
        assert everything(world, key) == before

    def test_what_waits_for_its_merchant_is_neither_probed_nor_doubted(self, world: World) -> None:
        key = lost(world)
        before = everything(world, key)
        assert world.endings.probing(key, FIRST, DUE + 9, pause=0, due_at=9) is None
        assert world.endings.report(key, FIRST, DUE + 9) is None
        world.endings.alive(key, FIRST)
        world.endings.remind(key, DUE + 9)
        assert not world.endings.postpone(key, DUE + 99, DUE + 9)
        assert not world.endings.refused(key, FIRST, Reason.TOKEN_REFUSED, DUE + 9, uninstall=True)
        assert everything(world, key) == before

    def test_what_never_was_is_not_made(self, world: World) -> None:
        assert world.endings.probing(NOWHERE, None, DUE, pause=0, due_at=9) is None
        assert world.endings.report(NOWHERE, FIRST, DUE) is None
        world.endings.alive(NOWHERE, FIRST)
        world.endings.remind(NOWHERE, DUE)
        assert not world.endings.postpone(NOWHERE, DUE + 9, DUE)
        assert not world.endings.refused(NOWHERE, FIRST, Reason.TOKEN_REFUSED, DUE, uninstall=True)
        assert not world.endings.uninstall(NOWHERE, DUE, DUE)
        assert world.endings.disconnect(NOWHERE, DUE) is None
        assert world.connections.read(*NOWHERE) is None
        assert world.rest(NOWHERE) == Rest()

    def test_a_reminder_comes_earlier_never_later(self, world: World) -> None:
        key, bare = connected(world), connected(world, tokens=BARE)
        for due_at, expected in ((DUE + 1, DUE), (DUE, DUE), (DUE - 1, DUE - 1), (DUE, DUE - 1)):
            world.endings.remind(key, due_at)
            assert world.rest(key).due_at == expected
        world.endings.remind(bare, DUE)
        assert world.rest(bare).due_at == DUE

    def test_one_hint_waits_and_no_second_until_its_time(self, world: World) -> None:
        key = connected(world)
        before = everything(world, key)
        assert world.endings.postpone(key, DUE + PAUSE, DUE)
        assert everything(world, key) == (before[0], before[1]._replace(hinted_until=DUE + PAUSE))
        for now in (DUE, DUE + PAUSE - 1):
            assert not world.endings.postpone(key, now + PAUSE, now)
            assert world.rest(key).hinted_until == DUE + PAUSE
        assert world.endings.postpone(key, DUE + 2 * PAUSE, DUE + PAUSE)
        assert world.rest(key).hinted_until == DUE + 2 * PAUSE

    def test_of_sixteen_hints_at_once_one_waits(self, world: World) -> None:
        key = connected(world)
        with ThreadPoolExecutor(16) as pool:
            waits = list(pool.map(lambda _: world.endings.postpone(key, DUE + PAUSE, DUE), range(16)))
        assert sorted(waits) == [False] * 15 + [True]

    def test_a_hint_of_the_one_before_does_not_keep_hints_from_a_reconnected_one(self, world: World) -> None:
        key = connected(world)
        assert world.endings.postpone(key, DUE + PAUSE, DUE)
        assert world.endings.disconnect(key, DUE + 1)
        assert not world.endings.postpone(key, DUE + 999, DUE + 998)
        connected(world, merchant=key.merchant_id, at=DUE + 10)
        assert world.rest(key).hinted_until is None
        assert world.endings.postpone(key, DUE + 20 + PAUSE, DUE + 20)

    def test_reports_are_counted_once_a_minute(self, world: World) -> None:
        key = connected(world)
        counts = [world.endings.report(key, FIRST, DUE + late) for late in (0, 0, 59, 60, 119, 120)]
        assert counts == [1, None, None, 2, None, 3]
        rest = world.rest(key)
        assert (rest.unauthorized_count, rest.unauthorized_at) == (3, DUE + 2 * REPORT_SECONDS)

    @pytest.mark.parametrize(("late", "count"), [(-1, 3), (0, 1), (1, 1), (86_400, 1)])
    def test_what_was_counted_long_ago_is_forgotten(self, world: World, late: int, count: int) -> None:
        key = connected(world)
        second = DUE + REPORT_SECONDS
        assert [world.endings.report(key, FIRST, now) for now in (DUE, second)] == [1, 2]
        third = second + REPORTS_SECONDS + late
        assert world.endings.report(key, FIRST, third) == count
        rest = world.rest(key)
        assert (rest.unauthorized_count, rest.unauthorized_at) == (count, third)

    def test_only_the_pause_before_each_report_counts(self, world: World) -> None:
        key = connected(world)
        often = [DUE + number * (REPORTS_SECONDS - 1) for number in range(4)]
        assert [world.endings.report(key, FIRST, now) for now in often] == [1, 2, 3, 4]

    @pytest.mark.parametrize("earlier", [None, REPORT_SECONDS, REPORTS_SECONDS])
    def test_of_sixteen_reports_at_once_one_counts(self, world: World, earlier: int | None) -> None:
        key = connected(world)
        if earlier is not None:
            world.endings.report(key, FIRST, DUE - earlier)
        with ThreadPoolExecutor(16) as pool:
            counts = list(pool.map(lambda _: world.endings.report(key, FIRST, DUE), range(16)))
        assert sorted(counts, key=str) == [2 if earlier == REPORT_SECONDS else 1] + [None] * 15

    def test_a_token_that_is_taken_ends_the_count(self, world: World) -> None:
        key = connected(world)
        before = everything(world, key)
        world.endings.report(key, FIRST, DUE)
        world.endings.alive(key, FIRST)
        assert everything(world, key) == before
        assert world.endings.report(key, FIRST, DUE + 1) == 1

    def test_new_tokens_end_the_count(self, world: World) -> None:
        key = connected(world)
        world.endings.report(key, FIRST, DUE)
        assert world.leases.store(fresh(leased(world, key), DUE), DUE) is Storing.STORED
        assert (world.rest(key).unauthorized_count, world.rest(key).unauthorized_at) == (0, None)
        assert world.endings.report(key, Seen(1, 2), DUE + 1) == 1

    def test_a_refused_token_waits_for_the_merchant(self, world: World) -> None:
        key = connected(world)
        before = everything(world, key)
        leased(world, key)
        assert world.endings.refused(key, FIRST, Reason.TOKEN_REFUSED, DUE + 1, uninstall=False)
        gone = before[0].connection._replace(
            status=Status.NEEDS_RECONNECT, last_error="token_refused", updated_at=DUE + 1
        )
        assert everything(world, key) == (
            before[0]._replace(connection=gone),
            Rest(refresh=EVERYTHING.refresh, refresh_expires_at=NOW + 86_400),
        )

    def test_a_refused_token_of_an_uninstalled_app_is_erased(self, world: World) -> None:
        key = connected(world)
        before = row(world, key)
        leased(world, key)
        assert world.endings.refused(key, FIRST, Reason.TOKEN_REFUSED, DUE + 1, uninstall=True)
        assert everything(world, key) == (
            ended(before, Status.UNINSTALLED, DUE + 1, "token_refused"),
            Rest(uninstalled_at=DUE + 1),
        )

    @pytest.mark.parametrize("uninstall", [True, False])
    def test_a_refusal_told_twice_is_the_same_one(self, world: World, uninstall: bool) -> None:
        key = connected(world)
        assert world.endings.refused(key, FIRST, Reason.TOKEN_REFUSED, DUE, uninstall=uninstall)
        before = everything(world, key)
        assert world.endings.refused(key, FIRST, Reason.TOKEN_REFUSED, DUE, uninstall=uninstall)
        assert not world.endings.refused(key, FIRST, Reason.TOKEN_REFUSED, DUE + 1, uninstall=uninstall)
        assert everything(world, key) == before

    @pytest.mark.parametrize("seen", [None, FIRST])
    def test_what_ends_later_than_in_three_days_lives(self, world: World, seen: Seen | None) -> None:
        key = expires(world, NOW + EXPIRING_SECONDS + 9)
        before = everything(world, key)
        assert world.endings.expire(key, seen, NOW + 8, ends=True) is Expiry.LIVES
        assert everything(world, key) == before
        assert world.endings.expire(key, seen, NOW + 9, ends=True) is Expiry.NEAR

    def test_what_never_ends_lives(self, world: World) -> None:
        key = connected(world, tokens=BARE)
        before = everything(world, key)
        assert world.endings.expire(key, FIRST, DUE + 10 * EXPIRING_SECONDS, ends=True) is Expiry.LIVES
        assert everything(world, key) == before

    @pytest.mark.parametrize("seen", [None, FIRST])
    def test_a_near_end_is_noted_once_and_falls_due_then(self, world: World, seen: Seen | None) -> None:
        end = DUE + EXPIRING_SECONDS
        key = expires(world, end)
        before = everything(world, key)
        assert world.endings.expire(key, seen, DUE, ends=True) is Expiry.NEAR
        told = before[0].connection._replace(expiring_at=end, updated_at=DUE)
        after = (before[0]._replace(connection=told), before[1]._replace(due_at=end))
        assert everything(world, key) == after
        assert world.endings.expire(key, seen, DUE, ends=True) is Expiry.NEAR, (
            "its own answer may have been lost"
        )
        assert world.endings.expire(key, seen, DUE + 1, ends=True) is Expiry.LIVES
        assert world.endings.expire(key, seen, end - 1, ends=True) is Expiry.LIVES
        assert everything(world, key) == after

    @pytest.mark.parametrize("late", [LATE_SECONDS, LATE_SECONDS + 1, 99 * EXPIRING_SECONDS])
    @pytest.mark.parametrize("noted", [True, False])
    @pytest.mark.parametrize("seen", [None, FIRST])
    def test_ten_minutes_after_its_end_it_waits_for_the_merchant(
        self, world: World, late: int, noted: bool, seen: Seen | None
    ) -> None:
        key = expires(world, DUE)
        before = everything(world, key)
        if noted:
            assert world.endings.expire(key, seen, DUE - 9, ends=True) is Expiry.NEAR
        assert world.endings.expire(key, seen, DUE + late, ends=True) is Expiry.OVER
        lost = before[0].connection._replace(
            status=Status.NEEDS_RECONNECT, last_error="token_expired", updated_at=DUE + late
        )
        after = (before[0]._replace(connection=lost), before[1]._replace(due_at=None))
        assert everything(world, key) == after
        assert world.endings.expire(key, seen, DUE + late, ends=True) is Expiry.OVER, (
            "its own answer may have been lost"
        )
        assert world.endings.expire(key, seen, DUE + late + 1, ends=True) is Expiry.LIVES
        assert everything(world, key) == after

    @pytest.mark.parametrize(("late", "ends"), [(LATE_SECONDS - 1, True), (99 * EXPIRING_SECONDS, False)])
    def test_what_is_late_by_less_or_may_not_end_is_only_told(
        self, world: World, late: int, ends: bool
    ) -> None:
        """Clocks differ; and where somebody can be asked, a stated end alone ends nothing."""
        key = expires(world, DUE)
        before = everything(world, key)
        assert world.endings.expire(key, FIRST, DUE + late, ends=ends) is Expiry.NEAR
        told = before[0].connection._replace(expiring_at=DUE, updated_at=DUE + late)
        after = (before[0]._replace(connection=told), before[1]._replace(due_at=DUE))
        assert everything(world, key) == after
        assert world.endings.expire(key, FIRST, DUE + late + 1, ends=False) is Expiry.LIVES
        assert everything(world, key) == after

    @pytest.mark.parametrize("now", [DUE - 9, DUE, DUE + LATE_SECONDS, DUE + 99 * EXPIRING_SECONDS])
    @pytest.mark.parametrize("ends", [True, False])
    def test_what_has_a_refresh_token_lives(self, world: World, now: int, ends: bool) -> None:
        key = connected(world, tokens=EVERYTHING._replace(expires_at=DUE))
        before = everything(world, key)
        assert before[1].refresh is not None
        assert world.endings.expire(key, FIRST, now, ends=ends) is Expiry.LIVES
        assert everything(world, key) == before

    @pytest.mark.parametrize("seen", [Seen(1, 2), Seen(2, 1), Seen(0, 1)])
    @pytest.mark.parametrize("late", [-9, 0, LATE_SECONDS])
    def test_what_is_not_as_it_was_seen_does_not_expire(self, world: World, seen: Seen, late: int) -> None:
        key = expires(world, DUE)
        before = everything(world, key)
        assert world.endings.expire(key, seen, DUE + late, ends=True) is Expiry.LIVES
        assert everything(world, key) == before

    def test_what_ended_otherwise_does_not_expire(self, world: World) -> None:
        cut, gone = expires(world, DUE), expires(world, DUE)
        assert world.endings.disconnect(cut, DUE + 1)
        assert world.endings.refused(gone, FIRST, Reason.TOKEN_REFUSED, DUE + 1, uninstall=False)
        for key in (cut, gone):
            before = everything(world, key)
            for now in (DUE - 9, DUE + 1, DUE + LATE_SECONDS):
                assert world.endings.expire(key, None, now, ends=True) is Expiry.LIVES
            assert everything(world, key) == before
        assert world.endings.expire(NOWHERE, None, DUE, ends=True) is Expiry.LIVES
        assert world.connections.read(*NOWHERE) is None

    def test_of_sixteen_who_see_a_near_end_at_different_times_one_tells(self, world: World) -> None:
        key = expires(world, DUE + EXPIRING_SECONDS)
        with ThreadPoolExecutor(16) as pool:
            told = list(
                pool.map(lambda now: world.endings.expire(key, FIRST, now, ends=True), range(DUE, DUE + 16))
            )
        assert sorted(each.value for each in told) == ["lives"] * 15 + ["near"]

    def test_who_comes_back_owes_nothing_to_the_end_before(self, world: World) -> None:
        key = expires(world, DUE)
        assert world.endings.expire(key, FIRST, DUE - 9, ends=True) is Expiry.NEAR
        connected(world, merchant=key.merchant_id, at=DUE + 10)
        one = row(world, key).connection
        assert (one.expiring_at, one.generation) == (None, 2)
        assert world.endings.expire(key, FIRST, DUE + 99_999, ends=True) is Expiry.LIVES

    @pytest.mark.parametrize("way", ["refused", "uninstalled", "disconnected"])
    def test_what_ended_is_not_expiring_any_more(self, world: World, way: str) -> None:
        key = expires(world, DUE + 99)
        assert world.endings.expire(key, FIRST, DUE, ends=True) is Expiry.NEAR
        if way == "disconnected":
            assert world.endings.disconnect(key, DUE + 1)
        else:
            uninstall = way == "uninstalled"
            assert world.endings.refused(key, FIRST, Reason.TOKEN_REFUSED, DUE + 1, uninstall=uninstall)
        assert row(world, key).connection.expiring_at is None

    def test_the_latest_tombstone_stays(self, world: World) -> None:
        account = f"shop-{a_merchant()}"
        for at, expected in ((DUE, DUE), (DUE - 1, DUE), (DUE + 1, DUE + 1), (DUE, DUE + 1)):
            world.endings.bury("prov-a", account, at, DUE + 9)
            assert world.tombstone("prov-a", account) == expected
        assert world.tombstone("prov-b", account) is None

    def test_a_tombstone_stops_flows_that_were_burned_before_it(self, world: World) -> None:
        link, state = a_link(), a_state()
        account = f"shop-{link.jti}"
        world.flows.burn(link, state, NOW)
        world.endings.bury("prov-a", account, NOW, NOW)
        with pytest.raises(Failure) as refused:
            world.connections.connect(exchange(link, account), link, state)
        assert refused.value.reason is Reason.UNINSTALLED_MEANWHILE
        key = connected(world, account, merchant=link.merchant_id, at=NOW + 1)
        assert row(world, key).connection.generation == 1

    def test_the_holders_of_an_account_are_found_in_order(self, world: World) -> None:
        account = f"shop-{a_merchant()}"
        keys = [connected(world, account) for _ in range(3)]
        connected(world, account, verified=False)
        assert world.endings.holders("prov-a", account) == sorted(key.merchant_id for key in keys)
        assert world.endings.holders("prov-b", account) == []
        assert world.endings.holders("prov-a", f"{account}-") == []

    def test_a_holder_stays_findable_after_the_end(self, world: World) -> None:
        account = f"shop-{a_merchant()}"
        key = connected(world, account)
        assert world.endings.uninstall(key, DUE, DUE)
        assert world.endings.holders("prov-a", account) == [key.merchant_id]

    @pytest.mark.parametrize("waiting", [True, False])
    def test_an_uninstall_ends_and_erases(self, world: World, waiting: bool) -> None:
        key = lost(world) if waiting else connected(world)
        before = row(world, key)
        if not waiting:
            leased(world, key)
        assert world.endings.uninstall(key, DUE, DUE + 7)
        assert everything(world, key) == (
            ended(before, Status.UNINSTALLED, DUE + 7, None),
            Rest(uninstalled_at=DUE),
        )

    @pytest.mark.parametrize(("late", "stale"), [(-1, True), (0, True), (1, False)])
    def test_an_uninstall_from_before_the_connect_is_stale(
        self, world: World, late: int, stale: bool
    ) -> None:
        key = connected(world)
        before = everything(world, key)
        assert world.endings.uninstall(key, NOW + 2 + late, DUE) is not stale
        assert (everything(world, key) == before) is stale

    def test_an_uninstall_is_told_once(self, world: World) -> None:
        key = connected(world)
        assert world.endings.uninstall(key, DUE, DUE + 1)
        before = everything(world, key)
        assert world.endings.uninstall(key, DUE, DUE + 1), "its own answer may have been lost"
        for at, now in ((DUE, DUE + 2), (DUE + 1, DUE + 1), (DUE + 50, DUE + 60)):
            assert not world.endings.uninstall(key, at, now)
        assert everything(world, key) == before

    def test_a_reinstall_outlives_the_old_notice(self, world: World) -> None:
        key = connected(world)
        assert world.endings.uninstall(key, DUE, DUE)
        connected(world, merchant=key.merchant_id, at=DUE + 10)
        before = everything(world, key)
        assert before[1].uninstalled_at is None
        assert not world.endings.uninstall(key, DUE, DUE + 20)
        assert everything(world, key) == before

    @pytest.mark.parametrize("waiting", [True, False])
    def test_a_disconnect_ends_and_erases(self, world: World, waiting: bool) -> None:
        key = lost(world) if waiting else connected(world)
        before = row(world, key)
        assert world.endings.disconnect(key, DUE + 7) is True
        assert everything(world, key) == (ended(before, Status.DISCONNECTED, DUE + 7, None), Rest())

    def test_a_disconnect_is_told_once(self, world: World) -> None:
        key = connected(world)
        assert world.endings.disconnect(key, DUE) is True
        before = everything(world, key)
        assert world.endings.disconnect(key, DUE) is True, "its own answer may have been lost"
        assert world.endings.disconnect(key, DUE + 1) is False
        assert everything(world, key) == before

    def test_what_ended_stays_as_it_ended(self, world: World) -> None:
        cut, gone = connected(world), connected(world)
        assert world.endings.disconnect(cut, DUE)
        assert world.endings.uninstall(gone, DUE, DUE)
        before = everything(world, cut), everything(world, gone)
        assert world.endings.uninstall(cut, DUE + 1, DUE + 1) is False
        assert world.endings.disconnect(gone, DUE + 1) is False
        assert (everything(world, cut), everything(world, gone)) == before

    def test_of_sixteen_who_end_it_at_different_times_one_does(self, world: World) -> None:
        key = connected(world)
        with ThreadPoolExecutor(16) as pool:
            done = list(pool.map(lambda now: world.endings.disconnect(key, now), range(DUE, DUE + 16)))
        assert sorted(done, key=str) == [False] * 15 + [True]
        assert row(world, key).connection.updated_at == DUE + done.index(True)
