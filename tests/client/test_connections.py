"""`Connections` itself: what it is given, what it finds, and what it loads and when."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session

import mooring.client
from mooring.client import Connections, NotAllowed, SetupError, TokenUnavailable
from mooring.client.per_process import PerProcess
from tests.contract.aws_server import REGION, AwsServer
from tests.contract.client_world import KEYS, STAGE, RealWorld
from tests.contract.conftest import shared_server

LAYER = Path(mooring.client.__file__).parents[2]
#: What a service's environment may say, and this machine's must not.
VARIABLES = ["MOORING_STAGE", "MOORING_API_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"]
VARIABLES += ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that says nothing."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def world() -> Iterator[RealWorld]:
    aws = shared_server()
    key = aws.kms().create_key()["KeyMetadata"]["KeyId"]
    world = RealWorld(aws, key)
    # Connections tell the time by themselves.
    world.clock.now = time.time()
    yield world
    world.close()


def real(world: RealWorld, aws: AwsServer | None = None) -> Connections:
    endpoint = (aws or shared_server()).endpoint
    return Connections(STAGE, REGION, world.signed.url, world.session(), endpoint_url=endpoint)


def test_it_reads_the_stages_table_and_asks_its_api(world: RealWorld) -> None:
    connections, value = real(world), world.connect("real-1", expires_in=30)
    token = connections.token("real-1", "acme")
    assert token.value == value, "half a life is left"
    connections.report_unauthorized(token)
    connections.disconnect("real-1", "acme")
    with pytest.raises(mooring.client.Disconnected):
        connections.token("real-1", "acme")
    assert [each.status for each in connections.list("real-1")] == ["disconnected"]


def test_the_environment_says_what_nobody_else_does(
    world: RealWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"MOORING_STAGE": STAGE, "MOORING_API_URL": world.signed.url, "AWS_REGION": REGION}
    given |= {"AWS_ENDPOINT_URL": shared_server().endpoint}
    given |= {"AWS_ACCESS_KEY_ID": KEYS[0], "AWS_SECRET_ACCESS_KEY": KEYS[1]}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    connections, value = Connections(), world.connect("real-2")
    assert connections.token("real-2", "acme").value == value
    connections.disconnect("real-2", "acme")
    assert repr(connections) == f"Connections(stage='{STAGE}')"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SetupError, match="MOORING_STAGE"):
        Connections()
    for stage in ("Prod", "a/b", "-", "x" * 17):
        with pytest.raises(SetupError, match="stage"):
            Connections(stage, REGION)
    with pytest.raises(SetupError, match="region"):
        Connections("prod")
    with pytest.raises(SetupError, match="https://"):
        Connections("prod", REGION, "http://connect.example.com")


def test_missing_credentials_are_a_matter_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = Connections("prod", REGION, "https://connect.example.com")
    asks: list[Callable[[], object]] = [
        lambda: connections.token("m-1", "acme", "default"),
        lambda: connections.token("m-1", "acme"),
        lambda: connections.list("m-1"),
        lambda: connections.disconnect("m-1", "acme", "default"),
    ]
    for ask in asks:
        with pytest.raises(SetupError, match="no AWS credentials: give Connections a boto3 session"):
            ask()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half-of-them")
    with pytest.raises(SetupError, match="missing: AWS_SECRET_ACCESS_KEY"):
        Connections("prod", REGION)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SetupError, match="nobody"):
        Connections("prod", REGION)


def test_without_an_address_of_the_api_reading_works_as_long_as_tokens_live(world: RealWorld) -> None:
    connections = Connections(STAGE, REGION, session=world.session(), endpoint_url=shared_server().endpoint)
    value = world.connect("real-3", expires_in=3_600)
    token = connections.token("real-3", "acme", "default")
    assert (token.value, token.warning) == (value, None)
    with pytest.raises(SetupError, match="MOORING_API_URL"):
        connections.report_unauthorized(token)
    world.connect("real-4", expires_in=0)
    with pytest.raises(SetupError, match="MOORING_API_URL"):
        connections.token("real-4", "acme")


def test_another_stage_is_not_there(world: RealWorld) -> None:
    other = Connections("nowhere", REGION, "", world.session(), endpoint_url=shared_server().endpoint)
    with pytest.raises(SetupError, match="look at stage, region and AWS account"):
        other.token("m-1", "acme", "default")


@pytest.mark.parametrize("operation", ["GetItem", "Decrypt"])
def test_what_a_policy_forbids_is_no_outage(world: RealWorld, operation: str) -> None:
    connections, aws = real(world), shared_server()
    world.connect("real-5")
    if operation == "GetItem":
        connections.token("real-5", "acme", "default")
    with (
        aws.out(operation, "AccessDeniedException"),
        pytest.raises(NotAllowed, match="AccessDeniedException") as refused,
    ):
        connections.token("real-5", "acme", "default")
    assert "docs/reading-tokens.md" in str(refused.value)


def test_a_row_of_a_later_release_is_not_guessed_at(world: RealWorld) -> None:
    connections = real(world)
    world.connect("real-6")
    world.end("real-6", "a_word_of_tomorrow")
    with pytest.raises(TokenUnavailable, match="internal"):
        connections.token("real-6", "acme", "default")


def test_connections_are_not_pickled(world: RealWorld) -> None:
    with pytest.raises(TypeError, match="make them anew"):
        pickle.dumps(real(world))


# what is loaded, and when


def _loaded(code: str) -> set[str]:
    """Top packages that a fresh interpreter has loaded after some code."""
    told = "import json, sys\nprint(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{told}"],
        env={**os.environ, "PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_it_loads_no_heavy_library() -> None:
    heavy = {"boto3", "botocore", "requests", "urllib3", "httpx", "pydantic", "cryptography", "yaml"}
    assert not heavy & _loaded("from mooring.client import Connections")
    made = _loaded("from mooring.client import Connections\nConnections('prod', 'eu-west-1')")
    assert {"boto3", "cryptography"} <= made
    assert not {"requests", "httpx", "pydantic", "yaml"} & made
    session = "from mooring.client.testing import FakeConnections as F\nF().session('m-1', 'acme')"
    assert "requests" in _loaded(session)
    assert "boto3" not in _loaded(session)


# processes


def test_a_value_is_made_once_in_each_process() -> None:
    made: list[int] = []

    def make() -> object:
        made.append(os.getpid())
        return object()

    value = PerProcess(make)
    assert len({id(value()) for _ in range(3)}) == 1
    assert made == [os.getpid()]


def test_threads_that_are_first_at_once_get_one_value() -> None:
    start, found = threading.Barrier(8), []
    value = PerProcess(object)

    def ask() -> None:
        start.wait(60)
        found.append(value())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(each) for each in found}) == 1


def _read_in_the_child(connections: Connections, told: Any) -> None:
    token = connections.token("real-7", "acme", "default")
    told.send((token.value, token.version))
    told.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_reads_with_clients_of_its_own_while_parents_threads_hold_locks(world: RealWorld) -> None:
    connections = real(world)
    value = world.connect("real-7")
    assert connections.token("real-7", "acme", "default").value == value
    before = world.calls()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            connections.token("real-7", "acme", "default")

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(3):
            here, there = multiprocessing.Pipe(duplex=False)
            process = multiprocessing.get_context("fork").Process(
                target=_read_in_the_child, args=(connections, there)
            )
            process.start()
            there.close()
            assert here.poll(60), "the child hangs"
            assert here.recv() == (value, 1)
            process.join(60)
            assert process.exitcode == 0
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert (world.calls() - before)["open"] == 3, (
        "each child opened the token for itself, and the parent did not"
    )


def test_the_session_of_a_role_in_another_account_is_used(world: RealWorld) -> None:
    world.connect("real-8", expires_in=0)
    wrong = Session("somebody", "else", "a-token", region_name=REGION)
    connections = Connections(STAGE, None, world.signed.url, wrong, endpoint_url=shared_server().endpoint)
    with pytest.raises(NotAllowed, match="api_refused"):
        connections.token("real-8", "acme", "default")
