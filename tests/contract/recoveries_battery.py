"""What every implementation of the recoveries port must do."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.core.connection import Connection, NewConnection, Status
from mooring.core.errors import Reason
from mooring.core.link import Link
from mooring.core.ports import Burn, BurnStatus
from mooring.core.tokens import SealedTokens
from mooring.core.upkeep import Key, Seen, Storing
from tests.contract.samples import BARE, EVERYTHING, NOW, a_link, a_state, exchange, sealed
from tests.contract.upkeep_world import DUE, Rest, World, connected, fresh, leased, row, seen

LATER = EVERYTHING._replace(access=sealed("later access"), refresh=sealed("later refresh"))


def delayed(
    world: World, account: str = "shop-1", tokens: SealedTokens = EVERYTHING, *, merchant: str | None = None,
    at: int = NOW, verified: bool = True, confirmation: str | None = None,
) -> tuple[NewConnection, Link, str]:  # fmt: skip
    """An exchange whose callback could not store it: burned at `at`, never stored."""
    link, state = a_link(merchant), a_state()
    world.flows.burn(link, state, at)
    new = exchange(link, account, tokens, verified=verified, at=at, confirmation=confirmation)
    return new, link, state


def key_of(new: NewConnection) -> Key:
    return Key(new.merchant_id, new.provider, new.account.account_id)


class RecoveriesBattery:
    """Inherit it, and give the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_restored_exchange_is_as_if_it_had_been_stored_in_time(self, world: World) -> None:
        message = delayed(world)
        assert world.recoveries.restore(*message) is Storing.STORED
        key = key_of(message[0])
        assert row(world, key).access == EVERYTHING.access
        assert row(world, key).connection == Connection(
            merchant_id=key.merchant_id,
            provider="prov-a",
            account_id="shop-1",
            status=Status.ACTIVE,
            generation=1,
            version=1,
            scopes=("read", "write"),
            expires_at=NOW + 3_600,
            connected_at=NOW + 2,
            updated_at=NOW + 2,
            account_verified=True,
            last_error=None,
            details={"app_key": "k-1"},
            issued_at=NOW + 2,
        )
        assert world.rest(key) == Rest(sealed("refresh"), NOW + 86_400, DUE)

    def test_its_account_leads_to_its_merchant(self, world: World) -> None:
        account = f"shop-{a_link().jti}"
        message = delayed(world, account)
        world.recoveries.restore(*message)
        world.recoveries.restore(*delayed(world, account, verified=False))
        assert world.endings.holders("prov-a", account) == [message[0].merchant_id]

    @pytest.mark.parametrize("end", ["open", "failed", "kept"])
    def test_its_flow_is_done(self, world: World, end: str) -> None:
        new, link, state = delayed(world)
        if end == "failed":
            world.flows.fail(link, state, "out_of_time")
        if end == "kept":
            world.flows.keep(link, state, sealed("kept"))
        world.recoveries.restore(new, link, state)
        assert world.flows.burn(link, state, NOW + 9) == Burn(BurnStatus.DONE, NOW, "shop-1")

    def test_a_flow_that_is_gone_is_not_needed(self, world: World) -> None:
        link = a_link()
        assert world.recoveries.restore(exchange(link), link, a_state()) is Storing.STORED
        assert world.flows.burn(link, a_state(), NOW).status is BurnStatus.BURNED

    def test_what_comes_twice_counts_once(self, world: World) -> None:
        message = delayed(world)
        for _ in range(3):
            assert world.recoveries.restore(*message) is Storing.STORED
        assert seen(world, key_of(message[0])) == Seen(1, 1)

    def test_what_comes_at_once_counts_once(self, world: World) -> None:
        message = delayed(world)
        with ThreadPoolExecutor(8) as pool:
            stored = list(pool.map(lambda _: world.recoveries.restore(*message), range(8)))
        assert stored == [Storing.STORED] * 8
        assert seen(world, key_of(message[0])) == Seen(1, 1)

    def test_what_the_callback_stored_after_all_counts_once(self, world: World) -> None:
        new, link, state = delayed(world)
        world.connections.connect(new, link, state)
        before = row(world, key_of(new)), world.rest(key_of(new))
        assert world.recoveries.restore(new, link, state) is Storing.STORED
        assert (row(world, key_of(new)), world.rest(key_of(new))) == before

    def test_what_was_refreshed_since_stays(self, world: World) -> None:
        message = delayed(world)
        world.recoveries.restore(*message)
        key = key_of(message[0])
        world.leases.store(fresh(leased(world, key), DUE), DUE)
        before = row(world, key), world.rest(key)
        assert world.recoveries.restore(*message) is Storing.STORED
        assert (row(world, key), world.rest(key)) == before

    def test_it_is_a_new_generation_of_what_stands_there(self, world: World) -> None:
        key = connected(world)
        world.leases.store(fresh(leased(world, key), DUE), DUE)
        message = delayed(world, tokens=LATER, merchant=key.merchant_id, at=NOW + 60)
        assert world.recoveries.restore(*message) is Storing.STORED
        assert (row(world, key).access, seen(world, key)) == (LATER.access, Seen(2, 3))
        assert row(world, key).connection.connected_at == NOW + 62

    def test_it_helps_a_connection_that_waits_for_its_merchant(self, world: World) -> None:
        key = connected(world)
        assert world.leases.lose(leased(world, key), Reason.GRANT_REFUSED, DUE)
        message = delayed(world, tokens=LATER, merchant=key.merchant_id, at=NOW + 60)
        assert world.recoveries.restore(*message) is Storing.STORED
        assert row(world, key).connection.status is Status.ACTIVE

    @pytest.mark.parametrize(("at", "expected"), [(NOW, Storing.SUPERSEDED), (NOW + 1, Storing.OBSOLETE)])
    def test_a_later_exchange_stays(self, world: World, at: int, expected: Storing) -> None:
        early = delayed(world, tokens=LATER)
        key = connected(world, merchant=early[0].merchant_id, at=at)
        before = row(world, key), world.rest(key)
        assert world.recoveries.restore(*early) is expected
        assert (row(world, key), world.rest(key)) == before
        assert world.flows.burn(early[1], early[2], NOW).status is BurnStatus.EXCHANGING

    @pytest.mark.parametrize("late", [-1, 1, 60])
    def test_what_another_callback_stored_of_the_same_flow_stays(self, world: World, late: int) -> None:
        """A kept token set, of which two callbacks made a connection each: it lives, whoever was later."""
        new, link, state = delayed(world, tokens=LATER, at=NOW + 60)
        world.flows.keep(link, state, sealed("kept"))
        again = exchange(link, tokens=EVERYTHING, at=NOW + 60 + late)
        world.connections.connect(again, link, state)
        key = key_of(new)
        world.leases.store(fresh(leased(world, key), DUE), DUE)
        before = row(world, key), world.rest(key)
        assert world.recoveries.restore(new, link, state) is Storing.SUPERSEDED
        assert (row(world, key), world.rest(key)) == before

    def test_what_was_stored_and_then_replaced_may_live(self, world: World) -> None:
        """Nobody remembers by which callback it was stored, so nobody can say that it is of no use."""
        message = delayed(world)
        assert world.recoveries.restore(*message) is Storing.STORED
        key = connected(world, merchant=message[0].merchant_id, at=NOW + 60)
        before = row(world, key)
        assert world.recoveries.restore(*message) is Storing.SUPERSEDED
        assert row(world, key) == before

    def test_of_a_flow_that_is_gone_nobody_knows_whether_it_was_stored(self, world: World) -> None:
        key = connected(world, at=NOW + 60)
        link = a_link(key.merchant_id)
        before = row(world, key)
        assert world.recoveries.restore(exchange(link), link, a_state()) is Storing.SUPERSEDED
        assert row(world, key) == before

    @pytest.mark.parametrize("ended_at", [NOW + 61, DUE])
    def test_what_was_stored_of_the_same_flow_and_then_ended_stays_ended(
        self, world: World, ended_at: int
    ) -> None:
        new, link, state = delayed(world, tokens=LATER, at=NOW + 60)
        world.connections.connect(exchange(link, at=NOW + 58), link, state)
        key = key_of(new)
        assert world.endings.disconnect(key, ended_at)
        before = row(world, key)
        assert world.recoveries.restore(new, link, state) is not Storing.STORED
        assert row(world, key) == before

    @pytest.mark.parametrize(("ended_at", "stored"), [(NOW + 61, True), (NOW + 62, False), (DUE, False)])
    def test_an_end_after_the_exchange_stays(self, world: World, ended_at: int, stored: bool) -> None:
        key = connected(world)
        message = delayed(world, tokens=LATER, merchant=key.merchant_id, at=NOW + 60)
        assert world.endings.disconnect(key, ended_at)
        before = row(world, key)
        expected = Storing.STORED if stored else Storing.OBSOLETE
        assert world.recoveries.restore(*message) is expected
        assert (row(world, key) == before) is not stored

    def test_what_was_restored_and_then_ended_stays_ended(self, world: World) -> None:
        message = delayed(world)
        world.recoveries.restore(*message)
        key = key_of(message[0])
        assert world.endings.disconnect(key, DUE)
        before = row(world, key), world.rest(key)
        assert world.recoveries.restore(*message) is Storing.OBSOLETE
        assert (row(world, key), world.rest(key)) == before

    @pytest.mark.parametrize(("late", "stored"), [(-1, True), (0, False), (500, False)])
    def test_a_notice_at_or_after_the_burn_wins(self, world: World, late: int, stored: bool) -> None:
        message = delayed(world, f"shop-{a_link().jti}")
        key = key_of(message[0])
        world.endings.bury("prov-a", key.account_id, NOW + late, NOW + 500)
        assert world.recoveries.restore(*message) is (Storing.STORED if stored else Storing.OBSOLETE)
        assert (world.connections.read(*key) is not None) is stored
        assert world.endings.holders("prov-a", key.account_id) == ([key.merchant_id] if stored else [])

    def test_an_unverified_account_never_replaces_a_verified_one(self, world: World) -> None:
        key = connected(world)
        before = row(world, key)
        message = delayed(world, tokens=BARE, merchant=key.merchant_id, at=NOW + 60, verified=False)
        assert world.recoveries.restore(*message) is Storing.OBSOLETE
        assert row(world, key) == before

    def test_one_that_waits_for_its_confirmation_touches_no_live_one(self, world: World) -> None:
        key = connected(world)
        confirmation, before = f"c-{a_link().jti}", row(world, key)
        message = delayed(
            world, tokens=BARE, merchant=key.merchant_id, at=NOW + 60, confirmation=confirmation
        )
        for _ in range(2):
            assert world.recoveries.restore(*message) is Storing.STORED
        assert world.waits(key.merchant_id, confirmation)
        assert row(world, key) == before
        done = Burn(BurnStatus.DONE, NOW + 60, "shop-1", pending=True)
        assert world.flows.burn(message[1], message[2], NOW) == done

    def test_a_notice_stops_one_that_would_wait(self, world: World) -> None:
        confirmation = f"c-{a_link().jti}"
        message = delayed(world, f"shop-{confirmation}", confirmation=confirmation)
        world.endings.bury("prov-a", f"shop-{confirmation}", NOW, NOW)
        assert world.recoveries.restore(*message) is Storing.OBSOLETE
        assert not world.waits(message[0].merchant_id, confirmation)
