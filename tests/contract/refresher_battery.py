"""What every implementation of the refresher port must do."""

from typing import Protocol

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Answer, Order
from mooring.core.upkeep_ports import Refresher
from tests.contract.work_samples import DUE, WORK

ORDERS = [work for work in WORK if isinstance(work, Order)]


class Function(Protocol):
    """The port, and the refresh function behind it."""

    @property
    def refresher(self) -> Refresher:
        """The port."""

    def answers(self, answer: Answer) -> None:
        """What the function answers from now on."""

    def asked(self) -> list[Order]:
        """What it was asked, in order."""

    def fail(self) -> None:
        """Let it be unreachable from now on."""


class RefresherBattery:
    """Inherit it, and give the fixture `function`."""

    @pytest.fixture
    def function(self) -> Function:
        raise NotImplementedError

    @pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.cause)
    def test_the_function_gets_the_order(self, function: Function, order: Order) -> None:
        function.answers(Answer("refreshed"))
        function.refresher.refresh(order)
        assert function.asked() == [order]

    @pytest.mark.parametrize(
        "answer",
        [
            Answer("refreshed"),
            Answer("fresh"),
            Answer("busy", Reason.REFRESH_BUSY, 1_800_000_045),
            Answer("waiting", Reason.REFRESH_PUT_OFF, 1_800_000_100),
            Answer("failed", Reason.LOST_ROTATION),
        ],
        ids=lambda answer: answer.word,
    )
    def test_its_answer_comes_back(self, function: Function, answer: Answer) -> None:
        function.answers(answer)
        assert function.refresher.refresh(DUE) == answer

    def test_it_is_asked_once_for_each_order(self, function: Function) -> None:
        function.answers(Answer("refreshed"))
        for order in ORDERS:
            function.refresher.refresh(order)
        assert function.asked() == ORDERS

    def test_a_function_that_cannot_be_asked_is_said(self, function: Function) -> None:
        function.fail()
        with pytest.raises(Failure) as caught:
            function.refresher.refresh(DUE)
        assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
