"""The HTTP battery, on the fake and on the real client against a server on a socket."""

from collections.abc import Iterator

import pytest

from mooring.adapters.http import OutboundHttp
from mooring.core.ports import HttpFault, HttpResponse
from tests.contract.http_battery import HttpBattery, Wire
from tests.contract.socket_server import SocketServer, hang_up, response
from tests.fakes.http import FakeHttp


class FakeWire:
    """A script."""

    host = "127.0.0.1:1"

    def __init__(self) -> None:
        self.http = FakeHttp()

    def answer(self, answer: HttpResponse) -> None:
        self.http.answers.append(answer)

    def hang_up(self) -> None:
        self.http.answers.append(HttpFault("broken", sent=True))

    def requests(self) -> int:
        return len(self.http.requests)


class SocketWire:
    """A socket."""

    def __init__(self) -> None:
        self.server = SocketServer(hang_up)
        self.http = OutboundHttp()
        self.host = self.server.host

    def answer(self, answer: HttpResponse) -> None:
        self.server.answers = [response(answer.status, answer.body, dict(answer.headers)), hang_up]

    def hang_up(self) -> None:
        self.server.answers = [hang_up]

    def requests(self) -> int:
        return len(self.server.heads)


class TestFakeHttp(HttpBattery):
    @pytest.fixture
    def wire(self) -> Wire:
        return FakeWire()


class TestOutboundHttp(HttpBattery):
    @pytest.fixture
    def wire(self) -> Iterator[Wire]:
        wire = SocketWire()
        yield wire
        wire.http.close()
        wire.server.stop()
