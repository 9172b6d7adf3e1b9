"""The examples of docs/client.md run as they stand there."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mooring.client
from mooring.client import Connections, MooringError
from mooring.client.reading import API_SECONDS
from mooring.client.session import TIMEOUT_SECONDS
from mooring.client.testing import FakeConnections
from tests.client.provider import Answer, ProviderServer
from tests.docs.markdown import document, names

CLIENT = document("docs/client.md")
MAKE, TOKEN, SESSION, ASYNC, REST, ERRORS, TESTING, HERE = CLIENT.fences("python")
LEADS = b'{"leads": [{"lead": "1"}, {"lead": "2"}]}'


def run(block: str, **known: Any) -> dict[str, Any]:
    exec(compile(block, "docs/client.md", "exec"), known)
    return known


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        server.judge = lambda _: Answer(200, {"Content-Type": "application/json"}, LEADS)
        yield server


@pytest.fixture
def fake(provider: ProviderServer) -> FakeConnections:
    fake = FakeConnections()
    fake.api("whatconverts", provider.base_url)
    for merchant in ("m-1", "m-2"):
        fake.connect(merchant, "whatconverts", access_token=f"token-of-{merchant}")
    return fake


def test_it_is_made() -> None:
    assert repr(run(MAKE)["connections"]) == "Connections(stage='prod')"


def test_the_arguments_are_those_of_the_code() -> None:
    told = {names(row[0])[0] for row in CLIENT.rows("argument")}
    code = Connections.__init__.__code__
    assert told == set(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])


def test_a_token(fake: FakeConnections) -> None:
    assert run(TOKEN, connections=fake)["headers"] == {"Authorization": "Bearer token-of-m-1"}


def test_a_session(fake: FakeConnections, provider: ProviderServer) -> None:
    assert run(SESSION, connections=fake)["leads"]("m-2") == [{"lead": "1"}, {"lead": "2"}]
    assert provider.bearers == ["token-of-m-2"]
    assert provider.asked[0].target == "/api/leads?leads_per_page=100"


def test_asyncio(fake: FakeConnections, provider: ProviderServer) -> None:
    assert asyncio.run(run(ASYNC, connections=fake)["leads_of"](["m-1", "m-2"])) == [2, 2]
    assert sorted(provider.bearers) == ["token-of-m-1", "token-of-m-2"]


def test_list_report_and_disconnect(fake: FakeConnections, capsys: pytest.CaptureFixture[str]) -> None:
    token = fake.token("m-1", "whatconverts")
    found = run(REST, connections=fake, token=token)
    assert capsys.readouterr().out == "whatconverts default active\n"
    assert found["report"].outcome == "refreshed"
    assert [one.status for one in fake.list("m-1")] == ["disconnected"]


def test_what_can_go_wrong(fake: FakeConnections, provider: ProviderServer) -> None:
    sync = run(f"{SESSION}\n{ERRORS}", connections=fake)["sync"]
    assert sync("m-1") == "2 leads"
    assert sync("m-3") == "send a link: never connected"
    with fake.outage("table"):
        assert sync("m-9") == "try again later: storage_unavailable"
    provider.answers = [Answer(429, {"Retry-After": "45"})]
    assert sync("m-1") == "again in 45 seconds"
    fake.end("m-2", "whatconverts", status="disconnected")
    assert sync("m-2") == "send a link: disconnected"


def test_every_error_is_told() -> None:
    told = {name for row in CLIENT.rows("error") for name in names(row[0])}
    every = {
        name
        for name in mooring.client.__all__
        if isinstance(kind := getattr(mooring.client, name), type) and issubclass(kind, MooringError)
    }
    assert told == every - {"MooringError", "NoConnection"}


def test_the_test_in_the_text_passes() -> None:
    run(TESTING)["test_a_merchant_who_left_is_noticed"]()


def test_a_stack_on_this_machine_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".local").mkdir()
    stack = {
        "base_url": "http://127.0.0.1:8000",
        "region": "us-east-1",
        "aws_endpoint_url": "http://127.0.0.1:9",
        "credentials": {"access_key_id": "id", "secret_access_key": "secret"},
    }
    (tmp_path / ".local/stack.json").write_text(json.dumps(stack))
    monkeypatch.chdir(tmp_path)
    assert repr(run(HERE, Connections=Connections)["here"]) == "Connections(stage='local')"


def test_figures_are_those_of_the_code() -> None:
    from mooring.client.calls import MAX_WAIT_SECONDS
    from mooring.client.held import HELD_SECONDS
    from mooring.client.remembered import MOST

    text = " ".join(CLIENT.text.split())
    assert f"`max_wait` seconds at most ({MAX_WAIT_SECONDS:.0f})" in text
    assert "{:.0f} seconds to connect and {:.0f} to the next byte".format(*TIMEOUT_SECONDS) in text
    assert f"At most {MOST:,} tokens are held" in text
    assert (HELD_SECONDS, API_SECONDS) == (300, 3_600)
    assert "within the last five minutes" in text
    assert "within the last ten minutes" in text
    assert "once an hour" in text
