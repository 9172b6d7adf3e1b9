"""boto3's `invoke` against the local Lambda API, with the toy function behind it."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.callers import credentials_of
from local.invoker import Invoker
from local.lambda_api import LambdaApi
from local.runtime import FunctionSpec, InvocationResult, RuntimePool
from tests.local.toybox import PACKAGES, TOYS, call, until

NAME = "mooring-local-toy"
ARN = f"arn:aws:lambda:us-east-1:123456789012:function:{NAME}"


@dataclass
class Running:
    """The API, and what it told."""

    url: str = ""
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    results: list[InvocationResult] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, credentials: tuple[str, str] = credentials_of("connections")) -> Any:
        session = boto3.session.Session(*credentials, region_name="us-east-1")
        settings = Config(retries={"max_attempts": 0}, proxies={})
        return session.client("lambda", endpoint_url=self.url, config=settings)

    def invoke(self, event: object = None, **more: Any) -> dict[str, Any]:
        given = {"FunctionName": NAME, **more}
        if event is not None:
            given["Payload"] = json.dumps(event)
        answer: dict[str, Any] = self.client().invoke(**given)
        return {**answer, "Payload": answer["Payload"].read()}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    told = Running()
    invoker = Invoker(lambda _, result: told.results.append(result))
    api = LambdaApi(
        invoker,
        credentials=dict([credentials_of("connections")]),
        note=told.notes.append,
        control=lambda method, path: (200, [method, path]),
    )
    told.url = api.url
    log = tmp_path_factory.mktemp("logs") / "toy.log"
    spec = FunctionSpec("toy", (TOYS / "echo", PACKAGES), timeout_seconds=1)
    with RuntimePool(spec, log_path=log, limit=1, wait_seconds=0.1) as pool:
        invoker.add("Toy", NAME, pool)
        yield told
    api.stop()


@pytest.fixture
def api(running: Running) -> Running:
    running.notes.clear()
    running.results.clear()
    return running


@pytest.mark.parametrize(
    "name", [NAME, ARN, f"123456789012:function:{NAME}", f"{ARN}:$LATEST", f"{NAME}:$LATEST"]
)
def test_a_function_answers_by_any_of_its_names(api: Running, name: str) -> None:
    answer = api.invoke({"do": "tick"}, FunctionName=name)
    assert (answer["StatusCode"], json.loads(answer["Payload"])) == (200, {"enqueued": 0})
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert len(api.results) == 1


def test_without_a_payload_the_event_is_empty(api: Running) -> None:
    assert json.loads(json.loads(api.invoke()["Payload"])["body"])["event"] == {}


def test_an_exception_is_a_function_error(api: Running) -> None:
    answer = api.invoke({"do": "raise"})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    error = json.loads(answer["Payload"])
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "boom")


@pytest.mark.parametrize(
    ("event", "kind"), [({"do": "exit"}, "Runtime.ExitError"), ({"seconds": "9"}, "Sandbox.Timedout")]
)
def test_a_process_that_ends_is_a_function_error_too(api: Running, event: object, kind: str) -> None:
    answer = api.invoke(event)
    assert answer["FunctionError"] == "Unhandled"
    error = json.loads(answer["Payload"])
    assert error["errorType"] == kind
    assert error["errorMessage"]


def test_the_tail_of_the_log_comes_along_when_asked_for(api: Running) -> None:
    tail = base64.b64decode(api.invoke({"do": "tick"}, LogType="Tail")["LogResult"])
    assert b'"outcome": "tick"' in tail
    assert "LogResult" not in api.invoke({"do": "tick"})


def test_an_event_is_taken_at_once_and_run_later(api: Running) -> None:
    answer = api.invoke({"do": "tick", "seconds": "0.3"}, InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"]) == (202, b"")
    assert api.results == []
    until(lambda: len(api.results) == 1)


def test_a_dry_run_runs_nothing(api: Running) -> None:
    assert api.invoke({"do": "raise"}, InvocationType="DryRun")["StatusCode"] == 204
    assert api.results == []


def test_a_busy_function_is_throttled(api: Running) -> None:
    api.invoke({"do": "tick", "seconds": "2"}, InvocationType="Event")
    until(lambda: len(api.notes) == 1)
    assert _refusal(api, {"do": "tick"}) == (429, "TooManyRequestsException")
    until(lambda: len(api.results) == 1)


def test_unknown_functions_and_broken_events_are_refused(api: Running) -> None:
    assert _refusal(api, {}, FunctionName="nobody") == (404, "ResourceNotFoundException")
    assert _refusal(api, {}, FunctionName=f"{ARN}:7") == (404, "ResourceNotFoundException")
    with pytest.raises(ClientError) as raised:
        api.client().invoke(FunctionName=NAME, Payload=b"{")
    assert raised.value.response["Error"]["Code"] == "InvalidRequestContentException"
    big = {"x": "x" * 1024 * 1024}
    assert _refusal(api, big, InvocationType="Event") == (413, "RequestTooLargeException")
    assert api.results == []


def test_only_known_keys_may_call_and_nothing_may_be_changed_on_the_way(api: Running) -> None:
    path = f"/2015-03-31/functions/{NAME}/invocations"
    assert call(api.port, "POST", path, body=b"{}").status == 403
    for credentials in (("AKNOBODY", "x"), (credentials_of("connections")[0], "wrong")):
        with pytest.raises(ClientError) as raised:
            api.client(credentials).invoke(FunctionName=NAME)
        assert raised.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert (api.notes, api.results) == ([], [])


def test_each_call_is_told_with_its_caller(api: Running) -> None:
    api.invoke({"do": "tick", "canary": "canary-value"})
    [note] = api.notes
    assert note["caller"] == "connections"
    assert (note["service"], note["operation"]) == ("lambda", "Invoke")
    assert note["parameters"] == {"FunctionName": NAME, "InvocationType": "RequestResponse"}
    assert "canary-value" not in json.dumps(note)


def test_controls_are_for_tests_and_not_for_web_pages(api: Running) -> None:
    answer = call(api.port, "POST", "/_local/queues/refresh/pause")
    assert json.loads(answer.body) == ["POST", "queues/refresh/pause"]
    for headers in ({"Origin": "https://evil.example"}, {"Host": "rebound.example"}):
        assert call(api.port, "POST", "/_local/queues/refresh/pause", headers).status == 403


def test_it_stops_without_its_functions(tmp_path: Path) -> None:
    api = LambdaApi(
        Invoker(lambda *_: None), credentials={}, note=lambda _: None, control=lambda *_: (200, None)
    )
    port = int(api.url.rpartition(":")[2])
    api.stop()
    with pytest.raises(ConnectionRefusedError):
        call(port, "GET", "/")


def _refusal(api: Running, event: object, **more: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        api.invoke(event, **more)
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]
