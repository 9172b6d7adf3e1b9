"""`authorize` as it ships, cold and warm: no AWS call, and no heavy library in its process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.emulator import Emulator, FunctionSpec
from local.logs import FunctionLog
from mooring.providers.compiler import LocalCompile
from tests.bench.staging import BASE_URL, KID, RETURN_TO, link, public_key_text
from tests.bench.staging import event as authorize_event
from tools.stage import stage

KEY = Ed25519PrivateKey.generate()
HEAVY = ("boto3", "botocore", "requests", "urllib3", "pydantic", "aws_lambda_powertools")
_WRAPPER = """import json
import sys

from handler import handler as inner


def handler(event, context):
    answer = inner(event, context)
    return {"answer": answer, "modules": sorted(sys.modules)}
"""


class Listener:
    """Counts who connects; answers nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.connections = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The functions and layers as they ship."""
    target = tmp_path_factory.mktemp("staged")
    key = public_key_text(KEY)
    stage(target, local=LocalCompile(link_keys={KID: key}, return_to_origins=[RETURN_TO]))
    (target / "wrapper").mkdir()
    (target / "wrapper/wrapper.py").write_text(_WRAPPER)
    return target


@pytest.fixture
def listener() -> Iterator[Listener]:
    """What the function would take for AWS."""
    with closing(Listener()) as running:
        yield running


def event(provider: str, query: str | None = None) -> bytes:
    """A click on a good link, or another request."""
    return authorize_event(provider, f"link={link(KEY, provider)}" if query is None else query)


@contextmanager
def started(staged: Path, tmp_path: Path, listener: Listener) -> Iterator[Emulator]:
    """A fresh process of `authorize` behind the wrapper that lists its modules."""
    code = (
        staged / "wrapper",
        staged / "functions/authorize",
        staged / "ric",
        staged / "layers/mooring/python",
        staged / "layers/dependencies/python",
    )
    environment = {
        "MOORING_STAGE": "local",
        "MOORING_BASE_URL": BASE_URL,
        "POWERTOOLS_SERVICE_NAME": "authorize",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": listener.url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
    }
    spec = FunctionSpec("authorize", code, environment, handler="wrapper.handler")
    with closing(FunctionLog(tmp_path / "authorize.log")) as log:
        emulator = Emulator(spec, log)
        try:
            yield emulator
        finally:
            emulator.stop()


def test_no_aws_call_and_no_heavy_library(staged: Path, tmp_path: Path, listener: Listener) -> None:
    with started(staged, tmp_path, listener) as emulator:
        results = [
            emulator.invoke(event(provider))
            for provider in ("yotpo", "notifyvisitors", "xeno", "whatconverts") * 3
        ]
        failed = emulator.invoke(event("yotpo", "link=broken"))
    assert [result.cold for result in results] == [True] + [False] * 11
    assert [result.json()["answer"]["statusCode"] for result in results] == [302] * 12
    assert failed.json()["answer"]["statusCode"] == 400
    for result in (*results, failed):
        loaded = {name.partition(".")[0] for name in result.json()["modules"]}
        assert "mooring" in loaded
        assert not loaded & set(HEAVY)
    assert listener.connections == 0


def test_the_counter_counts(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", int(listener.url.rpartition(":")[2]))):
        deadline = time.monotonic() + 5
        while listener.connections == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert listener.connections == 1
