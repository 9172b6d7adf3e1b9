"""AWS on a socket: moto, one request at a time, with faults that a test may order.

moto's tables are not safe against each other's threads; the lock makes each request atomic, as
DynamoDB's own are.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.config import Config
from botocore.session import Session
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

REGION = "eu-west-1"
CONNECTIONS, FLOWS = "connections", "flows"


class Fault(NamedTuple):
    """One ordered fault: the operation (`DynamoDB_20120810.UpdateItem` ends with it), and the answer.

    With `after`, the operation takes place and only its answer is lost.
    """

    operation: str
    code: str
    status: int = 400
    after: bool = False
    more: dict[str, Any] | None = None


class AwsServer:
    """A running server. `requests` lists what was asked of it: (operation, parameters)."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[Fault] = []
        self._lock = Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._application, threaded=True)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.port}"
        self._clients: dict[str, Any] = {}

    def stop(self) -> None:
        """Stop the server and close every client."""
        for client in self._clients.values():
            client.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def dynamodb(self, attempts: int = 1) -> "DynamoDBClient":
        """A DynamoDB client that tries each call so many times: once, so that a test sees every fault."""
        return cast("DynamoDBClient", self._client("dynamodb", attempts))

    def kms(self) -> "KMSClient":
        """A KMS client."""
        return cast("KMSClient", self._client("kms"))

    def ssm(self) -> "SSMClient":
        """A Systems Manager client."""
        return cast("SSMClient", self._client("ssm"))

    def sqs(self) -> "SQSClient":
        """An SQS client."""
        return cast("SQSClient", self._client("sqs"))

    @contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """Play each of `faults` once, in order; what was not used is gone at the end."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    @contextmanager
    def out(self, operation: str, code: str, status: int = 400) -> Iterator[None]:
        """Let an operation fail every time."""
        with self.failing(*[Fault(operation, code, status)] * 100):
            yield

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of every call of an operation so far."""
        return [parameters for name, parameters in self.requests if name == operation]

    def _client(self, service: str, attempts: int = 1) -> Any:
        name = f"{service} {attempts}"
        if name not in self._clients:
            session = Session()
            session.set_credentials("test", "test")
            retries: Any = {"mode": "standard", "total_max_attempts": attempts}
            config = Config(retries=retries, proxies={}, max_pool_connections=20)
            self._clients[name] = session.create_client(
                service, region_name=REGION, endpoint_url=self.endpoint, config=config
            )
        return self._clients[name]

    def _application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "")
        with self._lock:
            self.requests.append((operation.rpartition(".")[2], _parameters(environ)))
            fault = self._next_fault(operation)
            if fault is None:
                return list(self._moto(environ, start_response))
            if fault.after:
                list(self._moto(environ, lambda *_: None))
        body = json.dumps({"__type": f"x#{fault.code}", "message": "ordered", **(fault.more or {})}).encode()
        headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))]
        start_response(f"{fault.status} Ordered", headers)
        return [body]

    def _next_fault(self, operation: str) -> Fault | None:
        for position, fault in enumerate(self.faults):
            if operation.endswith(f".{fault.operation}"):
                return self.faults.pop(position)
        return None


def _parameters(environ: dict[str, Any]) -> dict[str, Any]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    return json.loads(body) if body.startswith(b"{") else {}


def create_tables(client: "DynamoDBClient") -> None:
    """The two tables with the keys that `template.yaml` gives them."""
    client.create_table(
        TableName=CONNECTIONS,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[
            {"AttributeName": "merchant_id", "KeyType": "HASH"},
            {"AttributeName": "connection", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "merchant_id", "AttributeType": "S"},
            {"AttributeName": "connection", "AttributeType": "S"},
            {"AttributeName": "due_shard", "AttributeType": "S"},
            {"AttributeName": "due_at", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due_shard", "KeyType": "HASH"},
                    {"AttributeName": "due_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    client.create_table(
        TableName=FLOWS,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "open_shard", "AttributeType": "S"},
            {"AttributeName": "open_at", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open",
                "KeySchema": [
                    {"AttributeName": "open_shard", "KeyType": "HASH"},
                    {"AttributeName": "open_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
