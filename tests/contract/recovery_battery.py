"""What every implementation of the recovery queue port must do."""

from typing import Protocol

import pytest

from mooring.core.connection import NewConnection
from mooring.core.errors import Failure, Reason
from mooring.core.ports import RecoveryQueue
from mooring.core.upkeep import DOUBT_SECONDS, FreshTokens, Key, Refreshed, Seen
from mooring.core.upkeep_ports import TokensQueue
from tests.contract.samples import BARE, NOW, a_link, a_state, exchange, sealed

REFRESHED = Refreshed(
    key=Key("m-1", "prov-a", "shop-1"),
    seen=Seen(2, 17),
    attempt_id="attempt-1",
    fresh=FreshTokens(
        access=sealed("access"),
        refresh=sealed("refresh"),
        scopes=("read", "write"),
        expires_at=NOW + 3_600,
        refresh_expires_at=NOW + 86_400,
        details={"app_key": "k-1"},
        issued_at=NOW,
        due_at=NOW + 2_700,
        previous_until=NOW + 60,
    ),
)
"""A refreshed token set with everything that one can have."""

NOTHING_NEW = REFRESHED._replace(
    fresh=FreshTokens(
        access=sealed("bare"),
        refresh=None,
        scopes=None,
        expires_at=None,
        refresh_expires_at=None,
        details={},
        issued_at=NOW,
        due_at=None,
        previous_until=None,
    )
)
"""A refreshed token set with nothing but an access token."""


class BothQueues(RecoveryQueue, TokensQueue, Protocol):
    """The two ports of the one queue, and what its worker does with it."""

    def again_soon(self, receipt_handle: str, /) -> None:
        """Let a message that was received, and is left in the queue, come again before its time."""

    def again_in(self, receipt_handle: str, seconds: int, /) -> None:
        """Let it come again in so many seconds."""


class Queue(Protocol):
    """The ports, and what a worker would find behind them."""

    @property
    def recovery(self) -> BothQueues:
        """The ports."""

    def take(self) -> tuple[NewConnection, str, str, str]:
        """The next exchange: what to store, the link's merchant and jti, the state's hash."""

    def take_refreshed(self) -> Refreshed:
        """The next refreshed token set."""

    def receive(self) -> str:
        """Receive the next message and leave it; its receipt handle."""

    def comes_again(self) -> list[tuple[str, int]]:
        """Which receipts were told to come again, and after how many seconds."""

    def fail(self) -> None:
        """Let the queue be unreachable from now on."""


class RecoveryBattery:
    """Inherit it, and give the fixture `queue`."""

    @pytest.fixture
    def queue(self) -> Queue:
        raise NotImplementedError

    def test_what_was_put_is_what_a_worker_finds(self, queue: Queue) -> None:
        link, state = a_link(), a_state()
        queue.recovery.put(exchange(link), link, state)
        assert queue.take() == (exchange(link), link.merchant_id, link.jti, state)

    def test_a_bare_token_set_comes_through(self, queue: Queue) -> None:
        link, state = a_link(), a_state()
        new = exchange(link, "default", BARE, verified=False, confirmation="c-1")
        queue.recovery.put(new, link, state)
        assert queue.take()[0] == new

    @pytest.mark.parametrize("refreshed", [REFRESHED, NOTHING_NEW], ids=["everything", "nothing new"])
    def test_a_refreshed_token_set_comes_through(self, queue: Queue, refreshed: Refreshed) -> None:
        queue.recovery.put_refreshed(refreshed)
        assert queue.take_refreshed() == refreshed

    def test_an_outage_of_a_refreshed_token_set_is_said(self, queue: Queue) -> None:
        queue.fail()
        with pytest.raises(Failure) as caught:
            queue.recovery.put_refreshed(REFRESHED)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE

    def test_an_outage_is_said(self, queue: Queue) -> None:
        link = a_link()
        queue.fail()
        with pytest.raises(Failure) as caught:
            queue.recovery.put(exchange(link), link, a_state())
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE

    def test_a_message_that_was_not_stored_comes_again_while_its_answer_is_waited_for(
        self, queue: Queue
    ) -> None:
        queue.recovery.put_refreshed(REFRESHED)
        receipt = queue.receive()
        queue.recovery.again_soon(receipt)
        ((again, seconds),) = queue.comes_again()
        assert again == receipt
        assert 0 < seconds <= DOUBT_SECONDS / 4

    def test_a_message_comes_again_when_it_is_told_to(self, queue: Queue) -> None:
        queue.recovery.put_refreshed(REFRESHED)
        receipt = queue.receive()
        queue.recovery.again_in(receipt, 7)
        assert queue.comes_again() == [(receipt, 7)]

    def test_an_outage_of_a_message_that_is_to_come_again_is_said(self, queue: Queue) -> None:
        queue.recovery.put_refreshed(REFRESHED)
        receipt = queue.receive()
        queue.fail()
        with pytest.raises(Failure) as caught:
            queue.recovery.again_soon(receipt)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
