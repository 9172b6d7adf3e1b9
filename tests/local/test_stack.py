"""The whole stack as people start it: ready, known by its file, gone without a trace."""

import json
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from local import REGION, ROOT
from local.provision import client
from local.running import RunningStack, running_stack, start_stack
from tests.local.toybox import alive, call, until

READY_SECONDS = 90
pytestmark = pytest.mark.xdist_group("local-stack")


@pytest.fixture(scope="module")
def secrets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "secrets.json"
    path.write_text(json.dumps({"yotpo": {"client_secret": "chosen"}, "elsewhere": {"client_secret": "own"}}))
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, secrets_file: Path) -> Iterator[RunningStack]:
    environ = {"MOORING_SECRETS": str(secrets_file)}
    with running_stack(tmp_path_factory.mktemp("stack"), environ=environ, seconds=READY_SECONDS) as running:
        yield running


def test_stack_json_says_where_everything_is(stack: RunningStack) -> None:
    info = stack.info
    assert info.keys() >= {
        "base_url",
        "demo_url",
        "aws_endpoint_url",
        "region",
        "tables",
        "queues",
        "buses",
        "buckets",
        "providers",
        "functions",
        "lambda_endpoint",
    }
    queues = ("recovery", "refresh", "revoke")
    assert info["queues"].keys() == {*queues, *(f"{name}-dead" for name in queues)}
    assert info["buses"] == ["mooring-local"]
    assert info["buckets"] == ["mooring-local-undelivered-123456789012"]
    assert info["functions"]["authorize"] == "mooring-local-authorize"
    assert info["lambda_endpoint"].startswith("http://127.0.0.1:")
    assert info["tables"].keys() == {"connections", "flows"}
    key = info["link_key"]
    assert isinstance(load_pem_private_key(Path(key["path"]).read_bytes(), None), Ed25519PrivateKey)
    assert stat.S_IMODE(Path(key["path"]).stat().st_mode) == 0o600
    assert key["kid"]
    addresses = [info["base_url"], info["demo_url"], *info["providers"].values(), *info["queues"].values()]
    assert {address.rpartition(":")[0] for address in addresses[:-1]} == {"http://127.0.0.1"}
    assert info["queues"]["recovery"].startswith(info["aws_endpoint_url"])


def test_tables_secrets_and_functions_are_there(stack: RunningStack) -> None:
    endpoint_url = stack.info["aws_endpoint_url"]
    names = client("dynamodb", endpoint_url).list_tables()["TableNames"]
    assert set(stack.info["tables"].values()) == set(names)
    ssm = client("ssm", endpoint_url)
    held = {
        name: ssm.get_parameter(Name=f"/mooring/local/{name}/client_secret", WithDecryption=True)["Parameter"]
        for name in [*stack.info["providers"], "elsewhere"]
    }
    assert (held["yotpo"]["Value"], held["elsewhere"]["Value"]) == ("chosen", "own")
    assert {parameter["Type"] for parameter in held.values()} == {"SecureString"}
    assert len({parameter["Value"] for parameter in held.values()}) == len(held)


def test_each_invocation_is_one_line(stack: RunningStack) -> None:
    port = _port(stack)
    _control(stack, "schedules/sweep/pause")
    before = len(stack.lines)
    answer = call(port, "GET", "/authorize/xeno?link=canary-link")
    assert 400 <= answer.status < 500
    assert call(port, "GET", "/nothing").status == 404
    assert call(port, "GET", "/merchants/m-1/connections").status == 403
    until(lambda: len(stack.lines) > before)
    _control(stack, "schedules/sweep/resume")
    [line] = stack.lines[before:]
    assert line.split()[1] == "authorize"
    assert line.endswith("ms") or "ref" in line
    assert "canary-link" not in line


def test_the_schedule_fires_soon_after_the_start(stack: RunningStack) -> None:
    until(lambda: any(line.split()[1:3] == ["sweep", "swept"] for line in stack.lines), seconds=20)


def test_the_schedule_can_be_fired_by_hand(stack: RunningStack) -> None:
    answer = _control(stack, "schedules/sweep/fire")
    assert answer["error"] is None
    assert json.loads(answer["payload"])["enqueued"] == 0


def test_a_paused_queue_keeps_its_messages_for_whoever_looks(stack: RunningStack) -> None:
    sqs = client("sqs", stack.info["aws_endpoint_url"])
    url = stack.info["queues"]["refresh"]
    _control(stack, "queues/refresh/pause")
    assert _control(stack, "triggers", "GET")["queues"]["refresh"] == {"paused": True}
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    time.sleep(1.5)
    received = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert [message["Attributes"]["ApproximateReceiveCount"] for message in received] == ["1"]
    sqs.purge_queue(QueueUrl=url)
    _control(stack, "queues/refresh/resume")
    assert _control(stack, "triggers", "GET")["queues"]["refresh"] == {"paused": False}


def test_there_is_no_other_control(stack: RunningStack) -> None:
    port = int(stack.info["lambda_endpoint"].rpartition(":")[2])
    for path in ("schedules/nobody/fire", "queues/refresh/fire", "queues/refresh/", "other"):
        assert call(port, "POST", f"/_local/{path}").status == 404
    assert call(port, "GET", "/_local/schedules/sweep/fire").status == 404


def test_functions_answer_to_boto3(stack: RunningStack) -> None:
    key = stack.info["credentials"]
    session = boto3.session.Session(key["access_key_id"], key["secret_access_key"], region_name=REGION)
    settings = Config(proxies={}, retries={"max_attempts": 0})
    functions = session.client("lambda", endpoint_url=stack.info["lambda_endpoint"], config=settings)
    answer: Any = functions.invoke(FunctionName=stack.info["functions"]["sweep"], Payload=b"{}")
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read())["enqueued"] == 0


def test_every_call_is_known_by_the_function_that_made_it(stack: RunningStack) -> None:
    _control(stack, "schedules/sweep/fire")
    port = int(stack.info["aws_endpoint_url"].rpartition(":")[2])
    seen = {
        name: json.loads(call(port, "GET", f"/_local/requests?function={name}").body)
        for name in stack.info["functions"]
    }
    assert {record["operation"] for record in seen["sweep"]} >= {"Query", "GetQueueAttributes"}
    polls = [record for record in seen["refresh"] if record["polled"]]
    looked_into = {record["parameters"]["QueueUrl"] for record in polls}
    assert looked_into == {stack.info["queues"]["refresh"], stack.info["queues"]["recovery"]}
    assert seen["authorize"] == []


def test_the_demo_product_answers(stack: RunningStack) -> None:
    port = int(stack.info["demo_url"].rpartition(":")[2])
    assert call(port, "GET", "/").status == 200


def test_a_second_stack_in_the_same_folder_is_one_clear_line(stack: RunningStack) -> None:
    second = start_stack(stack.state.folder)
    assert second.process.wait(30) == 1
    second.stop()
    errors = [line for line in second.lines if line != "Starting ..."]
    assert len(errors) == 1
    assert "already running" in errors[0]
    assert stack.info["base_url"]


def test_invoke_runs_a_function_against_the_stack(stack: RunningStack) -> None:
    done = _invoke(stack, "authorize")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("  status ") == len(list((ROOT / "events").glob("authorize*.json")))
    assert '  log: {"level"' in done.stdout


@pytest.mark.parametrize("function", ["sweep", "refresh"])
def test_invoke_runs_what_no_request_starts(stack: RunningStack, tmp_path: Path, function: str) -> None:
    event = tmp_path / "event.json"
    event.write_text('{"Records": []}')
    done = _invoke(stack, function, str(event))
    assert (done.returncode, done.stderr) == (0, "")
    assert "event.json" in done.stdout


def test_invoke_says_what_there_is(stack: RunningStack) -> None:
    done = _invoke(stack, "authorise")
    assert done.returncode == 1
    assert "there are: announce, authorize, callback, connections" in done.stderr


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stack = start_stack(tmp_path, port=taken.getsockname()[1])
        assert stack.process.wait(30) == 1
        stack.stop()
    [error] = [line for line in stack.lines if line != "Starting ..."]
    assert "is not free" in error
    assert "PORT=" in error


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("MOORING_SECRETS", "{", "is not JSON"),
        ("MOORING_CONFIG", "colour: red\n", "colour"),
    ],
)
def test_wrong_input_is_said_and_nothing_stays(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    given = tmp_path / "given.yaml"
    given.write_text(content)
    stack = start_stack(tmp_path / "state", environ={name: str(given)})
    assert stack.process.wait(60) == 1
    stack.stop()
    said = "\n".join(stack.lines)
    assert expected in said
    assert "Traceback" not in said
    assert not stack.state.stack_file.exists()


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with running_stack(tmp_path, seconds=READY_SECONDS) as stack:
        family = _descendants(stack.process.pid)
        assert len(family) > 3
        started = time.monotonic()
        assert stack.stop() == 0
        assert time.monotonic() - started < 5
        until(lambda: not any(alive(pid) for pid in family))
        assert not stack.state.stack_file.exists()
        assert "Traceback" not in "\n".join(stack.lines)


def test_sigterm_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    stack = start_stack(tmp_path)
    until(lambda: "Starting ..." in stack.lines, seconds=30)
    time.sleep(1.5)
    family = _descendants(stack.process.pid)
    started = time.monotonic()
    assert stack.stop(signal.SIGTERM) == 0
    assert time.monotonic() - started < 10
    until(lambda: not any(alive(pid) for pid in family))
    assert stack.lines == ["Starting ..."]


def test_a_killed_stack_leaves_no_process_and_does_not_block_the_next(tmp_path: Path) -> None:
    with running_stack(tmp_path, seconds=READY_SECONDS) as stack:
        family = _descendants(stack.process.pid)
        stack.stop(signal.SIGKILL)
        until(lambda: not any(alive(pid) for pid in family))
    stack.state.hold("a test")
    stack.state.release()


def _invoke(stack: RunningStack, function: str, *events: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.invoke", function, "--stack-dir", str(stack.state.folder)]
    command += events
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def _control(stack: RunningStack, path: str, method: str = "POST") -> Any:
    port = int(stack.info["lambda_endpoint"].rpartition(":")[2])
    answer = call(port, method, f"/_local/{path}")
    assert answer.status == 200
    return json.loads(answer.body)


def _port(stack: RunningStack) -> int:
    return int(stack.info["base_url"].rpartition(":")[2])


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found
