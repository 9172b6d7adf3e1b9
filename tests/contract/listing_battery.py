"""What every implementation of a paged list of connections must do."""

from typing import Protocol

import pytest

from mooring.core.connection import Connection, Page, Status, Wanted
from mooring.core.ports import Connections
from tests.contract.samples import NOW, a_merchant

KEYS = [
    "aa#default",
    "prov-a#10",
    "prov-a#A",
    "prov-a#a",
    "prov-a#a-b",
    "prov-a#a.b",
    "prov-a#ab",
    "prov-a-b#1",
    "prov-aa#1",
    "prov-b#1",
    "zz#zz",
]
"""In the order of a list. Names that begin alike, and characters that sort around the hash."""
ENDED = {"prov-a#A": Status.DISCONNECTED, "prov-a#ab": Status.UNINSTALLED, "zz#zz": Status.NEEDS_RECONNECT}


class World(Protocol):
    """The port, and rows as a test wants them."""

    @property
    def connections(self) -> Connections:
        """The connections port."""

    def place(self, connection: Connection) -> None:
        """Put a row."""

    def remove(self, merchant_id: str, key: str) -> None:
        """Take a row away, as nothing of ours does while somebody pages."""

    def place_others(self, merchant_id: str) -> None:
        """Put rows that are no connections: one that waits for confirmation, one of our own."""


def a_connection(merchant_id: str, key: str) -> Connection:
    provider, _, account = key.partition("#")
    status = ENDED.get(key, Status.ACTIVE)
    return Connection(
        merchant_id, provider, account, status, 1, 1, ("read",), None, NOW, NOW, True, None, {"k": "v"}
    )


def keys(page: Page) -> list[str]:
    return [f"{one.provider}#{one.account_id}" for one in page.connections]


def pages(world: World, merchant_id: str, wanted: Wanted) -> list[list[str]]:
    """Page after page, until there is none."""
    found, after = [], wanted.after
    while True:
        page = world.connections.list(merchant_id, wanted._replace(after=after))
        assert len(page.connections) <= wanted.limit
        found.append(keys(page))
        if page.after is None:
            return found
        assert page.after > (after or "")
        after = page.after


class ListingBattery:
    """Inherit it, and give the fixture `world`."""

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    @pytest.fixture
    def merchant(self, world: World) -> str:
        """A merchant with all of `KEYS`, and neighbours with names that begin alike."""
        merchant = a_merchant()
        for key in reversed(KEYS):
            world.place(a_connection(merchant, key))
        for other in (f"{merchant}-", f"{merchant}.0", f"a{merchant}"):
            world.place(a_connection(other, "prov-a#of-a-neighbour"))
        world.place_others(merchant)
        return merchant

    def test_a_whole_list_is_one_page(self, world: World, merchant: str) -> None:
        page = world.connections.list(merchant, Wanted(len(KEYS)))
        assert keys(page) == KEYS
        assert page.after is None
        assert page.connections[0] == a_connection(merchant, KEYS[0])

    @pytest.mark.parametrize("limit", [1, 2, 3, len(KEYS) - 1, len(KEYS), len(KEYS) + 1, 100])
    def test_pages_hold_everything_once_and_in_order(self, world: World, merchant: str, limit: int) -> None:
        found = pages(world, merchant, Wanted(limit))
        assert [key for page in found for key in page] == KEYS
        assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
        assert len(found) == -(-len(KEYS) // limit)

    @pytest.mark.parametrize("provider", ["prov-a", "prov-a-b", "prov-aa", "aa", "zz", "prov", "none"])
    @pytest.mark.parametrize("limit", [1, 3, 100])
    def test_of_one_provider(self, world: World, merchant: str, provider: str, limit: int) -> None:
        found = pages(world, merchant, Wanted(limit, provider=provider))
        assert [key for page in found for key in page] == [
            key for key in KEYS if key.startswith(f"{provider}#")
        ]

    @pytest.mark.parametrize("status", [status for status in Status if status in ENDED.values()])
    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_of_one_status(self, world: World, merchant: str, status: Status, limit: int) -> None:
        found = pages(world, merchant, Wanted(limit, status=status))
        assert [key for page in found for key in page] == [key for key in KEYS if ENDED.get(key) is status]

    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_of_both(self, world: World, merchant: str, limit: int) -> None:
        found = pages(world, merchant, Wanted(limit, "prov-a", Status.ACTIVE))
        expected = [key for key in KEYS if key.startswith("prov-a#") and key not in ENDED]
        assert [key for page in found for key in page] == expected
        assert pages(world, merchant, Wanted(limit, "aa", Status.UNINSTALLED)) == [[]]

    def test_a_page_goes_on_after_a_row_that_is_gone(self, world: World, merchant: str) -> None:
        page = world.connections.list(merchant, Wanted(4))
        assert page.after == KEYS[3]
        world.remove(merchant, KEYS[3])
        assert keys(world.connections.list(merchant, Wanted(100, after=page.after))) == KEYS[4:]
        of_provider = Wanted(100, "prov-a", after=page.after)
        assert keys(world.connections.list(merchant, of_provider)) == KEYS[4:7]

    def test_what_comes_before_the_cursor_meanwhile_is_not_shown_and_what_comes_after_is(
        self, world: World, merchant: str
    ) -> None:
        page = world.connections.list(merchant, Wanted(2))
        for key in ("aa#0", "prov-a#1000", "zz#zzz"):
            world.place(a_connection(merchant, key))
        rest = keys(world.connections.list(merchant, Wanted(100, after=page.after)))
        assert rest == ["prov-a#1000", *KEYS[2:], "zz#zzz"]

    def test_after_the_last_there_is_nothing(self, world: World, merchant: str) -> None:
        assert world.connections.list(merchant, Wanted(5, after=KEYS[-1])) == Page(())
        assert world.connections.list(a_merchant(), Wanted(5)) == Page(())
