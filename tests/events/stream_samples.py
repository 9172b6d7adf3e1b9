"""Records of the connections table's stream for the sample events, as Lambda hands them on."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import md5, sha256
from typing import Any

from local import REGION
from local.template import ACCOUNT
from mooring.core.upkeep import Key

type Image = Mapping[str, Any]

_FIRST_NUMBER = 1_100_000_000_017_454_423_009
_STREAM = (
    f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/mooring-local-connections/stream/2026-11-01T00:00:00.000"
)


def batch(at: int, key: Key, other: Key) -> dict[str, Any]:
    """One connection that was made and cut off, and another one that has to be made again.

    Args:
        at: when it all happened, in epoch seconds.
        key: the first.
        other: the second.
    """
    made = _row(at, key, "active", "established")
    lost = {**_row(at, other, "needs_reconnect", "needs_reconnect"), "last_error": {"S": "grant_refused"}}
    ended = {
        name: value
        for name, value in _row(at + 60, key, "disconnected", "disconnected").items()
        if name not in ("access", "access_key", "expires_at", "issued_at")
    }
    before = {name: value for name, value in _row(at, other, "active", "").items() if name != "announce"}
    return {"Records": [_record(1, made), _record(2, lost, before), _record(3, ended, made)]}


def _row(at: int, key: Key, status: str, announce: str) -> Image:
    return {
        "merchant_id": {"S": key.merchant_id},
        "connection": {"S": f"{key.provider}#{key.account_id}"},
        "status": {"S": status},
        "generation": {"N": "1"},
        "version": {"N": "1"},
        "access": _sealed("access"),
        "access_key": _sealed("access key"),
        "scopes": {"L": [{"S": "read"}]},
        "expires_at": {"N": str(at + 3_600)},
        "issued_at": {"N": str(at)},
        "connected_at": {"N": str(at)},
        "updated_at": {"N": str(at)},
        "unauthorized_count": {"N": "0"},
        "account_verified": {"BOOL": True},
        "details": {"M": {}},
        "announce": {"S": announce},
    }


def _sealed(name: str) -> Image:
    """Sealed with nothing."""
    return {"B": b64encode(sha256(f"sample {name}".encode()).digest()).decode()}


def _record(number: int, new: Image, old: Image | None = None) -> dict[str, Any]:
    change = {
        "ApproximateCreationDateTime": int(new["updated_at"]["N"]),
        "Keys": {name: new[name] for name in ("merchant_id", "connection")},
        "NewImage": new,
        **({} if old is None else {"OldImage": old}),
        "SequenceNumber": str(_FIRST_NUMBER + number),
        "SizeBytes": 900,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    return {
        "eventID": md5(f"sample {number}".encode(), usedforsecurity=False).hexdigest(),
        "eventName": "INSERT" if old is None else "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": change,
        "eventSourceARN": _STREAM,
    }
