"""A function that dies around an event: between the table's stream and the bus, or before its log line."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.inbox import Inbox, listening
from tests.e2e.running import FIFTH
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep, wait_for
from tests.faults.crashes import When, dying
from tests.faults.queues import Queue
from tests.faults.stack import BrokenStack

pytestmark = pytest.mark.e2e


@pytest.fixture
def inbox(broken: BrokenStack) -> Iterator[Inbox]:
    with listening(broken) as inbox:
        yield inbox


@pytest.mark.parametrize("when", ["before", "after"])
def test_announce_dies_around_the_put_and_no_event_is_lost(
    broken: BrokenStack, merchant: Merchant, shop: str, inbox: Inbox, service: Service, when: When
) -> None:
    """Killed with the record in hand: the stream has it still. Killed after the put: it is told twice."""
    with (
        ThreadPoolExecutor(1) as pool,
        dying(broken, broken.aws_proxy, when, target="PutEvents", caller="announce"),
    ):
        connected = pool.submit(merchant.connect, FIFTH, store=shop)
    connected.result()
    try:
        events = inbox.wait(merchant.name, "Established")
        if when == "after":
            wait_for(lambda: len(inbox.about(merchant.name)) == 2, "the same event once more", 60)
            first, second = inbox.about(merchant.name)
            assert first["detail"] == second["detail"]
        else:
            assert len(events) == 1
    finally:
        service.disconnect(Upkeep.of(merchant, FIFTH, shop).key)
    inbox.wait(merchant.name, "Established", "Disconnected")


def test_announce_dies_between_the_revocation_and_the_put_and_does_both_again(
    broken: BrokenStack, inbox: Inbox, living: Upkeep, service: Service
) -> None:
    merchant, revoke = living.key.merchant_id, Queue(broken, "revoke")
    inbox.wait(merchant, "Established")
    with revoke.still():
        with (
            ThreadPoolExecutor(1) as pool,
            dying(broken, broken.aws_proxy, "before", target="PutEvents", caller="announce"),
        ):
            cut = pool.submit(service.disconnect, living.key)
        assert cut.result().ok
        inbox.wait(merchant, "Established", "Disconnected")
        first, second = [asked for asked in revoke.bodies() if asked["merchant_id"] == merchant]
        assert first == second


def test_refresh_dies_before_it_says_that_a_grant_is_lost_and_the_event_says_it(
    broken: BrokenStack, living: Upkeep, inbox: Inbox, service: Service, simulator: Simulator
) -> None:
    """Its log line would have counted `NeedsReconnect`; nobody writes that any more."""
    simulator.revoke(token=service.token(living.key).json()["access_token"])
    lines = len(living.lines())
    with (
        ThreadPoolExecutor(1) as pool,
        # The lease, the circuit that whoever asked closes, and then the one that gives it up.
        dying(broken, broken.aws_proxy, "after", target="UpdateItem", caller="refresh", skip=2),
    ):
        asked = pool.submit(service.refresh, living.key)
    assert asked.result().status_code >= 500
    wait_for(lambda: living.status == "needs_reconnect", "the row")
    assert len(living.lines()) == lines
    wait_for(lambda: inbox.types(living.key.merchant_id)[-1:] == ["Needs Reconnect"], "the event", 60)
    told = inbox.about(living.key.merchant_id)[-1]["detail"]
    assert told["reason"] == "grant_refused"
