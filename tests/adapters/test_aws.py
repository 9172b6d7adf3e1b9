"""The AWS clients of a process."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mooring.adapters.aws import ATTEMPTS, INVOKE_SECONDS, READ_SECONDS, Aws
from mooring.adapters.aws_errors import failing_as
from mooring.adapters.ssm import ParameterSecrets
from mooring.core.errors import Failure, Reason
from tests.adapters.http_client import Serve, together
from tests.contract.aws_server import REGION, AwsServer
from tests.contract.socket_server import response

CANARY = "canary-secret-5d21"


@pytest.fixture
def clients(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    clients = Aws(REGION)
    yield clients
    clients.close()


def test_a_client_is_made_once_however_many_ask(clients: Aws) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: clients.dynamodb(), range(8)))
    assert len({id(client) for client in found}) == 1


def test_each_service_has_its_own(clients: Aws) -> None:
    made = [clients.dynamodb(), clients.kms(), clients.ssm(), clients.sqs(), clients.lambda_()]
    names = [client.meta.service_model.service_name for client in made]
    assert names == ["dynamodb", "kms", "ssm", "sqs", "lambda"]


def test_no_call_can_use_up_a_flow(clients: Aws) -> None:
    config: Any = clients.dynamodb().meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": ATTEMPTS}
    # One second more for the pause between the attempts.
    assert (config.connect_timeout + config.read_timeout) * ATTEMPTS + 1 <= 7


def test_a_function_is_waited_for_and_never_asked_twice(clients: Aws) -> None:
    config: Any = clients.lambda_().meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    assert config.read_timeout == INVOKE_SECONDS
    # The function that waits has to answer within 28 seconds itself.
    assert config.connect_timeout + config.read_timeout < 28


def test_other_clients_wait_no_longer_for_it(clients: Aws) -> None:
    clients.lambda_()
    config: Any = clients.sqs().meta.config
    assert config.read_timeout == READ_SECONDS


def test_a_batch_that_asks_kms_twice_for_each_message_keeps_its_connections(
    clients: Aws, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(together(20, response(200, b"{}")))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{server.host}")
    kms = clients.kms()
    for _ in range(3):
        with ThreadPoolExecutor(20) as pool:
            assert len(list(pool.map(lambda _: kms.list_keys(), range(20)))) == 20
    assert server.connections == 20


def test_calls_name_us(clients: Aws) -> None:
    config: Any = clients.kms().meta.config
    assert config.user_agent_extra == "mooring"


def test_nothing_of_a_secret_is_logged_at_debug(
    clients: Aws, aws: AwsServer, caplog: pytest.LogCaptureFixture
) -> None:
    name = "/mooring/test/logged/client_secret"
    aws.ssm().put_parameter(Name=name, Value=CANARY, Type="SecureString", Overwrite=True)
    with caplog.at_level(logging.DEBUG):
        secret = ParameterSecrets(clients.ssm(), "test", lambda: 0.0, lambda: 0.0).client_secret("logged")
    assert secret == CANARY
    assert CANARY not in caplog.text


def test_an_error_that_aws_never_saw_is_told_by_its_class(clients: Aws) -> None:
    with pytest.raises(Failure) as caught, failing_as(Reason.STORAGE_UNAVAILABLE):
        clients.dynamodb().list_tables(Limit="many")  # type: ignore[arg-type]
    assert str(caught.value) == "storage_unavailable: ParamValidationError"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
