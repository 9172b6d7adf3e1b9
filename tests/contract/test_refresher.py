"""The refresher battery, on the fake and on Lambda's invoke API."""

from collections.abc import Iterator

import pytest

from mooring.adapters.refresher import LambdaRefresher
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Answer, Order
from tests.contract.lambda_server import NAME, LambdaServer
from tests.contract.refresher_battery import Function, RefresherBattery
from tests.fakes.refresher import FakeRefresher


class FakeFunction:
    """A function in memory."""

    def __init__(self) -> None:
        self.refresher = FakeRefresher()

    def answers(self, answer: Answer) -> None:
        self.refresher.answer = answer

    def asked(self) -> list[Order]:
        return self.refresher.orders

    def fail(self) -> None:
        self.refresher.broken["refresh"] = Failure(Reason.STORAGE_UNAVAILABLE)


class ServedFunction(LambdaServer):
    """A function behind the invoke API."""

    def __init__(self) -> None:
        super().__init__()
        self.refresher = LambdaRefresher(self.client, NAME)

    def fail(self) -> None:
        self.refuses(429, "TooManyRequestsException")


class TestFakeRefresher(RefresherBattery):
    @pytest.fixture
    def function(self) -> Function:
        return FakeFunction()


class TestLambdaRefresher(RefresherBattery):
    @pytest.fixture
    def function(self) -> Iterator[Function]:
        served = ServedFunction()
        yield served
        served.stop()
