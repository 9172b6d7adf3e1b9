"""What every implementation of the due index port must do."""

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.schedule import due_shard, shards
from mooring.core.upkeep import DueRow, Key, Seen, Setback, Standing
from tests.contract.samples import BARE, NOW, a_merchant
from tests.contract.upkeep_world import DUE, World, connected, fresh, leased

EARLY = 1_000
"""Long before what other tests leave in the index, so that pages are few."""


def falling_due(world: World, merchant: str, *late: int) -> list[DueRow]:
    """Connections of one merchant that fall due so many seconds after EARLY."""
    rows = []
    for number, seconds in enumerate(late):
        key = connected(world, f"shop-{number}", merchant=merchant)
        world.leases.store(fresh(leased(world, key), DUE, due_at=EARLY + seconds), DUE)
        rows.append(DueRow(key, EARLY + seconds))
    return rows


def shard_of(key: Key) -> str:
    return due_shard(key.provider, key.merchant_id, key.account_id)


def pages(world: World, shard: str, until: int, limit: int) -> list[tuple[DueRow, ...]]:
    """Every page of a shard."""
    found, start = [], None
    while True:
        page = world.due.due(shard, until, limit, start)
        found.append(page.rows)
        if page.next is None:
            return found
        start = page.next


def due(world: World, merchant: str, until: int, limit: int = 1_000) -> list[DueRow]:
    """What falls due in every shard, of one merchant."""
    found = []
    for shard in shards("prov-a"):
        rows = [row for page in pages(world, shard, until, limit) for row in page]
        assert [row.due_at for row in rows] == sorted(row.due_at for row in rows)
        assert all(
            due_shard(*(row.key.provider, row.key.merchant_id, row.key.account_id)) == shard for row in rows
        )
        found += [row for row in rows if row.key.merchant_id == merchant]
    return found


class DueBattery:
    """Inherit it, and give the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    def test_what_falls_due_is_found_in_its_shard(self, world: World) -> None:
        merchant = a_merchant()
        rows = falling_due(world, merchant, 30, 10, 20, 61)
        assert sorted(due(world, merchant, EARLY + 60)) == sorted(rows[:3])
        assert sorted(due(world, merchant, EARLY + 61)) == sorted(rows)
        assert due(world, merchant, EARLY + 9) == []

    def test_pages_lead_to_everything_once_and_in_order(self, world: World) -> None:
        merchant = a_merchant()
        rows = falling_due(world, merchant, *range(24, 0, -3))
        found = due(world, merchant, EARLY + 60, limit=2)
        assert sorted(found) == sorted(rows)
        shard = shard_of(rows[0].key)
        assert all(len(page) <= 2 for page in pages(world, shard, EARLY + 60, 2))

    def test_another_provider_has_other_shards(self, world: World) -> None:
        falling_due(world, a_merchant(), 0)
        assert [world.due.due(shard, DUE + 999, 10) for shard in shards("prov-zz")] == [((), None)] * 8

    def test_what_has_nothing_to_refresh_never_falls_due(self, world: World) -> None:
        key = connected(world, tokens=BARE)
        assert due(world, key.merchant_id, DUE + 99_999) == []

    def test_what_ended_or_is_given_up_falls_due_no_more(self, world: World) -> None:
        merchant = a_merchant()
        lost, cut, gone, refused = (connected(world, f"shop-{n}", merchant=merchant) for n in range(4))
        assert world.leases.lose(leased(world, lost), Reason.GRANT_REFUSED, DUE)
        assert world.endings.disconnect(cut, DUE)
        assert world.endings.uninstall(gone, DUE, DUE)
        assert world.endings.refused(refused, Seen(1, 1), Reason.TOKEN_REFUSED, DUE, uninstall=False)
        assert due(world, merchant, DUE + 99_999) == []

    def test_generation_and_version_of_what_is_active(self, world: World) -> None:
        first, second, cut = connected(world), connected(world), connected(world)
        world.leases.store(fresh(leased(world, first), DUE), DUE)
        connected(world, merchant=second.merchant_id, at=NOW + 60)
        assert world.endings.disconnect(cut, DUE)
        never = Key(a_merchant(), "prov-a", "shop-1")
        assert world.due.standing([first, cut, second, never, first]) == {
            first: Standing(Seen(1, 2)),
            second: Standing(Seen(2, 2)),
        }

    def test_nobody_is_seen_where_nobody_is_asked_for(self, world: World) -> None:
        assert world.due.standing([]) == {}

    def test_a_hundred_may_be_asked_for_at_once(self, world: World) -> None:
        merchant = a_merchant()
        there = [connected(world, f"shop-{number}", merchant=merchant) for number in (0, 99)]
        keys = [Key(merchant, "prov-a", f"shop-{number}") for number in range(100)]
        assert world.due.standing(keys) == dict.fromkeys(there, Standing(Seen(1, 1)))

    def test_a_row_that_cannot_be_read_is_told_and_keeps_no_other_back(self, world: World) -> None:
        first, broken, last = (connected(world) for _ in range(3))
        world.spoil(broken)
        found = dict(world.due.standing([first, broken, last]))
        told = found.pop(broken)
        assert isinstance(told, Failure)
        assert (told.reason, told.detail) == (
            Reason.INTERNAL,
            "a stored row has no usable attribute generation",
        )
        assert found == dict.fromkeys((first, last), Standing(Seen(1, 1)))

    def test_since_when_refreshes_fail_until_one_does_not(self, world: World) -> None:
        key = connected(world)
        for at in (DUE, DUE + 100):
            lease = leased(world, key, now=at)
            world.leases.put_off(lease, Setback(Reason.PROVIDER_UNAVAILABLE, at + 15, in_doubt=False), at)
        assert world.due.standing([key]) == {key: Standing(Seen(1, 1), DUE)}
        world.leases.store(fresh(leased(world, key, now=DUE + 200), DUE + 200), DUE + 200)
        assert world.due.standing([key]) == {key: Standing(Seen(1, 2))}
