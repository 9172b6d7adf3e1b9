"""Each record on its own: it ends told, comes again, or lies in the bucket; and every ending is one line."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pytest

from mooring.adapters.changes import parse
from mooring.core.announcement import Change
from mooring.core.errors import ALARMS, Failure, Reason
from mooring.entry.announcing import Doors, run
from mooring.entry.http_api import Line
from mooring.flows.announce import Announced, AnnouncePorts, announce
from tests.adapters.test_changes import image, record
from tests.fakes.bus import FakeBus, FakeUndelivered
from tests.fakes.revocations import FakeRevocations

DOWN = Failure(Reason.BUS_UNAVAILABLE, "ThrottlingException")
CANARY = b"canary sealed token"


class World:
    """The door with fakes behind it, and the lines it wrote."""

    def __init__(self) -> None:
        self.bus, self.revocations = FakeBus(), FakeRevocations()
        self.undelivered = FakeUndelivered()
        self.lines: list[Line] = []
        ports = AnnouncePorts(self.bus, self.revocations)
        self.doors = Doors(
            known=lambda name: name == "prov-a",
            parse=parse,
            announce=lambda changes: announce(changes, ports),
            keep=self.undelivered.keep,
        )

    def run(self, *records: object) -> list[str]:
        """Handle a batch; sequence numbers of what shall come again."""
        answer = run({"Records": list(records)}, self.doors, self.lines.append)
        assert set(answer) == {"batchItemFailures"}
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    def counts(self) -> list[tuple[tuple[str, int], ...]]:
        return [line.counts for line in self.lines]


@pytest.fixture
def world() -> World:
    return World()


def told(number: int, **more: Any) -> dict[str, Any]:
    """A record that tells of merchant m-{number}."""
    row = {"announce": {"S": "established"}, "merchant_id": {"S": f"m-{number}"}, **more}
    found = record(image(access={"B": b64encode(CANARY).decode()}, **row))
    found["eventID"] = f"event-{number}"
    found["dynamodb"]["SequenceNumber"] = str(number)
    return found


def poison(number: int) -> dict[str, Any]:
    """One that nobody understands."""
    return told(number, announce={"S": "of-a-later-release"})


def test_a_batch_is_told_record_by_record(world: World) -> None:
    assert world.run(told(1), told(2)) == []
    assert [event.detail["merchant_id"] for event in world.bus.events] == ["m-1", "m-2"]
    first = world.lines[0]
    assert (first.outcome, first.status, first.request_id) == ("announced", 200, "event-1")
    assert (first.provider, first.merchant_id, first.account_id) == ("prov-a", "m-1", "shop-1")
    assert first.detail == "Connection Established"
    assert world.counts() == [(("Announced", 1),)] * 2


@pytest.mark.parametrize(("failure", "counted"), [(None, "Announced"), (DOWN, "AnnounceFailed")])
def test_a_lost_grant_rings_whether_or_not_its_event_can_be_put(
    world: World, failure: Failure | None, counted: str
) -> None:
    gone = {"announce": {"S": "needs_reconnect"}, "status": {"S": "needs_reconnect"}}
    world.bus.refusing = {"m-1": failure} if failure else {}
    world.run(told(1, last_error={"S": "lost_rotation"}, **gone))
    world.run(told(2, last_error={"S": "grant_refused"}, **gone))
    assert world.counts() == [((counted, 1), ("LossAnnounced", 1)), (("Announced", 1),)]
    assert world.undelivered.records == {}


def test_what_is_no_news_is_passed_over(world: World) -> None:
    assert world.run(told(1, announce={"S": "recovered"})) == ["1"] * 0
    world.lines.clear()
    before = image()
    again = told(2, announce={"S": "recovered"})
    again["dynamodb"]["OldImage"] = before
    assert world.run(again) == []
    assert [(line.outcome, line.counts) for line in world.lines] == [("ignored", ())]


def test_what_may_pass_comes_again(world: World) -> None:
    world.bus.refusing["m-2"] = DOWN
    assert world.run(told(1), told(2), told(3)) == ["2"]
    assert [line.outcome for line in world.lines] == ["announced", "failed", "announced"]
    failed = world.lines[1]
    assert (failed.reason, failed.status, failed.detail) == ("bus_unavailable", 503, "ThrottlingException")
    assert failed.counts == (("AnnounceFailed", 1),)
    assert world.undelivered.records == {}


def test_a_poisonous_record_costs_only_itself(world: World) -> None:
    assert world.run(told(1), poison(2), told(3)) == []
    assert [event.detail["merchant_id"] for event in world.bus.events] == ["m-1", "m-3"]
    assert world.undelivered.records == {"event-2": poison(2)}
    assert [line.reason for line in world.lines] == [None, "message_malformed", None]
    assert world.lines[1].counts == (("EventSetAside", 1),)
    assert world.lines[1].merchant_id is None


def test_what_the_bus_never_takes_lies_in_the_bucket(world: World) -> None:
    world.bus.refusing["m-1"] = Failure(Reason.EVENT_REFUSED, "MalformedDetail")
    assert world.run(told(1), told(2)) == []
    assert list(world.undelivered.records) == ["event-1"]


def test_where_the_bucket_does_not_answer_it_comes_again(world: World) -> None:
    world.undelivered.broken["keep"] = Failure(Reason.STORAGE_UNAVAILABLE, "SlowDown")
    assert world.run(poison(1), told(2)) == ["1"]
    assert world.lines[0].counts == (("AnnounceFailed", 1),)
    world.undelivered.broken.clear()
    assert world.run(poison(1), told(2)) == []
    assert list(world.undelivered.records) == ["event-1"]


def test_a_revocation_that_cannot_be_queued_comes_again(world: World) -> None:
    world.revocations.broken["ask"] = Failure(Reason.STORAGE_UNAVAILABLE, "KmsThrottled")
    cut = told(1, announce={"S": "disconnected"}, status={"S": "disconnected"})
    cut["dynamodb"]["OldImage"] = image()
    assert world.run(cut, told(2)) == ["1"]
    assert world.lines[0].reason == "storage_unavailable"


def test_a_defect_in_one_of_them_costs_only_that_one(world: World) -> None:
    def break_at_two(changes: Sequence[Change]) -> Sequence[Announced]:
        if any(change.after.merchant_id == "m-2" for change in changes):
            raise RuntimeError("canary")
        return [Announced(("Connection Established",)) for _ in changes]

    world.doors = world.doors._replace(announce=break_at_two)
    assert world.run(told(1), told(2), told(3)) == []
    assert [line.outcome for line in world.lines] == ["announced", "failed", "announced"]
    broken = world.lines[1]
    assert (broken.reason, broken.detail, broken.alarm) == (
        "internal",
        "RuntimeError",
        ALARMS[Reason.INTERNAL],
    )
    assert broken.at is not None
    assert "test_announcing.py" in broken.at
    assert list(world.undelivered.records) == ["event-2"]


def test_a_defect_in_reading_costs_only_that_one(world: World) -> None:
    def read(given: Any) -> Change:
        if given["eventID"] == "event-1":
            raise LookupError("canary")
        return parse(given)

    world.doors = world.doors._replace(parse=read)
    assert world.run(told(1), told(2)) == []
    assert [line.reason for line in world.lines] == ["internal", None]
    assert list(world.undelivered.records) == ["event-1"]


def test_a_disabled_provider_is_told_of_and_is_no_dimension(world: World) -> None:
    assert world.run(told(1, connection={"S": "gone#shop-1"})) == []
    assert world.bus.events[0].detail["provider"] == "gone"
    assert world.lines[0].provider is None


@pytest.mark.parametrize("event", [None, {}, {"Records": []}, {"Records": None}])
def test_an_empty_batch_is_nothing_to_do(world: World, event: object) -> None:
    assert run(event, world.doors, world.lines.append) == {"batchItemFailures": []}
    assert world.lines == []


def test_a_record_without_a_number_fails_the_batch_where_it_must_come_again(world: World) -> None:
    world.undelivered.broken["keep"] = Failure(Reason.STORAGE_UNAVAILABLE)
    assert world.run({"eventID": "x"}) == [""]


def test_no_token_is_in_an_event_or_a_line(world: World) -> None:
    cut = told(1, announce={"S": "disconnected"}, status={"S": "disconnected"})
    cut["dynamodb"]["OldImage"] = image(access={"B": b64encode(CANARY).decode()})
    world.run(cut, told(2), poison(3))
    said = json.dumps([dict(event.detail) for event in world.bus.events])
    said += json.dumps([line.fields() for line in world.lines])
    for hidden in (CANARY.decode(), b64encode(CANARY).decode(), "sealed"):
        assert hidden not in said
    assert "canary" not in repr(world.revocations.messages)
