"""What every implementation of the connections port must do, together with its flows."""

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from mooring.core.connection import Connection, NewConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.ports import Burn, BurnStatus, Connections, Flows
from tests.contract.samples import (
    BARE,
    EVERYTHING,
    NOW,
    a_link,
    a_merchant,
    a_state,
    exchange,
    listed,
    sealed,
)


class World(Protocol):
    """Both ports over the same storage, and what a test may see and do besides."""

    @property
    def flows(self) -> Flows:
        """The flows port."""

    @property
    def connections(self) -> Connections:
        """The connections port."""

    def tombstone(self, provider: str, account_id: str, at: int) -> None:
        """An uninstall notice came at `at`."""

    def pointers(self, provider: str, account_id: str) -> set[str]:
        """The merchants that an account leads to."""

    def waits(self, merchant_id: str, confirmation_hash: str) -> bool:
        """Whether a connection waits for this confirmation."""


def burned(world: World, link: Link, at: int = NOW) -> str:
    state = a_state()
    assert world.flows.burn(link, state, at).status is BurnStatus.BURNED
    return state


def connected(world: World, link: Link, new: NewConnection) -> str:
    state = burned(world, link, new.burned_at)
    world.connections.connect(new, link, state)
    return state


def refused(world: World, new: NewConnection, link: Link, state: str) -> Reason:
    with pytest.raises(Failure) as caught:
        world.connections.connect(new, link, state)
    return caught.value.reason


class ConnectionsBattery:
    """Inherit it, and give the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_a_connection_reads_as_it_was_stored(self, world: World) -> None:
        link = a_link()
        connected(world, link, exchange(link))
        found = world.connections.read(link.merchant_id, "prov-a", "shop-1")
        assert found is not None
        assert found.access == EVERYTHING.access
        assert found.connection == Connection(
            merchant_id=link.merchant_id,
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

    def test_its_flow_is_done(self, world: World) -> None:
        link = a_link()
        state = connected(world, link, exchange(link))
        assert world.flows.burn(link, state, NOW + 9) == Burn(BurnStatus.DONE, NOW, "shop-1")

    def test_a_done_flow_neither_fails_nor_keeps(self, world: World) -> None:
        link = a_link()
        state = connected(world, link, exchange(link))
        world.flows.fail(link, state, "internal")
        world.flows.keep(link, state, sealed("late"))
        assert world.flows.burn(link, state, NOW + 9) == Burn(BurnStatus.DONE, NOW, "shop-1")

    def test_a_connection_that_never_was_reads_as_none(self, world: World) -> None:
        assert world.connections.read(a_merchant(), "prov-a", "shop-1") is None
        assert listed(world.connections, a_merchant()) == ()

    def test_a_reconnect_is_a_new_generation(self, world: World) -> None:
        link = a_link()
        connected(world, link, exchange(link))
        connected(world, link, exchange(link, tokens=BARE, at=NOW + 60))
        found = world.connections.read(link.merchant_id, "prov-a", "shop-1")
        assert found is not None
        assert found.access == BARE.access
        new = found.connection
        assert (new.generation, new.version, new.connected_at, new.updated_at) == (2, 2, NOW + 62, NOW + 62)
        assert (new.expires_at, new.scopes, new.details, new.account_verified) == (None, (), {}, True)

    @pytest.mark.parametrize(("before", "after"), [(True, True), (False, True), (False, False)])
    def test_a_reconnect_may_be_as_proven_as_before_or_better(
        self, world: World, before: bool, after: bool
    ) -> None:
        link = a_link()
        connected(world, link, exchange(link, verified=before))
        connected(world, link, exchange(link, tokens=BARE, verified=after, at=NOW + 60))
        found = world.connections.read(link.merchant_id, "prov-a", "shop-1")
        assert found is not None
        assert (found.connection.generation, found.connection.account_verified) == (2, after)
        assert found.access == BARE.access

    def test_an_unverified_account_never_replaces_a_verified_one(self, world: World) -> None:
        link = a_link()
        account = f"shop-{link.jti}"
        connected(world, link, exchange(link, account))
        row = world.connections.read(link.merchant_id, "prov-a", account)
        state = burned(world, link, NOW + 60)
        unproven = exchange(link, account, tokens=BARE, verified=False, at=NOW + 60)
        for _ in range(2):
            assert refused(world, unproven, link, state) is Reason.ACCOUNT_MISMATCH
        assert world.connections.read(link.merchant_id, "prov-a", account) == row
        assert [one.generation for one in listed(world.connections, link.merchant_id)] == [1]
        assert world.pointers("prov-a", account) == {link.merchant_id}
        assert world.flows.burn(link, state, NOW + 61) == Burn(BurnStatus.EXCHANGING, NOW + 60)

    def test_an_unverified_account_replaces_nothing_of_other_merchants_or_accounts(
        self, world: World
    ) -> None:
        link, other = a_link(), a_link()
        connected(world, link, exchange(link, "shop-1"))
        connected(world, other, exchange(other, "shop-1", verified=False))
        connected(world, link, exchange(link, "shop-2", verified=False))
        assert [one.account_verified for one in listed(world.connections, link.merchant_id)] == [True, False]
        assert [one.account_verified for one in listed(world.connections, other.merchant_id)] == [False]

    def test_a_flow_that_is_done_says_so_even_where_a_verified_one_came_after_it(self, world: World) -> None:
        link = a_link()
        unproven = exchange(link, tokens=BARE, verified=False)
        state = connected(world, link, unproven)
        connected(world, link, exchange(link, at=NOW + 60))
        world.connections.connect(unproven, link, state)
        found = world.connections.read(link.merchant_id, "prov-a", "shop-1")
        assert found is not None
        assert (found.connection.generation, found.access) == (2, EVERYTHING.access)

    def test_two_connects_at_once_are_two_generations(self, world: World) -> None:
        link = a_link()
        states = [burned(world, link), burned(world, link)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda state: world.connections.connect(exchange(link), link, state), states))
        found = world.connections.read(link.merchant_id, "prov-a", "shop-1")
        assert found is not None
        assert (found.connection.generation, found.connection.version) == (2, 2)

    def test_one_flow_is_stored_once_whoever_asks_twice(self, world: World) -> None:
        link = a_link()
        state = burned(world, link)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: world.connections.connect(exchange(link), link, state), range(4)))
        assert [one.generation for one in listed(world.connections, link.merchant_id)] == [1]

    def test_a_flow_ends_with_one_account_only(self, world: World) -> None:
        link = a_link()
        state = connected(world, link, exchange(link, "shop-1"))
        assert refused(world, exchange(link, "shop-2"), link, state) is Reason.STORAGE_UNAVAILABLE
        assert [one.account_id for one in listed(world.connections, link.merchant_id)] == ["shop-1"]

    def test_a_flow_that_failed_stores_nothing(self, world: World) -> None:
        link = a_link()
        state = burned(world, link)
        world.flows.fail(link, state, "internal")
        assert refused(world, exchange(link), link, state) is Reason.STORAGE_UNAVAILABLE
        assert listed(world.connections, link.merchant_id) == ()

    def test_a_flow_that_was_never_burned_stores_nothing(self, world: World) -> None:
        link = a_link()
        assert refused(world, exchange(link), link, a_state()) is Reason.STORAGE_UNAVAILABLE
        assert listed(world.connections, link.merchant_id) == ()

    def test_a_kept_flow_connects_and_keeps_nothing_after(self, world: World) -> None:
        link = a_link()
        state = burned(world, link)
        world.flows.keep(link, state, sealed("kept"))
        world.connections.connect(exchange(link), link, state)
        assert world.flows.burn(link, state, NOW + 9) == Burn(BurnStatus.DONE, NOW, "shop-1")

    @pytest.mark.parametrize("later", [0, 1, 500])
    def test_a_notice_at_or_after_the_burn_wins(self, world: World, later: int) -> None:
        link = a_link()
        account = f"shop-{link.jti}"
        state = burned(world, link)
        world.tombstone("prov-a", account, NOW + later)
        assert refused(world, exchange(link, account), link, state) is Reason.UNINSTALLED_MEANWHILE
        assert world.connections.read(link.merchant_id, "prov-a", account) is None
        assert world.pointers("prov-a", account) == set()
        assert world.flows.burn(link, state, NOW + 9).status is BurnStatus.EXCHANGING

    def test_a_notice_before_the_burn_is_history(self, world: World) -> None:
        link = a_link()
        account = f"shop-{link.jti}"
        world.tombstone("prov-a", account, NOW - 1)
        world.tombstone("prov-b", account, NOW + 1)
        connected(world, link, exchange(link, account))
        assert world.connections.read(link.merchant_id, "prov-a", account) is not None

    def test_a_verified_account_leads_to_its_merchants(self, world: World) -> None:
        one, other = a_link(), a_link()
        account = f"shop-{one.jti}"
        for link in (one, other, one):
            connected(world, link, exchange(link, account))
        assert world.pointers("prov-a", account) == {one.merchant_id, other.merchant_id}

    def test_an_account_that_nobody_confirmed_leads_nowhere(self, world: World) -> None:
        link = a_link()
        account = f"shop-{link.jti}"
        connected(world, link, exchange(link, account, verified=False))
        assert world.pointers("prov-a", account) == set()

    def test_the_default_account_leads_nowhere(self, world: World) -> None:
        link = a_link()
        connected(world, link, exchange(link, "default", verified=True))
        assert world.pointers("prov-a", "default") == set()
        assert world.connections.read(link.merchant_id, "prov-a", "default") is not None

    def test_a_connection_that_waits_touches_no_live_one(self, world: World) -> None:
        link = a_link()
        connected(world, link, exchange(link))
        before = world.connections.read(link.merchant_id, "prov-a", "shop-1")
        confirmation = f"c-{link.jti}"
        waiting = exchange(link, tokens=BARE, at=NOW + 60, confirmation=confirmation)
        state = connected(world, link, waiting)
        assert world.waits(link.merchant_id, confirmation)
        assert world.connections.read(link.merchant_id, "prov-a", "shop-1") == before
        assert len(listed(world.connections, link.merchant_id)) == 1
        assert world.flows.burn(link, state, NOW) == Burn(BurnStatus.DONE, NOW + 60, "shop-1", pending=True)

    def test_a_connection_that_waits_leads_nowhere(self, world: World) -> None:
        link = a_link()
        account = f"shop-{link.jti}"
        connected(world, link, exchange(link, account, confirmation=f"c-{link.jti}"))
        assert world.pointers("prov-a", account) == set()
        assert listed(world.connections, link.merchant_id) == ()

    def test_a_notice_stops_a_connection_that_would_wait(self, world: World) -> None:
        link = a_link()
        account, confirmation = f"shop-{link.jti}", f"c-{link.jti}"
        state = burned(world, link)
        world.tombstone("prov-a", account, NOW)
        new = exchange(link, account, confirmation=confirmation)
        assert refused(world, new, link, state) is Reason.UNINSTALLED_MEANWHILE
        assert not world.waits(link.merchant_id, confirmation)

    def test_a_list_is_in_the_order_of_its_keys(self, world: World) -> None:
        link = a_link()
        for account in ("b", "a", "C"):
            connected(world, link, exchange(link, account))
        assert [one.account_id for one in listed(world.connections, link.merchant_id)] == ["C", "a", "b"]

    def test_merchants_do_not_see_each_other(self, world: World) -> None:
        one, other = a_link(), a_link()
        connected(world, one, exchange(one))
        assert listed(world.connections, other.merchant_id) == ()
        assert world.connections.read(other.merchant_id, "prov-a", "shop-1") is None

    def test_rows_of_our_own_cannot_be_read(self, world: World) -> None:
        link = a_link()
        account, confirmation = f"shop-{link.jti}", f"c-{link.jti}"
        connected(world, link, exchange(link, account))
        connected(world, link, exchange(link, account, confirmation=confirmation))
        assert world.connections.read(link.merchant_id, "@pending", confirmation) is None
        assert listed(world.connections, f"@account#prov-a#{account}") == ()
