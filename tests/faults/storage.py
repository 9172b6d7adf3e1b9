"""What lies in the tables of a running stack: sealed fields moved about, flows made older."""

import json
from collections.abc import Mapping
from typing import Any

from mooring.core.flow import FLOW_SECONDS
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep
from tests.faults.stack import BrokenStack

SEALED = ("access", "access_key", "refresh", "refresh_key")
UNDER_WAY = {"lease_owner", "lease_until", "attempts", "attempt_at"}
"""What a refresh leaves in a row only while it runs, or when its outcome is unknown."""


def sealed(one: Upkeep) -> dict[str, bytes]:
    """The sealed fields of a row."""
    row = one.row()
    return {name: row[name] for name in SEALED}


def put(one: Upkeep, **fields: bytes) -> None:
    """Write sealed fields into a row, as whoever can write to the table could."""
    names = {f"#{name}": name for name in fields}
    one.stack.aws("dynamodb").update_item(
        TableName=one.stack.info["tables"]["connections"],
        Key=where(one),
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in fields),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={f":{name}": {"B": value} for name, value in fields.items()},
    )


def where(one: Upkeep) -> dict[str, dict[str, str]]:
    """The key of a connection's row."""
    return {
        "merchant_id": {"S": one.key.merchant_id},
        "connection": {"S": f"{one.key.provider}#{one.key.account_id}"},
    }


def about(broken: BrokenStack, merchant: Merchant, shop: str) -> list[dict[str, Any]]:
    """Every row of the connections table that tells of a merchant or a shop: connections and pointers."""
    rows = broken.rows("connections")
    return [row for row in rows if merchant.name in json.dumps(row, default=str) or shop in str(row)]


def flow(merchant: Merchant) -> tuple[Mapping[str, Any], str]:
    """The one row of a merchant's links in the flows table, and the name of its one burned state."""
    rows = merchant.stack.rows("flows")
    (row,) = [row for row in rows if row["pk"]["S"].startswith(f"link#{merchant.name}#")]
    (slot,) = [name for name in row if name.startswith("s_")]
    return row, slot


def flow_status(merchant: Merchant) -> str:
    """How the one flow of a merchant stands."""
    row, slot = flow(merchant)
    return str(row[slot]["M"]["status"]["S"])


def age_flow(merchant: Merchant, seconds: int) -> None:
    """Let the one flow of a merchant have been burned so much earlier (at most while its cookie lives)."""
    assert seconds < FLOW_SECONDS * 2
    row, slot = flow(merchant)
    burned_at, open_at = int(row[slot]["M"]["at"]["N"]), int(row["open_at"]["N"])
    merchant.stack.aws("dynamodb").update_item(
        TableName=merchant.stack.info["tables"]["flows"],
        Key={"pk": row["pk"]},
        UpdateExpression="SET #slot.#at = :burned_at, #open_at = :open_at",
        ExpressionAttributeNames={"#slot": slot, "#at": "at", "#open_at": "open_at"},
        ExpressionAttributeValues={
            ":burned_at": {"N": str(burned_at - seconds)},
            ":open_at": {"N": str(open_at - seconds)},
        },
    )
