"""Many threads that want a secret at once, from a store that answers late or never."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import TYPE_CHECKING, cast

import pytest
from botocore.config import Config
from botocore.session import Session

from mooring.adapters.ssm import FAILED_SECONDS, KEEP_SECONDS, ParameterSecrets
from mooring.core.errors import Failure, Reason
from tests.adapters.http_client import Serve
from tests.contract.aws_server import REGION
from tests.contract.socket_server import Answer, SocketServer, response
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

THREADS = 10
GIVE_UP_SECONDS = 0.5
PATIENCE_SECONDS = 5


def secret(value: str) -> Answer:
    """A parameter."""
    return response(200, json.dumps({"Parameter": {"Value": value}}).encode())


class Held:
    """An answer that waits until it is let go."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.go = Event()

    def __call__(self, connection: socket.socket) -> bool:
        """Answer once `go` is set."""
        return self.go.wait(PATIENCE_SECONDS) and self._answer(connection)


class Store:
    """Secrets of a store on a socket."""

    def __init__(self, server: SocketServer, seconds: float) -> None:
        self.server = server
        self.clock = FakeClock()
        self.client = _client(server, seconds)
        self.secrets = ParameterSecrets(self.client, "dev", self.clock, lambda: 0.5)

    def asked(self, times: int) -> None:
        """Return once it was asked so many times."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.server.heads) < times:
            assert time.monotonic() < deadline, f"it was asked {len(self.server.heads)} times"
            time.sleep(0.01)


def _client(server: SocketServer, seconds: float) -> "SSMClient":
    session = Session()
    session.set_credentials("test", "test")
    config = Config(
        read_timeout=seconds, retries={"mode": "standard", "total_max_attempts": 1}, proxies={},
        max_pool_connections=THREADS,
    )  # fmt: skip
    endpoint = f"http://{server.host}"
    client = session.create_client("ssm", region_name=REGION, endpoint_url=endpoint, config=config)
    return cast("SSMClient", client)


@pytest.fixture
def store(serve: Serve) -> Iterator[Callable[..., Store]]:
    """Makes a store with these answers."""
    made: list[Store] = []

    def make(*answers: Answer, seconds: float = PATIENCE_SECONDS) -> Store:
        made.append(Store(serve(*answers), seconds))
        return made[-1]

    yield make
    for one in made:
        one.client.close()


def silent(connection: socket.socket) -> bool:
    """Take the question, and wait for the client to give up."""
    connection.recv(1)
    return False


def test_ten_threads_that_meet_a_silent_store_ask_it_once(store: Callable[..., Store]) -> None:
    one = store(silent, seconds=GIVE_UP_SECONDS)
    ready = Barrier(THREADS)

    def ask(_: int) -> tuple[Reason, str]:
        ready.wait()
        with pytest.raises(Failure) as caught:
            one.secrets.client_secret("p")
        return caught.value.reason, caught.value.detail

    with ThreadPoolExecutor(THREADS) as pool:
        said = list(pool.map(ask, range(THREADS)))
    assert said == [(Reason.SECRET_UNAVAILABLE, "ReadTimeoutError")] * THREADS
    assert len(one.server.heads) == 1


def test_everybody_has_a_failure_of_their_own(store: Callable[..., Store]) -> None:
    one = store(silent, seconds=GIVE_UP_SECONDS)
    caught: list[Failure] = []
    for _ in range(2):
        with pytest.raises(Failure) as failed:
            one.secrets.client_secret("p")
        caught.append(failed.value.returning("https://app.example.com", f"m-{len(caught)}"))
    assert [failure.merchant_id for failure in caught] == ["m-0", "m-1"]


def test_ten_threads_share_one_answer(store: Callable[..., Store]) -> None:
    held = Held(secret("shared"))
    one = store(held)
    with ThreadPoolExecutor(THREADS) as pool:
        asking = [pool.submit(one.secrets.client_secret, "p") for _ in range(THREADS)]
        one.asked(1)
        held.go.set()
        assert [each.result() for each in asking] == ["shared"] * THREADS
    assert len(one.server.heads) == 1


def test_who_waits_for_one_secret_keeps_nobody_from_another(store: Callable[..., Store]) -> None:
    held = Held(secret("slow"))
    one = store(held, secret("quick"))
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(one.secrets.client_secret, "slow")
        one.asked(1)
        assert one.secrets.client_secret("quick") == "quick"
        assert one.secrets.webhook_secrets("slow") == ("quick",)
        assert not asking.done()
        held.go.set()
        assert asking.result() == "slow"


def test_forgetting_waits_for_nobody_and_outlives_the_question_under_way(store: Callable[..., Store]) -> None:
    held = Held(secret("old"))
    one = store(secret("old"), held, secret("new"))
    one.secrets.client_secret("p")
    one.clock.advance(KEEP_SECONDS[1])
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(one.secrets.client_secret, "p")
        one.asked(2)
        one.secrets.forget("p")
        assert not asking.done()
        held.go.set()
        assert asking.result() == "old"
    assert one.secrets.client_secret("p") == "new"
    assert one.secrets.client_secret("p") == "new"
    assert len(one.server.heads) == 3


def test_ten_threads_that_are_refused_make_one_question_more(store: Callable[..., Store]) -> None:
    one = store(secret("old"), secret("new"))
    assert one.secrets.client_secret("p") == "old"

    def refused(_: int) -> str:
        one.secrets.forget("p")
        return one.secrets.client_secret("p")

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(refused, range(THREADS))) == ["new"] * THREADS
    assert len(one.server.heads) == 2


def test_a_store_that_answers_again_is_asked_again(store: Callable[..., Store]) -> None:
    one = store(silent, secret("there"), seconds=GIVE_UP_SECONDS)
    with pytest.raises(Failure):
        one.secrets.client_secret("p")
    one.clock.advance(FAILED_SECONDS)
    assert one.secrets.client_secret("p") == "there"
