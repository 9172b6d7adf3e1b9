"""Running simulators for the tests of this folder."""

from collections.abc import Iterator

import pytest

from local.simulators import KNOWN, Simulator, SimulatorConfig, start_simulator
from tests.simulators.drive import CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, Clock, Driver, Start


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a simulator: `start(provider, **config)`; all are stopped when the test ends."""
    running: list[Simulator] = []

    def start_one(provider: str, **changes: object) -> Driver:
        clock = Clock()
        known = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": REDIRECT_URI}
        config = SimulatorConfig(**(known | changes))  # type: ignore[arg-type]
        running.append(start_simulator(provider, config, clock=clock))
        return Driver(provider, running[-1], clock)

    yield start_one
    for simulator in running:
        simulator.stop()


@pytest.fixture(params=sorted(KNOWN))
def driver(request: pytest.FixtureRequest, start: Start) -> Driver:
    """Each simulator in turn."""
    return start(request.param)
