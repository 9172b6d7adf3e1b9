"""The recovery queue: where a sealed token set goes when the table will not take it.

A message holds ciphertext and names, nothing that opens without KMS, and not the link itself.
`message` and `parse` stand side by side, because a worker of a later release reads what this one
wrote; a change to the shape raises `SCHEMA`, and `parse` goes on reading the old one.
"""

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from mooring.adapters.aws_errors import failing_as
from mooring.core.connection import Account, NewConnection
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.tokens import SealedField, SealedTokens

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

SCHEMA = 1
KIND = "connected"


class Recovered(NamedTuple):
    """One message: what `Connections.connect` takes. The link comes without its token and address."""

    new: NewConnection
    link: Link
    state_hash: str


class SqsRecoveryQueue:
    """The recovery queue in SQS.

    Args:
        client: an SQS client.
        queue_url: the queue's URL.
    """

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def put(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Queue a finished exchange (ciphertext only). Raises `Failure(STORAGE_UNAVAILABLE)`."""
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=message(new, link, state_hash))


def message(new: NewConnection, link: Link, state_hash: str) -> str:
    """The body of a message: one JSON object."""
    body = {
        "schema": SCHEMA,
        "kind": KIND,
        "merchant_id": new.merchant_id,
        "provider": new.provider,
        "account_id": new.account.account_id,
        "account_verified": new.account.verified,
        "access": _field(new.tokens.access),
        "refresh": _field(new.tokens.refresh) if new.tokens.refresh else None,
        "scopes": list(new.tokens.scopes),
        "expires_at": new.tokens.expires_at,
        "refresh_expires_at": new.tokens.refresh_expires_at,
        "details": dict(new.tokens.details),
        "connected_at": new.connected_at,
        "burned_at": new.burned_at,
        "due_at": new.due_at,
        "confirmation_hash": new.confirmation_hash,
        "state_hash": state_hash,
        "link": {
            "jti": link.jti,
            "use": link.use,
            "issued_at": link.issued_at,
            "expires_at": link.expires_at,
        },
    }
    return json.dumps(body, separators=(",", ":"))


def parse(body: str) -> Recovered:
    """Read a message's body.

    Raises:
        Failure: INTERNAL for a message of another schema, kind or shape.
    """
    try:
        data = json.loads(body)
        if (data["schema"], data["kind"]) != (SCHEMA, KIND):
            raise Failure(Reason.INTERNAL, "a recovery message has an unknown schema or kind")
        return Recovered(_new(data), _link(data), str(data["state_hash"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure(Reason.INTERNAL, "a recovery message has another shape") from None


def _new(data: dict[str, Any]) -> NewConnection:
    tokens = SealedTokens(
        access=_sealed(data["access"]),
        refresh=_sealed(data["refresh"]) if data["refresh"] else None,
        scopes=tuple(data["scopes"]),
        expires_at=data["expires_at"],
        refresh_expires_at=data["refresh_expires_at"],
        details=dict(data["details"]),
    )
    return NewConnection(
        merchant_id=data["merchant_id"],
        provider=data["provider"],
        account=Account(data["account_id"], data["account_verified"]),
        tokens=tokens,
        connected_at=data["connected_at"],
        burned_at=data["burned_at"],
        due_at=data["due_at"],
        confirmation_hash=data["confirmation_hash"],
    )


def _link(data: dict[str, Any]) -> Link:
    link = data["link"]
    return Link(
        token="",
        merchant_id=data["merchant_id"],
        use=link["use"],
        provider=data["provider"],
        return_to="",
        jti=link["jti"],
        issued_at=link["issued_at"],
        expires_at=link["expires_at"],
        scopes=None,
        account_id=None,
        confirm=data["confirmation_hash"] is not None,
    )


def _field(sealed: SealedField) -> list[str]:
    return [b64encode(part).decode("ascii") for part in sealed]


def _sealed(parts: list[str]) -> SealedField:
    ciphertext, wrapped_key = parts
    return SealedField(b64decode(ciphertext, validate=True), b64decode(wrapped_key, validate=True))
