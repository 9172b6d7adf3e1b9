"""An AWS for the CLI's tests: moto on a socket, with the tables and queues of one stage."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.core.errors import Reason
from mooring_cli.stage import QUEUES
from tests.cli.stack_on_sockets import KEY_ID, REGION, SECRET

#: What a connection looks like besides its keys; the sealed fields must never be seen again.
SEALED: Mapping[str, Any] = {
    "access": {"B": b"sealed-access"},
    "refresh": {"B": b"sealed-refresh"},
    "scopes": {"L": [{"S": "read"}]},
    "generation": {"N": "1"},
    "version": {"N": "1"},
    "access_key": {"B": b"sealed-access-key"},
    "refresh_key": {"B": b"sealed-refresh-key"},
    "connected_at": {"N": "1790000000"},
    "updated_at": {"N": "1790000000"},
    "account_verified": {"BOOL": True},
    "details": {"M": {}},
}


class FakeAws:
    """One stage in a simulated AWS: `mooring-{stage}-...`."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        # All such servers of one process share their state, so each has a stage of its own.
        self.stage = f"s{uuid4().hex[:12]}"
        self.queues: dict[str, str] = {}

    def client(self, service: str) -> Any:
        session = boto3.Session(KEY_ID, SECRET, region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]

    def table(self, name: str) -> str:
        """A table's physical name."""
        return f"mooring-{self.stage}-{name}"

    def create(self) -> None:
        """Create everything."""
        dynamodb, sqs = self.client("dynamodb"), self.client("sqs")
        for name, keys in (("connections", ("merchant_id", "connection")), ("flows", ("pk",))):
            dynamodb.create_table(
                TableName=self.table(name),
                KeySchema=[
                    {"AttributeName": key, "KeyType": kind}
                    for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        for name in QUEUES:
            self.queues[name] = sqs.create_queue(QueueName=f"mooring-{self.stage}-{name}")["QueueUrl"]

    def put(self, merchant: str, key: str, status: str = "active", **more: Any) -> None:
        """Store a connection, sealed fields and all; `more` are numbers, texts or lists of texts."""
        keys = {"merchant_id": {"S": merchant}, "connection": {"S": key}, "status": {"S": status}}
        extra = {name: _attribute(value) for name, value in more.items()}
        item = {**keys, **SEALED, **extra}
        self.client("dynamodb").put_item(TableName=self.table("connections"), Item=item)

    def open_circuit(self, provider: str, at: int) -> None:
        """Let a provider refuse us since `at`."""
        circuits = DynamoCircuits(self.client("dynamodb"), self.table("flows"))
        circuits.open(provider, Reason.PROVIDER_MISCONFIGURED, at)

    def send(self, queue: str, count: int = 1) -> None:
        """Put messages into a queue."""
        for _ in range(count):
            self.client("sqs").send_message(QueueUrl=self.queues[queue], MessageBody="{}")


def _attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"L": [{"S": entry} for entry in value]}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}


@contextmanager
def running_aws() -> Iterator[FakeAws]:
    """A simulated AWS that listens until the block ends, with one empty stage."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        aws = FakeAws(f"http://{host}:{port}")
        aws.create()
        yield aws
    finally:
        server.stop()
