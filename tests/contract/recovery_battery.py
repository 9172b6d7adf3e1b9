"""What every implementation of the recovery queue port must do."""

from typing import Protocol

import pytest

from mooring.core.connection import NewConnection
from mooring.core.errors import Failure, Reason
from mooring.core.ports import RecoveryQueue
from tests.contract.samples import BARE, a_link, a_state, exchange


class Queue(Protocol):
    """The port, and what a worker would find behind it."""

    @property
    def recovery(self) -> RecoveryQueue:
        """The port."""

    def take(self) -> tuple[NewConnection, str, str, str]:
        """The next message: what to store, the link's merchant and jti, the state's hash."""

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

    def test_an_outage_is_said(self, queue: Queue) -> None:
        link = a_link()
        queue.fail()
        with pytest.raises(Failure) as caught:
            queue.recovery.put(exchange(link), link, a_state())
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
