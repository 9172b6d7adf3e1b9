"""What EventBridge is asked, and what of its refusals is tried again."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mooring.adapters.event_bus import PAUSES, EventBridgeBus
from mooring.core.errors import Reason
from tests.contract.aws_server import AwsServer
from tests.contract.bus_battery import an_event
from tests.contract.event_bridge import Refusing, client, queue_behind, received


@pytest.fixture
def refusing(aws: AwsServer) -> Refusing:
    return Refusing(aws)


class Bus:
    """A bus with its queue, and the pauses that were made."""

    def __init__(self, aws: AwsServer, refusing: Refusing) -> None:
        name = f"bus-{uuid4().hex}"
        self.queue = queue_behind(aws, name)
        self.slept: list[float] = []
        self.bus = EventBridgeBus(refusing.client, name, self.slept.append)


@pytest.fixture
def bus(aws: AwsServer, refusing: Refusing) -> Bus:
    return Bus(aws, refusing)


def test_an_event_has_our_source_and_the_time_of_what_it_tells(aws: AwsServer, bus: Bus) -> None:
    event = an_event("m-1")
    bus.bus.put([event])
    (found,) = received(aws, bus.queue)
    assert (found["source"], found["detail-type"]) == ("mooring", "Connection Established")
    told = datetime.fromtimestamp(event.time, UTC)
    assert str(found["time"]).startswith((told.strftime("%Y-%m-%dT%H:%M:%S"), str(event.time)))


def test_only_what_was_refused_is_tried_again(aws: AwsServer, refusing: Refusing, bus: Bus) -> None:
    refusing.codes = {"m-3": "InternalFailure", "m-12": "ThrottlingException"}
    refusing.times = {"m-3": 1, "m-12": 2}
    answers = bus.bus.put([an_event(f"m-{number}") for number in range(15)])
    assert list(answers) == [None] * 15
    assert refusing.calls == [10, 5, 2, 1]
    assert bus.slept == list(PAUSES)
    assert len(received(aws, bus.queue)) == 15


def test_what_will_never_pass_is_not_tried_again(refusing: Refusing, bus: Bus) -> None:
    refusing.codes = {"m-1": "MalformedDetail"}
    (answer,) = bus.bus.put([an_event("m-1")])
    assert answer is not None
    assert (answer.reason, answer.detail) == (Reason.EVENT_REFUSED, "MalformedDetail")
    assert (refusing.calls, bus.slept) == ([1], [])


def test_an_outage_is_said_of_every_event(aws: AwsServer) -> None:
    bus = EventBridgeBus(client(aws, "events"), "nobody", lambda _: None)
    with aws.out("PutEvents", "InternalException", 500):
        answers = bus.put([an_event(f"m-{number}") for number in range(12)])
    assert [answer and (answer.reason, answer.detail) for answer in answers] == [
        (Reason.BUS_UNAVAILABLE, "InternalException")
    ] * 12
