"""The broken stack, shared by all numbered scenarios, and a fresh merchant and shop for each."""

import secrets
from collections.abc import Iterator

import pytest

from tests.e2e.running import FIFTH
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep
from tests.e2e.visitor import Page
from tests.faults.kill import renew
from tests.faults.stack import BrokenStack, circuits, close_circuits

_OF_A_PROVIDER = frozenset(
    {
        "provider_answer_invalid",
        "provider_misconfigured",
        "provider_paused",
        "provider_timeout",
        "provider_unavailable",
        "refresh_in_doubt",
    }
)
"""What a worker remembers of a provider, until it answers once."""
_SAID = frozenset({"failed", "refreshed"})


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokenStack]:
    """The stack between its proxies; nothing sweeps but a test.

    Nor is anything revoked by itself: what one test cuts off would meet the faults of the next.
    """
    running = BrokenStack(tmp_path_factory.mktemp("broken"))
    try:
        running.wait()
        with running.paused("schedules/sweep"), running.paused("queues/revoke"):
            yield running
    finally:
        running.stop()


@pytest.fixture(autouse=True)
def _nothing_stays_broken(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a fault to the next one, nor a worker that remembers one."""
    if "broken" not in request.fixturenames:
        yield
        return
    broken: BrokenStack = request.getfixturevalue("broken")
    lines = len(broken.log_lines("refresh"))
    yield
    said = [line for line in broken.log_lines("refresh")[lines:] if line.get("outcome") in _SAID]
    # Whoever was answered last as a provider should remembers nothing of it.
    if circuits(broken) or (said and said[-1].get("reason") in _OF_A_PROVIDER):
        close_circuits(broken)
        renew(broken, "refresh")
    assert [plan.action for proxy in broken.proxies for plan in proxy.plans] == []
    assert [proxy.chance for proxy in broken.proxies] == [None, None]


@pytest.fixture
def merchant(broken: BrokenStack, seen: list[Page]) -> Merchant:
    """A merchant nobody has heard of, in a browser without cookies."""
    return Merchant(broken, seen)


@pytest.fixture
def service(broken: BrokenStack) -> Service:
    """A service of the product."""
    return Service(broken)


@pytest.fixture
def simulator(broken: BrokenStack) -> Simulator:
    """The fifth provider's controls, past the proxy."""
    return broken.simulator(FIFTH)


@pytest.fixture
def shop() -> str:
    """A shop at the fifth provider that nobody has heard of."""
    return f"shop-{secrets.token_hex(5)}"


@pytest.fixture
def living(merchant: Merchant, shop: str, service: Service) -> Iterator[Upkeep]:
    """A connected shop; it is cut off in the end, so that nothing of it falls due in other tests."""
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    yield one
    service.disconnect(one.key)
