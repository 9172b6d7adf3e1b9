"""Many threads at once, and what is asked of the API when it has trouble."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore

import pytest

from mooring.client.access_token import AccessToken
from mooring.client.base import BaseConnections
from mooring.client.errors import MooringError, TokenUnavailable
from mooring.client.held import ASK_SECONDS
from mooring.client.ports import Api, Given, Ports, Report
from mooring.client.remembered import MOST, Remembered
from mooring.client.testing import FakeConnections
from mooring.core.connection import Page, ReadableConnection, Wanted
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key
from tests.client.conftest import MERCHANT, PROVIDER
from tests.fakes.clock import FakeClock

THREADS = 8
SECONDS = 60


class Slow:
    """The fake's world, whose API answers when a test lets it, and says how often a row was read."""

    def __init__(self, fake: FakeConnections, clock: FakeClock) -> None:
        self._ports = fake._reading().ports
        self._clock = clock
        self.let = Event()
        self.came = Semaphore(0)
        self.asked = 0

    def connections(self) -> BaseConnections:
        return BaseConnections(lambda: Ports(self, self, self, self._clock, self._clock.advance))

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        self.came.release()
        return self._ports.table.read(merchant_id, provider, account_id)

    def list(self, merchant_id: str, wanted: Wanted) -> Page:
        return self._ports.table.list(merchant_id, wanted)

    def open(self, sealed: SealedField, merchant_id: str, provider: str, account_id: str, field: str) -> str:
        return self._ports.opener.open(sealed, merchant_id, provider, account_id, field)

    def token(self, key: Key, min_ttl: int) -> Given:
        self.asked += 1
        assert self.let.wait(SECONDS)
        return self.api.token(key, min_ttl)

    def report(self, token: AccessToken) -> Report:
        return self.api.report(token)

    def disconnect(self, key: Key) -> None:
        self.api.disconnect(key)

    @property
    def api(self) -> Api:
        return self._ports.api


def _crowd(slow: Slow, ask: Callable[[], object]) -> list[object]:
    """What each of some threads gets, when all of them looked at the row before the API answered any."""

    def one(_: int) -> object:
        try:
            return ask()
        except MooringError as error:
            return str(error)

    with ThreadPoolExecutor(THREADS) as threads:
        found = [threads.submit(one, number) for number in range(THREADS)]
        for _ in range(THREADS):
            assert slow.came.acquire(timeout=SECONDS)
        slow.let.set()
        return [each.result(SECONDS) for each in found]


def test_while_one_thread_has_a_token_refreshed_the_others_wait_for_it(
    connections: FakeConnections, clock: FakeClock
) -> None:
    connections.connect(MERCHANT, PROVIDER)
    clock.advance(3_600)
    slow = Slow(connections, clock)
    reader = slow.connections()
    found = _crowd(slow, lambda: reader.token(MERCHANT, PROVIDER, "default").version)
    assert (found, slow.asked) == ([2] * THREADS, 1)


def test_who_waited_for_an_api_that_fails_does_not_wait_for_it_again(
    connections: FakeConnections, clock: FakeClock
) -> None:
    connections.connect(MERCHANT, PROVIDER)
    clock.advance(3_600)
    slow = Slow(connections, clock)
    reader = slow.connections()
    with connections.outage("api"):
        found = _crowd(slow, lambda: reader.token(MERCHANT, PROVIDER, "default"))
        assert slow.asked == 1
        assert all("api_unavailable" in str(said) for said in found)
    assert reader.token(MERCHANT, PROVIDER, "default").version == 2, "the next one asks again"


def test_how_the_api_is_used_is_asked_by_one_thread(connections: FakeConnections, clock: FakeClock) -> None:
    connections.connect(MERCHANT, PROVIDER)
    slow = Slow(connections, clock)
    slow.let.set()
    calls = slow.connections().calls(MERCHANT, PROVIDER, "default")
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(lambda _: calls.api().base_url, range(THREADS)))
    assert (set(found), slow.asked) == ({f"https://api.{PROVIDER}.example/"}, 1)


def test_an_api_that_could_not_help_is_not_asked_at_each_read(
    connections: FakeConnections, clock: FakeClock
) -> None:
    connections.connect(MERCHANT, PROVIDER)
    clock.advance(3_550)
    with connections.outage("api"):
        for _ in range(3):
            assert connections.token(MERCHANT, PROVIDER, "default").warning == "api_unavailable"
        assert connections.calls_made.count("token") == 1
        clock.advance(ASK_SECONDS)
        connections.token(MERCHANT, PROVIDER, "default")
        assert connections.calls_made.count("token") == 2
    clock.advance(ASK_SECONDS)
    assert connections.token(MERCHANT, PROVIDER, "default").version == 2


def test_a_dead_token_is_asked_for_at_each_read(connections: FakeConnections, clock: FakeClock) -> None:
    connections.connect(MERCHANT, PROVIDER)
    clock.advance(3_600)
    with connections.outage("api"):
        for _ in range(2):
            with pytest.raises(TokenUnavailable):
                connections.token(MERCHANT, PROVIDER, "default")
    assert connections.calls_made.count("token") == 2
    assert connections.token(MERCHANT, PROVIDER, "default").version == 2


def test_in_a_key_outage_an_older_token_of_the_api_is_not_given(
    connections: FakeConnections, clock: FakeClock
) -> None:
    connections.connect(MERCHANT, PROVIDER)
    clock.advance(3_550)
    assert connections.token(MERCHANT, PROVIDER, "default").version == 2
    connections.refresh(MERCHANT, PROVIDER)
    with connections.outage("kms"), pytest.raises(TokenUnavailable, match="sealing_unavailable"):
        connections.token(MERCHANT, PROVIDER, "default")


def test_what_is_remembered_is_limited() -> None:
    remembered = Remembered[int, int]()
    for number in range(MOST):
        remembered.put(number, number)
    assert remembered.get(0) == 0, "and the most recently used from now on"
    remembered.put(MOST, MOST)
    assert (remembered.get(1), remembered.get(0), remembered.get(MOST)) == (None, 0, MOST)
    assert remembered.get_or(2, lambda: -1) == 2
    remembered.drop(2)
    remembered.drop(2)
    assert remembered.get_or(2, lambda: -1) == -1
