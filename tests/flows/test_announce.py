"""Announce: every change is told, whatever another one meets, and what we cut off is revoked."""

import pytest

from mooring.core.announcement import Announce, Change
from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.revocation import Revocation
from mooring.core.upkeep import Key
from mooring.flows.announce import AnnouncePorts, announce
from tests.core.test_announcement import NOW, SEALED, change, row
from tests.fakes.bus import FakeBus
from tests.fakes.revocations import FakeRevocations

DOWN = Failure(Reason.BUS_UNAVAILABLE, "ThrottlingException")
CUT = change(Announce.DISCONNECTED, row(Status.DISCONNECTED), row(generation=2))


@pytest.fixture
def ports() -> AnnouncePorts:
    return AnnouncePorts(FakeBus(), FakeRevocations())


def bus_of(ports: AnnouncePorts) -> FakeBus:
    assert isinstance(ports.bus, FakeBus)
    return ports.bus


def queue_of(ports: AnnouncePorts) -> FakeRevocations:
    assert isinstance(ports.revocations, FakeRevocations)
    return ports.revocations


def of(merchant_id: str, word: Announce = Announce.ESTABLISHED) -> Change:
    return change(word, row(merchant_id=merchant_id), row(merchant_id=merchant_id))


def test_every_change_is_told_in_order(ports: AnnouncePorts) -> None:
    told = announce([of("m-1"), of("m-2", Announce.RECOVERED), of("m-3")], ports)
    assert [each.detail_types for each in told] == [
        ("Connection Established",),
        (),
        ("Connection Established",),
    ]
    assert [event.detail["merchant_id"] for event in bus_of(ports).events] == ["m-1", "m-3"]
    assert [each.failure for each in told] == [None] * 3
    assert queue_of(ports).messages == []


def test_what_the_bus_does_not_take_touches_no_other(ports: AnnouncePorts) -> None:
    bus_of(ports).refusing["m-2"] = DOWN
    told = announce([of("m-1"), of("m-2"), of("m-3")], ports)
    assert [each.failure for each in told] == [None, DOWN, None]
    assert [event.detail["merchant_id"] for event in bus_of(ports).events] == ["m-1", "m-3"]


def test_of_two_events_of_one_change_either_may_fail(ports: AnnouncePorts) -> None:
    both = change(Announce.RECOVERED, row(expiring_at=NOW + 9), row(Status.NEEDS_RECONNECT))
    (told,) = announce([both], ports)
    assert told.detail_types == ("Connection Recovered", "Connection Expiring")
    bus_of(ports).refusing["m-1"] = DOWN
    assert [each.failure for each in announce([both, of("m-2")], ports)] == [DOWN, None]


def test_what_was_cut_off_is_revoked_and_told(ports: AnnouncePorts) -> None:
    (told,) = announce([CUT], ports)
    assert told.failure is None
    assert told.detail_types == ("Connection Disconnected",)
    assert queue_of(ports).messages == [
        Revocation(Key("m-1", "prov-a", "shop-1"), 2, SEALED, SEALED, (("app_key", "canary-detail"),))
    ]


@pytest.mark.parametrize(
    "told",
    [
        CUT._replace(access=None),
        CUT._replace(before=None),
        CUT._replace(announce=Announce.UNINSTALLED),
        CUT._replace(announce=Announce.NEEDS_RECONNECT),
    ],
)
def test_where_nothing_was_cut_off_nothing_is_revoked(told: Change, ports: AnnouncePorts) -> None:
    assert [each.failure for each in announce([told], ports)] == [None]
    assert queue_of(ports).messages == []
    assert len(bus_of(ports).events) == 1


def test_a_revocation_that_cannot_be_queued_comes_again_and_is_told_all_the_same(
    ports: AnnouncePorts,
) -> None:
    queue_of(ports).broken["ask"] = Failure(Reason.STORAGE_UNAVAILABLE, "KmsThrottled")
    cut, other = announce([CUT, of("m-2")], ports)
    assert cut.failure is not None
    assert cut.failure.reason is Reason.STORAGE_UNAVAILABLE
    assert other.failure is None
    assert len(bus_of(ports).events) == 2


def test_done_again_it_is_the_same_again(ports: AnnouncePorts) -> None:
    announce([CUT, of("m-2")], ports)
    announce([CUT, of("m-2")], ports)
    first, second = bus_of(ports).events[:2], bus_of(ports).events[2:]
    assert first == second
    assert queue_of(ports).messages[0] == queue_of(ports).messages[1]


def test_nothing_to_tell_asks_nobody(ports: AnnouncePorts) -> None:
    assert announce([], ports) == []
    assert bus_of(ports).events == []
