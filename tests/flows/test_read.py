"""What a service reads: only live connections, only tokens that last, never another merchant's."""

from functools import partial

import pytest

from mooring.core.connection import Connection, ReadableConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.flows.read import ReadPorts, list_connections, read_token
from tests.core.signing import NOW
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlows
from tests.fakes.sealer import FakeSealer
from tests.flows.world import refusal

LIVE = Connection(
    "m-1", "acme", "shop-9", Status.ACTIVE, 2, 5, ("read",), NOW + 600, NOW, NOW, True, None, {}
)


class Shelf:
    """Connections that a reader finds."""

    def __init__(self, connection: Connection = LIVE, *, erased: bool = False) -> None:
        self.sealer = FakeSealer()
        self.connections = FakeConnections(FakeFlows())
        self.ports = ReadPorts(self.connections, self.sealer, FakeClock(NOW))
        keys = self.sealer.prepare(connection.merchant_id, connection.provider)
        access = None if erased else keys.seal("access", connection.account_id, "at-1")
        key = (connection.merchant_id, f"{connection.provider}#{connection.account_id}")
        self.connections.rows[key] = ReadableConnection(connection, access)

    def read(
        self, merchant: str = "m-1", provider: str = "acme", account: str = "shop-9", ttl: int = 60
    ) -> str:
        return read_token(merchant, provider, account, ttl, self.ports).access_token


def test_a_token_that_is_still_good() -> None:
    shelf = Shelf()
    token = read_token("m-1", "acme", "shop-9", 60, shelf.ports)
    assert (token.access_token, token.connection) == ("at-1", LIVE)
    assert "at-1" not in repr(token)


@pytest.mark.parametrize(
    ("left", "min_ttl", "good"),
    [(600, 599, True), (600, 600, False), (1, 0, True), (0, 0, False), (-5, 0, False), (-5, -60, False),
     (3_601, 99_999, True), (3_600, 99_999, False), (None, 99_999, True)],
)  # fmt: skip
def test_it_must_last_as_long_as_asked_within_an_hour(left: int | None, min_ttl: int, good: bool) -> None:
    shelf = Shelf(LIVE._replace(expires_at=None if left is None else NOW + left))
    if good:
        assert shelf.read(ttl=min_ttl) == "at-1"
        return
    failure = refusal(lambda: shelf.read(ttl=min_ttl))
    assert (failure.reason, failure.status) == (Reason.TOKEN_EXPIRED, 409)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_what_is_not_active_is_not_opened_even_if_the_ciphertext_remains(status: Status) -> None:
    shelf = Shelf(LIVE._replace(status=status))
    failure = refusal(shelf.read)
    assert (failure.reason, failure.status) == (Reason.CONNECTION_NOT_ACTIVE, 409)
    assert failure.detail == f"its status is {status.value}"
    assert "open" not in shelf.sealer.journal


def test_an_active_row_without_a_token_is_not_active() -> None:
    assert refusal(Shelf(erased=True).read).reason is Reason.CONNECTION_NOT_ACTIVE


@pytest.mark.parametrize(
    "where", [("m-2", "acme", "shop-9"), ("m-1", "other", "shop-9"), ("m-1", "acme", "shop-1")]
)
def test_absent_and_foreign_are_the_same_answer(where: tuple[str, str, str]) -> None:
    shelf = Shelf()
    failure = refusal(lambda: shelf.read(*where))
    assert (failure.reason, failure.status, failure.detail) == (Reason.CONNECTION_NOT_FOUND, 404, "")
    assert "open" not in shelf.sealer.journal


@pytest.mark.parametrize("bad", ["", "a b", "a#b", "../x", "x\0", "@account"])
def test_impossible_names_are_not_even_looked_up(bad: str) -> None:
    shelf = Shelf()
    for where in ((bad, "acme", "shop-9"), ("m-1", bad, "shop-9"), ("m-1", "acme", bad)):
        assert refusal(partial(shelf.read, *where)).reason is Reason.CONNECTION_NOT_FOUND
    assert shelf.connections.journal == []
    assert refusal(lambda: list_connections(bad, shelf.ports)).reason is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize("reason", [Reason.SEALING_UNAVAILABLE, Reason.TOKEN_UNREADABLE])
def test_a_token_that_does_not_open(reason: Reason) -> None:
    shelf = Shelf()
    shelf.sealer.broken["open"] = Failure(reason)
    assert refusal(shelf.read).reason is reason


def test_a_token_moved_here_from_another_row_does_not_open() -> None:
    shelf = Shelf()
    mine = shelf.connections.rows["m-1", "acme#shop-9"]
    moved = LIVE._replace(merchant_id="m-2")
    shelf.connections.rows["m-2", "acme#shop-9"] = ReadableConnection(moved, mine.access)
    assert refusal(lambda: shelf.read("m-2")).reason is Reason.TOKEN_UNREADABLE


def test_a_merchants_list_is_only_his() -> None:
    shelf = Shelf()
    shelf.connections.rows["m-2", "acme#x"] = ReadableConnection(LIVE._replace(merchant_id="m-2"), None)
    assert list_connections("m-1", shelf.ports) == [LIVE]
    assert list_connections("m-3", shelf.ports) == []
