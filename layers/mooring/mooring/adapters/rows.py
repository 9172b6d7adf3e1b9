"""Rows of the connections table as values of ours, and the one way in which a row is updated."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from mooring.adapters.expressions import Update
from mooring.adapters.items import (
    Item,
    binary,
    flag,
    mapping,
    number,
    number_or_none,
    text,
    text_or_none,
    texts,
)
from mooring.core.connection import Connection, ReadableConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Written(NamedTuple):
    """Whether an update took place, and the row that it asked for (see `Update`), which may be empty."""

    done: bool
    row: Item


def write(client: "DynamoDBClient", update: Update) -> Written:
    """Make one conditional update. Only AWS errors are raised, never that a condition was not met."""
    try:
        answer = client.update_item(**update.parameters())
    except client.exceptions.ConditionalCheckFailedException as refused:
        return Written(False, cast("Item", refused.response.get("Item", {})))
    return Written(True, answer.get("Attributes", {}))


def projection(names: tuple[str, ...]) -> dict[str, Any]:
    """The parameters that ask for these attributes and no other."""
    return {
        "ProjectionExpression": ", ".join(f"#{name}" for name in names),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
    }


def sealed_field(row: Item, name: str) -> SealedField:
    """The sealed field `access` or `refresh`; a part that is gone is empty, and no sealer opens that."""
    ciphertext, wrapped = (binary(row, each) if each in row else b"" for each in (name, f"{name}_key"))
    return SealedField(ciphertext, wrapped)


def readable(row: Item) -> ReadableConnection:
    """A connection with its sealed access token.

    Raises:
        Failure: INTERNAL for a row that cannot be understood.
    """
    return ReadableConnection(connection(row), sealed_field(row, "access") if "access" in row else None)


def connection(row: Item) -> Connection:
    """A connection.

    Raises:
        Failure: INTERNAL for a row that cannot be understood.
    """
    provider, _, account_id = text(row, "connection").partition("#")
    return Connection(
        merchant_id=text(row, "merchant_id"),
        provider=provider,
        account_id=account_id,
        status=status(row),
        generation=number(row, "generation"),
        version=number(row, "version"),
        scopes=texts(row, "scopes"),
        expires_at=number_or_none(row, "expires_at"),
        connected_at=number(row, "connected_at"),
        updated_at=number(row, "updated_at"),
        account_verified=flag(row, "account_verified"),
        last_error=text_or_none(row, "last_error"),
        details={name: text({name: value}, name) for name, value in mapping(row, "details").items()},
        issued_at=number_or_none(row, "issued_at"),
        expiring_at=number_or_none(row, "expiring_at"),
        revocation=text_or_none(row, "revocation"),
    )


def status(row: Item) -> Status:
    """A connection's status.

    Raises:
        Failure: INTERNAL for a word that this release does not know.
    """
    try:
        return Status(text(row, "status"))
    except ValueError:
        raise Failure(Reason.INTERNAL, "a connection has an unknown status") from None
