"""What every implementation of the generations port must do."""

from collections.abc import Callable
from typing import Protocol

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.revocation import Generations, Revoked
from mooring.core.upkeep import Key
from tests.contract.samples import a_merchant

ENDED = [Status.UNINSTALLED, Status.DISCONNECTED]
LIVING = [Status.ACTIVE, Status.NEEDS_RECONNECT]


class Table(Protocol):
    """The port, and the rows behind it."""

    @property
    def generations(self) -> Generations:
        """The port."""

    def place(self, key: Key, status: Status, generation: int = 1, *, verified: bool = True) -> None:
        """Put a connection there, with its pointer if it is verified."""

    def noted(self, key: Key) -> str | None:
        """What its row says of the revocation."""

    def fail(self) -> None:
        """Let the table be unreachable from now on."""


def a_key(account: str = "shop-1", provider: str = "prov-a") -> Key:
    """A connection of a merchant that no other test uses."""
    return Key(a_merchant(), provider, account)


class GenerationsBattery:
    """Inherit it, and give the fixture `table`."""

    @pytest.fixture
    def table(self) -> Table:
        raise NotImplementedError

    @pytest.mark.parametrize("status", LIVING)
    def test_the_generation_that_lives_is_told(self, table: Table, status: Status) -> None:
        key = a_key()
        table.place(key, status, 7)
        assert table.generations.living(key) == 7

    @pytest.mark.parametrize("status", ENDED)
    def test_what_ended_does_not_live(self, table: Table, status: Status) -> None:
        key = a_key()
        table.place(key, status, 7)
        assert table.generations.living(key) is None

    def test_what_never_was_does_not_live(self, table: Table) -> None:
        assert table.generations.living(a_key()) is None

    def test_a_connection_is_not_its_own_relative(self, table: Table) -> None:
        key = a_key(f"shop-of-{a_merchant()}")
        table.place(key, Status.ACTIVE)
        assert not table.generations.has_relatives(key)

    @pytest.mark.parametrize(
        ("status", "related"), [*((s, True) for s in LIVING), *((s, False) for s in ENDED)]
    )
    def test_another_connection_of_the_merchant_there_is_one(
        self, table: Table, status: Status, related: bool
    ) -> None:
        key = a_key(f"shop-of-{a_merchant()}")
        table.place(key, Status.DISCONNECTED)
        table.place(key._replace(account_id="shop-2"), status)
        assert table.generations.has_relatives(key) is related

    def test_neither_another_provider_nor_one_whose_name_begins_alike_is_one(self, table: Table) -> None:
        key = a_key(f"shop-of-{a_merchant()}")
        table.place(key, Status.DISCONNECTED)
        table.place(key._replace(provider="prov-ab"), Status.ACTIVE)
        table.place(key._replace(provider="prov-b"), Status.ACTIVE)
        assert not table.generations.has_relatives(key)

    @pytest.mark.parametrize(
        ("status", "related"), [*((s, True) for s in LIVING), *((s, False) for s in ENDED)]
    )
    def test_the_same_account_with_another_merchant_is_one(
        self, table: Table, status: Status, related: bool
    ) -> None:
        key = a_key(f"shop-of-{a_merchant()}")
        table.place(key, Status.DISCONNECTED)
        table.place(key._replace(merchant_id=a_merchant()), status)
        assert table.generations.has_relatives(key) is related

    def test_another_account_with_another_merchant_is_none(self, table: Table) -> None:
        key = a_key(f"shop-of-{a_merchant()}")
        table.place(key, Status.DISCONNECTED)
        table.place(a_key(f"shop-of-{a_merchant()}"), Status.ACTIVE)
        assert not table.generations.has_relatives(key)

    @pytest.mark.parametrize("revoked", Revoked)
    def test_what_became_of_it_is_noted(self, table: Table, revoked: Revoked) -> None:
        key = a_key()
        table.place(key, Status.DISCONNECTED, 3)
        assert table.generations.note(key, 3, revoked)
        assert table.noted(key) == revoked.value

    def test_a_later_note_replaces_an_earlier_one(self, table: Table) -> None:
        key = a_key()
        table.place(key, Status.DISCONNECTED, 3)
        assert table.generations.note(key, 3, Revoked.FAILED)
        assert table.generations.note(key, 3, Revoked.REVOKED)
        assert table.noted(key) == "revoked"

    @pytest.mark.parametrize(
        ("status", "generation"),
        [
            (Status.ACTIVE, 3),
            (Status.NEEDS_RECONNECT, 3),
            (Status.UNINSTALLED, 3),
            (Status.ACTIVE, 4),
            (Status.DISCONNECTED, 4),
            (Status.DISCONNECTED, 2),
        ],
    )
    def test_whatever_else_stands_there_is_left_alone(
        self, table: Table, status: Status, generation: int
    ) -> None:
        key = a_key()
        table.place(key, status, generation)
        assert not table.generations.note(key, 3, Revoked.REVOKED)
        assert table.noted(key) is None

    def test_nothing_is_made_where_nothing_stands(self, table: Table) -> None:
        key = a_key()
        assert not table.generations.note(key, 3, Revoked.REVOKED)
        assert table.generations.living(key) is None

    def test_an_outage_is_said(self, table: Table) -> None:
        key = a_key()
        table.fail()
        asks: list[Callable[[], object]] = [
            lambda: table.generations.living(key),
            lambda: table.generations.has_relatives(key),
            lambda: table.generations.note(key, 3, Revoked.REVOKED),
        ]
        for ask in asks:
            with pytest.raises(Failure) as caught:
                ask()
            assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
