"""What every implementation of the revocations port must do."""

from typing import Protocol

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.revocation import Revocation, Revocations
from mooring.core.upkeep import Key
from tests.contract.samples import sealed

REVOCATION = Revocation(
    key=Key("m-1", "prov-a", "shop-1"),
    generation=3,
    access=sealed("access"),
    refresh=sealed("refresh"),
    details=(("app_key", "k-1"), ("region", "eu")),
)
"""A revocation with everything that one can have."""

BARE_REVOCATION = Revocation(Key("A.b:c-d_1", "p2", "default"), 0, sealed("bare"), None)
"""A revocation with nothing but an access token, of an exchange that was never stored."""


class BothSides(Revocations, Protocol):
    """The port, and what the queue's worker does with it."""

    def again_in(self, receipt_handle: str, seconds: int, /) -> None:
        """Let a message that was received, and is left in the queue, come again in so many seconds."""


class Queue(Protocol):
    """The port, and what a worker would find behind it."""

    @property
    def revocations(self) -> BothSides:
        """The port."""

    def take(self) -> Revocation:
        """The next message."""

    def receive(self) -> str:
        """Receive the next message and leave it; its receipt handle."""

    def comes_again(self) -> list[tuple[str, int]]:
        """Which receipts were told to come again, and after how many seconds."""

    def fail(self) -> None:
        """Let the queue be unreachable from now on."""


class RevocationsBattery:
    """Inherit it, and give the fixture `queue`."""

    @pytest.fixture
    def queue(self) -> Queue:
        raise NotImplementedError

    @pytest.mark.parametrize("revocation", [REVOCATION, BARE_REVOCATION], ids=["everything", "bare"])
    def test_what_was_asked_is_what_a_worker_finds(self, queue: Queue, revocation: Revocation) -> None:
        queue.revocations.ask(revocation)
        assert queue.take() == revocation

    def test_asked_twice_it_is_there_twice(self, queue: Queue) -> None:
        queue.revocations.ask(REVOCATION)
        queue.revocations.ask(REVOCATION)
        assert [queue.take(), queue.take()] == [REVOCATION, REVOCATION]

    def test_an_outage_is_said(self, queue: Queue) -> None:
        queue.fail()
        with pytest.raises(Failure) as caught:
            queue.revocations.ask(REVOCATION)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE

    def test_a_message_comes_again_when_it_is_told_to(self, queue: Queue) -> None:
        queue.revocations.ask(REVOCATION)
        receipt = queue.receive()
        queue.revocations.again_in(receipt, 60)
        assert queue.comes_again() == [(receipt, 60)]

    def test_an_outage_of_a_message_that_is_to_come_again_is_said(self, queue: Queue) -> None:
        queue.revocations.ask(REVOCATION)
        receipt = queue.receive()
        queue.fail()
        with pytest.raises(Failure) as caught:
            queue.revocations.again_in(receipt, 60)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
