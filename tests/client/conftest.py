"""A provider, a clock, and connections that are kept in memory."""

import logging
from collections.abc import Iterator

import pytest

from mooring.client.testing import FakeConnections
from tests.client.provider import ProviderServer
from tests.fakes.clock import FakeClock

PROVIDER = "acme"
MERCHANT = "m-1"


@pytest.fixture
def audible(caplog: pytest.LogCaptureFixture) -> None:
    """urllib3 says what it says by default; libraries that other tests load silence it for the process."""
    for name in ("urllib3.connection", "urllib3.connectionpool"):
        logging.getLogger(name).disabled = False
        caplog.set_level(logging.DEBUG, name)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def connections(clock: FakeClock) -> FakeConnections:
    """No connection yet. Waiting moves the clock."""
    return FakeConnections(clock=clock, sleep=clock.advance)


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    """A provider whose API is called over http on a loopback address, as in the local stack."""
    with ProviderServer() as server:
        yield server


@pytest.fixture
def connected(connections: FakeConnections, provider: ProviderServer) -> str:
    """The token of m-1's connection with this provider."""
    connections.api(PROVIDER, provider.base_url)
    return connections.connect(MERCHANT, PROVIDER)
