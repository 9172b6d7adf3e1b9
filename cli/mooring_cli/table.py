"""Reading the local connections table as a whole, which only makes sense where it is small."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters.dynamodb_connections import LIST_ATTRIBUTES
from mooring_cli.errors import CommandError
from mooring_cli.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


def all_connections(stack: Stack) -> list[dict[str, Any]]:
    """Every connection in the local table, in the order of merchants and keys; no sealed field is read.

    Raises:
        CommandError: when the local AWS does not answer.
    """
    try:
        rows = _scan(_client(stack), stack.connections_table)
    except (BotoCoreError, ClientError):
        raise CommandError("The local table cannot be read. Restart the local stack: make run") from None
    # Pointers and pending connections have keys that begin with "@".
    live = [
        row
        for row in rows
        if not row["merchant_id"].startswith("@") and not row["connection"].startswith("@")
    ]
    return [_connection(row) for row in sorted(live, key=lambda row: (row["merchant_id"], row["connection"]))]


def _client(stack: Stack) -> "DynamoDBClient":
    from boto3 import Session

    access_key_id, secret_access_key = stack.credentials
    session = Session(access_key_id, secret_access_key, region_name=stack.region)
    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1}, proxies={})
    return session.client("dynamodb", endpoint_url=stack.aws_endpoint_url, config=config)


def _scan(client: "DynamoDBClient", table: str) -> list[dict[str, Any]]:
    # By placeholder, because some of the names are words that DynamoDB keeps for itself.
    names = {f"#{number}": name for number, name in enumerate(LIST_ATTRIBUTES)}
    pages = client.get_paginator("scan").paginate(
        TableName=table, ProjectionExpression=", ".join(names), ExpressionAttributeNames=names
    )
    return [{name: _plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]


def _plain(value: Mapping[str, Any]) -> Any:
    """A typed attribute value as a Python value; lists are lists of texts."""
    kind, content = next(iter(value.items()))
    if kind == "N":
        return int(content)
    if kind == "L":
        return [_plain(entry) for entry in content]
    if kind == "M":
        return {name: _plain(entry) for name, entry in content.items()}
    return None if kind == "NULL" else content


def _connection(row: Mapping[str, Any]) -> dict[str, Any]:
    provider, _, account_id = row["connection"].partition("#")
    rest = {name: row.get(name) for name in LIST_ATTRIBUTES if name != "connection"}
    return {**rest, "provider": provider, "account_id": account_id}
