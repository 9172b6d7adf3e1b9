"""Listing the local connections table as a whole, which only makes sense where it is small."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters.dynamodb_connections import LIST_ATTRIBUTES
from mooring_cli.errors import CommandError
from mooring_cli.output import progress
from mooring_cli.rows import about, scan
from mooring_cli.stage import Stage


def all_connections(stage: Stage) -> list[dict[str, Any]]:
    """Every connection in the local table, in the order of merchants and keys; no sealed field is read.

    Raises:
        CommandError: when the local AWS does not answer.
    """
    client, table = stage.client("dynamodb"), stage.connections_table
    try:
        with progress("Reading connections", lambda: about(client, table)) as step:
            rows = list(scan(client, table, LIST_ATTRIBUTES, step))
    except (BotoCoreError, ClientError):
        raise CommandError("The local table cannot be read. Restart the local stack: make run") from None
    # Pointers and pending connections have keys that begin with "@".
    live = [
        row
        for row in rows
        if not row["merchant_id"].startswith("@") and not row["connection"].startswith("@")
    ]
    return [_connection(row) for row in sorted(live, key=lambda row: (row["merchant_id"], row["connection"]))]


def _connection(row: Mapping[str, Any]) -> dict[str, Any]:
    provider, _, account_id = row["connection"].partition("#")
    rest = {name: row.get(name) for name in LIST_ATTRIBUTES if name != "connection"}
    return {**rest, "provider": provider, "account_id": account_id}
