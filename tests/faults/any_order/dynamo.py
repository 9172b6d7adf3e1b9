"""The same deployment on the adapters that ship: their expressions, judged by a second DynamoDB.

It runs in this process, and there is no socket.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botocore.session import Session

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.adapters.dynamodb_due import DynamoDueIndex
from mooring.adapters.dynamodb_endings import DynamoEndings
from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.adapters.dynamodb_generations import DynamoGenerations
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.dynamodb_recoveries import DynamoRecoveries
from mooring.adapters.flow_transitions import EXCHANGING, KEPT, slot
from mooring.core.connection import Status
from mooring.core.link import Link
from mooring.core.names import connection_key
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key, Seen
from tests.contract.aws_server import CONNECTIONS, FLOWS, REGION, create_tables
from tests.faults.any_order.deployment import Deployment
from tests.faults.any_order.machine import AnyOrder
from tests.faults.any_order.standing import Row, Tables
from tests.flows.upkeep_world import UpkeepWorld

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_turn = Lock()


def ask(operation: str, body: bytes) -> tuple[int, bytes]:
    """One request to ministack's DynamoDB: status and answer."""
    from ministack.services import dynamodb  # type: ignore[import-untyped]

    headers = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
    with _turn:
        status, _, answer = _now(dynamodb.handle_request("POST", "/", headers, body, {}))
    return status, answer if isinstance(answer, bytes) else answer.encode()


def _now(asking: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that awaits nothing."""
    try:
        asking.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it awaits something")


class Client:
    """As much of boto3's client as the adapters use: any operation by its name, and its exceptions.

    botocore's own way would take ten times as long, and has nothing to do with what is tried here.
    """

    def __init__(self) -> None:
        made = Session().create_client("dynamodb", region_name=REGION, endpoint_url="http://127.0.0.1:1")
        self.exceptions = made.exceptions

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = "".join(map(str.capitalize, name.split("_")))

        def call(**parameters: Any) -> Any:
            status, body = ask(operation, json.dumps(parameters, default=_encoded).encode())
            answer = json.loads(body, object_hook=_decoded)
            if status == 200:
                return answer
            code = answer["__type"].rpartition("#")[2]
            error = {"Code": code, "Message": answer.get("message", "")}
            refused: Any = self.exceptions.from_code(code)
            raise refused({**answer, "Error": error}, operation)

        return call


def _encoded(value: bytes) -> str:
    return b64encode(value).decode()


def _decoded(found: dict[str, Any]) -> dict[str, Any]:
    binary = found.keys() == {"B"} and isinstance(found["B"], str)
    return {"B": b64decode(found["B"])} if binary else found


@cache
def client() -> "DynamoDBClient":
    """The client of this process."""
    return cast("DynamoDBClient", Client())


class DynamoTables:
    """The tables of the second DynamoDB, looked at past botocore."""

    def row(self, key: Key) -> Row | None:
        where = {"merchant_id": {"S": key.merchant_id}}
        where["connection"] = {"S": connection_key(key.provider, key.account_id)}
        row = _get(CONNECTIONS, where)
        if row is None:
            return None
        return Row(
            Status(row["status"]["S"]),
            Seen(int(row["generation"]["N"]), int(row["version"]["N"])),
            row["last_error"]["S"] if "last_error" in row else None,
            _sealed(row, "access"),
            _sealed(row, "refresh"),
            _sealed(row, "previous_refresh"),
            tuple(each["S"] for each in row["attempts"]["L"]) if "attempts" in row else (),
            int(row["connected_at"]["N"]),
            int(row["updated_at"]["N"]),
        )

    def flow_is_open(self, link: Link, state_hash: str) -> bool:
        row = _get(FLOWS, {"pk": {"S": f"link#{link.merchant_id}#{link.jti}"}})
        flow = None if row is None else row.get(slot(state_hash))
        return flow is not None and flow["M"]["status"]["S"] in (EXCHANGING, KEPT)


def _get(table: str, key: dict[str, Any]) -> dict[str, Any] | None:
    status, answer = ask("GetItem", json.dumps({"TableName": table, "Key": key}).encode())
    assert status == 200, answer
    found: dict[str, Any] | None = json.loads(answer, object_hook=_decoded).get("Item")
    return found


def _sealed(row: dict[str, Any], name: str) -> SealedField | None:
    if name not in row:
        return None
    return SealedField(row[name]["B"], row[f"{name}_key"]["B"])


class InDynamoDb(Deployment):
    """Everything behind the fakes of the table is replaced by what ships."""

    def make_world(self) -> UpkeepWorld:
        for table in client().list_tables()["TableNames"]:
            client().delete_table(TableName=table)
        create_tables(client())
        world: Any = super().make_world()
        world.flows = DynamoFlows(client(), FLOWS)
        world.connections = DynamoConnections(client(), CONNECTIONS, FLOWS)
        world.leases = DynamoLeases(client(), CONNECTIONS)
        world.endings = DynamoEndings(client(), CONNECTIONS, FLOWS)
        world.recoveries = DynamoRecoveries(client(), CONNECTIONS, FLOWS)
        world.due = DynamoDueIndex(client(), CONNECTIONS)
        world.generations = DynamoGenerations(client(), CONNECTIONS)
        world.circuits = DynamoCircuits(client(), FLOWS, world.clock)
        world.circuits.circuits = {}
        return cast("UpkeepWorld", world)

    def make_tables(self) -> Tables:
        return DynamoTables()

    def leaks(self) -> list[str]:
        world: Any = self.world
        rows, world.connections = world.connections, SimpleNamespace(rows={})
        try:
            return super().leaks()
        finally:
            world.connections = rows


class AnyOrderInDynamoDb(AnyOrder):
    """The machine on these tables."""

    def deploy(self, keys: tuple[Key, ...]) -> Deployment:
        return InDynamoDb(keys)
