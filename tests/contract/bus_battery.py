"""What every implementation of the event bus, and of the bucket of the undelivered, must do."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest

from mooring.core.announcement import Announce, Bus, Event, Undelivered, events_of
from mooring.core.errors import Failure, Reason
from tests.core.test_announcement import change, row


def an_event(merchant_id: str) -> Event:
    """An event about a merchant."""
    (event,) = events_of(change(Announce.ESTABLISHED, row(merchant_id=merchant_id)))
    return event


class Ground(Protocol):
    """The port, and what stands behind it."""

    @property
    def bus(self) -> Bus:
        """The port."""

    def taken(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Type and detail of the events that the bus took, in order."""

    def refuse(self, merchant_id: str, reason: Reason) -> None:
        """Let the bus refuse events of this merchant, in a way that passes or never does."""


class BusBattery:
    """Inherit it, and give the fixture `ground`."""

    @pytest.fixture
    def ground(self) -> Ground:
        raise NotImplementedError

    def test_what_is_put_is_there_as_it_is(self, ground: Ground) -> None:
        event = an_event("m-1")
        assert list(ground.bus.put([event])) == [None]
        assert [(kind, dict(detail)) for kind, detail in ground.taken()] == [
            ("Connection Established", dict(event.detail))
        ]

    def test_nothing_is_put_without_a_word(self, ground: Ground) -> None:
        assert list(ground.bus.put([])) == []
        assert ground.taken() == []

    @pytest.mark.parametrize("many", [10, 11, 25])
    def test_many_are_put_in_order(self, ground: Ground, many: int) -> None:
        events = [an_event(f"m-{number}") for number in range(many)]
        assert list(ground.bus.put(events)) == [None] * many
        assert [detail["merchant_id"] for _, detail in ground.taken()] == [f"m-{n}" for n in range(many)]

    @pytest.mark.parametrize("reason", [Reason.BUS_UNAVAILABLE, Reason.EVENT_REFUSED])
    def test_one_that_is_refused_touches_no_other(self, ground: Ground, reason: Reason) -> None:
        ground.refuse("m-bad", reason)
        names = ["m-1", "m-bad", *(f"m-{number}" for number in range(2, 15))]
        answers = ground.bus.put([an_event(name) for name in names])
        assert [answer and answer.reason for answer in answers] == [None, reason, *[None] * 13]
        assert {detail["merchant_id"] for _, detail in ground.taken()} == set(names) - {"m-bad"}


class Store(Protocol):
    """The port, and what stands behind it."""

    @property
    def undelivered(self) -> Undelivered:
        """The port."""

    def kept(self) -> list[Mapping[str, Any]]:
        """The records that lie there, in the order of their ids."""

    def fail(self) -> None:
        """Let the bucket be unreachable from now on."""


RECORD = {"eventID": "c4ca4238a0b923820dcc509a6f75849b", "dynamodb": {"NewImage": {"announce": {"S": "x"}}}}
"""A record of a stream, as far as it matters here."""


class UndeliveredBattery:
    """Inherit it, and give the fixture `store`."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_a_record_is_kept_whole(self, store: Store) -> None:
        store.undelivered.keep(RECORD)
        assert json.loads(json.dumps(store.kept())) == [RECORD]

    def test_the_same_record_is_kept_once(self, store: Store) -> None:
        store.undelivered.keep(RECORD)
        store.undelivered.keep({**RECORD, "eventID": "other"})
        store.undelivered.keep(RECORD)
        assert len(store.kept()) == 2

    def test_an_outage_is_said(self, store: Store) -> None:
        store.fail()
        with pytest.raises(Failure) as caught:
            store.undelivered.keep(RECORD)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
