"""How the refresh function is invoked, and what is made of whatever comes back."""

import json
import socket
from collections.abc import Iterator

import pytest

from mooring.adapters.aws import Aws
from mooring.adapters.refresher import LambdaRefresher
from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Answer
from tests.contract.aws_server import REGION
from tests.contract.lambda_server import NAME, LambdaServer
from tests.contract.socket_server import hang_up, plain
from tests.contract.work_samples import DUE

CANARY = "canary-exception-91c4"


@pytest.fixture
def served() -> Iterator[LambdaServer]:
    server = LambdaServer()
    yield server
    server.stop()


def fails_with(refresher: LambdaRefresher, detail: str) -> bool:
    with pytest.raises(Failure) as caught:
        refresher.refresh(DUE)
    assert caught.value.reason is Reason.STORAGE_UNAVAILABLE
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value) == f"storage_unavailable: {detail}"


def test_it_is_invoked_by_name_and_waited_for(served: LambdaServer) -> None:
    served.answers(Answer("refreshed"))
    LambdaRefresher(served.client, NAME).refresh(DUE)
    head = served.http.heads[0].decode().lower()
    assert head.startswith(f"post /2015-03-31/functions/{NAME}/invocations http/1.1")
    assert "x-amz-invocation-type: requestresponse" in head


def test_what_goes_out_is_one_order(served: LambdaServer) -> None:
    served.answers(Answer("refreshed"))
    LambdaRefresher(served.client, NAME).refresh(DUE)
    assert json.loads(served.http.bodies[0]) == {
        "schema": 1,
        "order": {
            "merchant_id": "m-1",
            "provider": "prov-a",
            "account_id": "shop-1",
            "generation": 2,
            "version": 17,
            "cause": "due",
            "trial": False,
        },
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "TooManyRequestsException"),
        (404, "ResourceNotFoundException"),
        (403, "AccessDeniedException"),
        (500, "ServiceException"),
        (502, "KMSDisabledException"),
    ],
)
def test_a_refusal_is_told_by_its_code(served: LambdaServer, status: int, code: str) -> None:
    served.refuses(status, code)
    assert fails_with(LambdaRefresher(served.client, NAME), code)


@pytest.mark.parametrize("error", ["Unhandled", "Handled"])
def test_a_function_that_failed_is_told_without_its_words(served: LambdaServer, error: str) -> None:
    served.returns(json.dumps({"errorMessage": CANARY, "errorType": "Exception"}).encode(), error)
    assert fails_with(LambdaRefresher(served.client, NAME), "FunctionError")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'"refreshed"',
        b'{"schema":2,"word":"refreshed","reason":null,"until":0}',
        b'{"schema":1,"word":"refreshed","until":0}',
        b'{"schema":1,"word":"Refreshed!","reason":null,"until":0}',
        b'{"schema":1,"word":"failed","reason":"no_such_reason","until":0}',
        b'{"schema":1,"word":"failed","reason":5,"until":0}',
        b'{"schema":1,"word":"busy","reason":null,"until":-1}',
        b'{"schema":1,"word":"busy","reason":null,"until":true}',
        b'{"schema":1,"word":"busy","reason":null,"until":1.5}',
        b'{"schema":1,"word":"refreshed","reason":null,"until":0}' + b" " * 9_000,
    ],
    ids=range(15),
)
def test_an_answer_that_is_none_is_a_failure(served: LambdaServer, body: bytes) -> None:
    served.returns(body)
    assert fails_with(LambdaRefresher(served.client, NAME), "MalformedAnswer")


def test_what_a_later_release_adds_is_passed_over(served: LambdaServer) -> None:
    served.returns(b'{"schema":1,"word":"fresh","reason":null,"until":0,"more":{"x":1}}')
    assert LambdaRefresher(served.client, NAME).refresh(DUE) == Answer("fresh")


def test_an_answer_that_breaks_off_is_a_failure(served: LambdaServer) -> None:
    served.http.answers = [plain(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"schema"')]
    assert fails_with(LambdaRefresher(served.client, NAME), "MalformedAnswer")


def test_silence_is_a_failure(served: LambdaServer) -> None:
    def silent(connection: socket.socket) -> bool:
        del connection
        return served.http.pause(5)

    served.http.answers = [silent]
    assert fails_with(LambdaRefresher(served.client, NAME), "ReadTimeoutError")


def test_after_a_failure_it_works_again(served: LambdaServer) -> None:
    refresher = LambdaRefresher(served.client, NAME)
    served.returns(b"x" * 20_000)
    assert fails_with(refresher, "MalformedAnswer")
    served.answers(Answer("refreshed"))
    assert refresher.refresh(DUE) == Answer("refreshed")


class TestTheClientOfAProcess:
    """The client that the functions have, at an endpoint of its own."""

    @pytest.fixture
    def refresher(self, served: LambdaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaRefresher]:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", served.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        clients = Aws(REGION)
        yield LambdaRefresher(clients.lambda_(), NAME)
        clients.close()

    def test_it_finds_the_endpoint(self, served: LambdaServer, refresher: LambdaRefresher) -> None:
        served.answers(Answer("refreshed"))
        assert refresher.refresh(DUE) == Answer("refreshed")

    def test_a_lost_answer_is_not_asked_for_again(
        self, served: LambdaServer, refresher: LambdaRefresher
    ) -> None:
        served.http.answers = [hang_up]
        assert fails_with(refresher, "ConnectionClosedError")
        assert len(served.asked()) == 1

    def test_neither_is_a_throttled_call(self, served: LambdaServer, refresher: LambdaRefresher) -> None:
        served.refuses(429, "TooManyRequestsException")
        assert fails_with(refresher, "TooManyRequestsException")
        assert len(served.asked()) == 1

    def test_answers_come_over_one_kept_connection(
        self, served: LambdaServer, refresher: LambdaRefresher
    ) -> None:
        served.answers(Answer("refreshed"))
        for _ in range(5):
            refresher.refresh(DUE)
        assert served.http.connections == 1

    def test_nobody_there_is_a_failure(self, served: LambdaServer, refresher: LambdaRefresher) -> None:
        served.http.stop()
        assert fails_with(refresher, "EndpointConnectionError")
