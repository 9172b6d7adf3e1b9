"""What an uninstall notice and a sweep ask of AWS, counted in a table that is filled for it."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import batched
from typing import Any, NamedTuple

from local.event import http_event
from local.request import HttpRequest
from mooring.core.schedule import due_shard
from tests.bench.aws import Calls
from tests.bench.contestants import MERCHANT
from tests.bench.ground import PROVIDER, SIGNED, WEBHOOK_SECRET, Ground
from tests.bench.runs import BenchError, Track
from tests.bench.staging import BASE_URL

HOLDERS = 3
DUE, FEW, MANY = 50, 100, 1_000
_LATER = 86_400
_PAGE = 25


class Uninstalled(NamedTuple):
    """What one proven notice asked of AWS, and how many merchants had connected the account."""

    calls: Calls
    holders: int


class Sweeps(NamedTuple):
    """What a sweep asked of AWS with as many connections due, among few and among many stored ones."""

    few: Calls
    many: Calls


def uninstalled(ground: Ground, track: Track) -> Uninstalled:
    """Uninstall an account that several merchants connected; warm.

    Raises:
        BenchError: it was not taken.
    """
    row = _row(ground)
    for account in ("shop-0", "shop-1"):
        rows = list(_held(row, account))
        _write(ground, rows)
        answer = _notify(ground, track, account)
        if answer["statusCode"] // 100 != 2:
            raise BenchError(f"uninstall answered {answer}")
    return Uninstalled(ground.aws.calls(), HOLDERS)


def swept(ground: Ground, track: Track) -> Sweeps:
    """Sweep twice with the same connections due, each time in a process that remembers nothing.

    Raises:
        BenchError: a sweep found another number of connections than there are due.
    """
    now, row = int(time.time()), _row(ground)
    _forget_due(ground, row)
    found: list[Calls] = []
    stored = 0
    for number, total in enumerate((FEW, MANY)):
        due = [_due(row, f"due-{at}", now - 60) for at in range(DUE)] if number == 0 else []
        later = [_due(row, f"later-{total}-{at}", now + _LATER) for at in range(total - stored - len(due))]
        stored += len(due) + len(later)
        _write(ground, due + later)
        found.append(_sweep(ground, track, number))
    return Sweeps(*found)


def _sweep(ground: Ground, track: Track, number: int) -> Calls:
    """One sweep into an empty queue of its own."""
    sqs, spec = ground.client("sqs"), ground.functions["sweep"]
    queue = sqs.create_queue(QueueName=f"bench-sweep-{number}")["QueueUrl"]
    own = replace(spec, environment={**spec.environment, "MOORING_REFRESH_QUEUE_URL": queue})
    ground.aws.forget()
    track.send(f"sweep {number}", own, {})
    calls = ground.aws.calls()
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    depth = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    queued = sum(int(depth[name]) for name in names)
    if queued != DUE:
        raise BenchError(f"the sweep queued {queued} of {DUE} due connections")
    return calls


def _notify(ground: Ground, track: Track, account: str) -> Any:
    body = json.dumps({"id": secrets.token_hex(8), "shop": account, "at": int(time.time())}).encode()
    signature = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = [
        ("host", BASE_URL.partition("://")[2]),
        ("content-type", "application/json"),
        ("x-signature", signature),
    ]
    request = HttpRequest("POST", f"/uninstall/{SIGNED}", headers, body)
    event = http_event(request, route_key="POST /uninstall/{provider}", path_parameters={"provider": SIGNED})
    ground.aws.forget()
    return track.send("uninstall", ground.functions["uninstall"], event)


def _row(ground: Ground) -> dict[str, Any]:
    """The row that the callback stored, as every other row is to look."""
    key = {"merchant_id": {"S": MERCHANT}, "connection": {"S": f"{PROVIDER}#default"}}
    found: dict[str, Any] = ground.client("dynamodb").get_item(TableName=_table(ground), Key=key)["Item"]
    return found


def _held(row: dict[str, Any], account: str) -> Iterator[dict[str, Any]]:
    """The account's connections, a minute old, and their pointers."""
    since = str(int(time.time()) - 60)
    for number in range(HOLDERS):
        merchant = f"holder-{number}"
        changed = {
            "merchant_id": {"S": merchant},
            "connection": {"S": f"{SIGNED}#{account}"},
            "connected_at": {"N": since},
            "account_verified": {"BOOL": True},
        }
        yield {name: value for name, value in row.items() if not name.startswith("due_")} | changed
        yield {"merchant_id": {"S": f"@account#{SIGNED}#{account}"}, "connection": {"S": merchant}}


def _due(row: dict[str, Any], merchant: str, due_at: int) -> dict[str, Any]:
    shard = due_shard(PROVIDER, merchant, "default")
    changed = {"merchant_id": {"S": merchant}, "due_at": {"N": str(due_at)}, "due_shard": {"S": shard}}
    return row | changed


def _forget_due(ground: Ground, row: dict[str, Any]) -> None:
    """Take the merchant's own connection out of the index: it falls due when it likes."""
    _write(ground, [{name: value for name, value in row.items() if not name.startswith("due_")}])


def _write(ground: Ground, rows: list[dict[str, Any]]) -> None:
    table, dynamodb = _table(ground), ground.client("dynamodb")
    for some in batched(rows, _PAGE, strict=False):
        dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": row}} for row in some]})


def _table(ground: Ground) -> str:
    return str(ground.functions["callback"].environment["MOORING_CONNECTIONS_TABLE"])
