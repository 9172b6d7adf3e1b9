"""`mooring connections`: one merchant's by the API, everybody's from the local table."""

import json
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import KEY_ID, REGION, SECRET, FakeStack, connection


@pytest.fixture
def aws(stack: FakeStack) -> Iterator[FakeStack]:
    """The stack with a connections table behind it, in a DynamoDB on a socket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    stack.aws_endpoint_url = f"http://{host}:{port}"
    # All such servers of one process share their tables, so each test has its own.
    stack.tables["connections"] = f"connections-{uuid4()}"
    stack.write()
    yield stack
    server.stop()


def put(stack: FakeStack, merchant: str, key: str) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=stack.aws_endpoint_url,
        region_name=REGION,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )
    table = stack.tables["connections"]
    with suppress(client.exceptions.ResourceInUseException):  # an earlier row's
        keys = (("merchant_id", "HASH"), ("connection", "RANGE"))
        client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],  # type: ignore[typeddict-item]
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    item = {
        "merchant_id": {"S": merchant},
        "connection": {"S": key},
        "status": {"S": "active"},
        "generation": {"N": "3"},
        "version": {"N": "4"},
        "scopes": {"L": [{"S": "read"}]},
        "connected_at": {"N": "1790000000"},
        "access": {"B": b"sealed-access"},
        "last_error": {"NULL": True},
    }
    client.put_item(TableName=table, Item=item)  # type: ignore[arg-type]


def test_one_merchant(mooring: Command, stack: FakeStack) -> None:
    stack.lists("m-1", connection("acme", "shop-7", expires_at=1_790_003_600), connection("other", "default"))
    answer = mooring("connections", "m-1")
    lines = [line.split() for line in answer.out.splitlines()]
    assert (answer.code, answer.err) == (0, "")
    assert lines[0] == [
        "merchant",
        "provider",
        "account",
        "status",
        "generation",
        "version",
        "scopes",
        "expires",
        "connected",
    ]
    assert lines[1][:8] == ["m-1", "acme", "shop-7", "active", "1", "2", "read", "write"]
    assert lines[1][8:10] == ["2026-09-21", "15:13:20Z"]
    assert lines[2][:3] == ["m-1", "other", "default"]
    assert "never" in lines[2]


def test_a_connection_that_was_cut_off_says_what_its_provider_did(mooring: Command, stack: FakeStack) -> None:
    said = (None, "revoked", "failed")
    stack.lists("m-1", *(connection("acme", "a", status="disconnected", revocation=each) for each in said))
    lines = mooring("connections", "m-1").out.splitlines()[1:]
    columns = [line.split()[3:5] for line in lines]
    assert columns == [["disconnected", "1"], ["disconnected", "(revoked)"], ["disconnected", "(failed)"]]


def test_nothing_connected(mooring: Command, stack: FakeStack) -> None:
    stack.lists("m-1")
    answer = mooring("connections", "m-1")
    assert answer.code == 0
    assert answer.err.startswith("No connection yet. Start one: mooring link --provider P --merchant m-1")


def test_json_of_one_merchant(mooring: Command, stack: FakeStack) -> None:
    stack.lists("m-1", connection("acme", "shop-7"))
    content = json.loads(mooring("connections", "m-1", "--json").out)
    assert content == {"connections": [{"merchant_id": "m-1", **connection("acme", "shop-7")}]}


def test_merchant_id_is_checked_first(mooring: Command, stack: FakeStack) -> None:
    assert mooring("connections", "m/1").code == 2
    assert stack.asked == []


def test_everybody_without_pointers_pending_rows_or_sealed_fields(mooring: Command, aws: FakeStack) -> None:
    for merchant, key in (
        ("m-2", "acme#shop-8"),
        ("m-1", "acme#shop:7#a"),
        ("@account#acme#shop-8", "m-2"),
        ("m-1", "@pending#abc"),
    ):
        put(aws, merchant, key)
    answer = mooring("connections", "--json")
    assert answer.err.count("\n") == 1  # no bar where nobody sees it
    assert "read from the local table" in answer.err
    assert "sealed" not in answer.out
    found = json.loads(answer.out)["connections"]
    assert [(row["merchant_id"], row["provider"], row["account_id"]) for row in found] == [
        ("m-1", "acme", "shop:7#a"),
        ("m-2", "acme", "shop-8"),
    ]
    assert (found[0]["generation"], found[0]["scopes"], found[0]["last_error"]) == (3, ["read"], None)
    table = mooring("connections").out.splitlines()
    assert [line.split()[0] for line in table] == ["merchant", "m-1", "m-2"]
    assert aws.asked == []


def test_table_that_is_not_there(mooring: Command, aws: FakeStack) -> None:
    answer = mooring("connections")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.endswith("The local table cannot be read. Restart the local stack: make run\n")


def test_a_long_list_is_read_page_by_page(mooring: Command, stack: FakeStack) -> None:
    path = "/merchants/m-1/connections"
    first = {"connections": [connection("acme", "shop-1")], "next": "go on/here"}
    stack.answers[path] = (200, first)
    stack.answers[f"{path}?next=go%20on%2Fhere"] = (200, {"connections": [], "next": "end"})
    last = {"connections": [connection("acme", "shop-2")], "next": None}
    stack.answers[f"{path}?next=end"] = (200, last)
    found = json.loads(mooring("connections", "m-1", "--json").out)["connections"]
    assert [entry["account_id"] for entry in found] == ["shop-1", "shop-2"]
