"""The connections table: finished exchanges in, connections out (see `transitions` for its rows).

Readers ask for named attributes only, so that their policies can forbid every `refresh` attribute
(`dynamodb:Attributes` together with `dynamodb:Select`).
"""

import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters import transitions
from mooring.adapters.aws_errors import error_code, failing_as
from mooring.adapters.items import Item, binary, flag, mapping, number, text, texts
from mooring.core.connection import Connection, NewConnection, ReadableConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.names import connection_key
from mooring.core.tokens import SealedField

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIST_ATTRIBUTES = (
    "merchant_id",
    "connection",
    "status",
    "generation",
    "version",
    "scopes",
    "expires_at",
    "connected_at",
    "updated_at",
    "account_verified",
    "last_error",
    "details",
)
"""What a list of connections asks for: no token, sealed or not."""

READER_ATTRIBUTES = (*LIST_ATTRIBUTES, "access", "access_key")
"""What a reader asks for; its policy must allow these attributes and no other."""

STORE_SECONDS = 3.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_ROW, _FLOW, _TOMBSTONE = 0, 1, 2
_FIRST_PROVIDER = "a"
_PASSING = frozenset(
    (
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionInProgressException",
    )
)


class DynamoConnections:
    """Connections in DynamoDB.

    Args:
        client: a DynamoDB client; for `connect`, one that does not try again by itself.
        connections_table: name of the connections table.
        flows_table: name of the flows table, or empty in a function that only reads.
        clock: a clock that only moves forward, in seconds.
        sleep: waits so many seconds.
        jitter: a number from 0 to 1, drawn anew each time.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        connections_table: str,
        flows_table: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._connections = connections_table
        self._flows = flows_table
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    def connect(self, new: NewConnection, link: Link, state_hash: str) -> None:
        """Store a finished exchange, its pointer and the flow's end in one transaction.

        What may pass (a conflict with another write, throttling, the network) is tried again for
        three seconds. One token names all tries, and the flow can end only once, so a try whose
        answer was lost is not stored twice: the next one finds the flow done with this account.

        Raises:
            Failure: UNINSTALLED_MEANWHILE when a notice for the account came after the burn;
                ACCOUNT_MISMATCH when an unverified account would replace a verified one;
                STORAGE_UNAVAILABLE otherwise.
        """
        items, token = self._transaction(new, link, state_hash), uuid4().hex
        started = self._clock()
        for tries in count():
            try:
                self._client.transact_write_items(TransactItems=items, ClientRequestToken=token)
                return
            except self._client.exceptions.TransactionCanceledException as cancelled:
                if _was_stored(cancelled.response, new, state_hash):
                    return
                code = _passing_reason(cancelled.response)
            except (ClientError, BotoCoreError) as error:
                code = _passing_error(error)
            pause = self._jitter() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**tries)
            if self._clock() - started + pause >= STORE_SECONDS:
                raise Failure(Reason.STORAGE_UNAVAILABLE, code) from None
            self._sleep(pause)

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        """One connection, read consistently, or None when there never was one.

        Raises:
            Failure: STORAGE_UNAVAILABLE; INTERNAL for a row that cannot be understood.
        """
        key = {"merchant_id": {"S": merchant_id}, "connection": {"S": connection_key(provider, account_id)}}
        if merchant_id.startswith("@") or provider.startswith("@"):
            return None
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            answer = self._client.get_item(
                TableName=self._connections, Key=key, ConsistentRead=True, **_projection(READER_ATTRIBUTES)
            )
        row: Item = answer.get("Item", {})
        return _readable(row) if row else None

    def list(self, merchant_id: str) -> list[Connection]:
        """All connections of a merchant, in the order of their keys.

        Raises:
            Failure: STORAGE_UNAVAILABLE; INTERNAL for a row that cannot be understood.
        """
        if merchant_id.startswith("@"):
            return []
        found: list[Connection] = []
        start: dict[str, Any] = {}
        while True:
            with failing_as(Reason.STORAGE_UNAVAILABLE):
                page = self._client.query(**_query(self._connections, merchant_id), **start)
            found.extend(_connection(row) for row in page["Items"])
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _transaction(self, new: NewConnection, link: Link, state_hash: str) -> Sequence[Any]:
        confirmed = new.confirmation_hash is None
        items: list[dict[str, Any]] = [
            {"Update": transitions.connected(self._connections, new).parameters()}
            if confirmed
            else {"Put": transitions.pending(self._connections, new)},
            {"Update": transitions.flow_done(self._flows, link, state_hash, new).parameters()},
            {"ConditionCheck": transitions.not_uninstalled(self._flows, new)},
        ]
        if not confirmed:
            items.append({"Put": transitions.confirmation(self._flows, new)})
        elif transitions.has_pointer(new):
            items.append({"Put": transitions.pointer(self._connections, new)})
        return items


def _was_stored(response: Any, new: NewConnection, state_hash: str) -> bool:
    """Whether a cancelled transaction had nothing left to do.

    A state is exchanged at most once, so a flow that is done with this account was done with these
    very tokens: by an earlier try of ours, or by a second callback that found the same kept set.

    Raises:
        Failure: UNINSTALLED_MEANWHILE; ACCOUNT_MISMATCH when the row's own condition refused it;
            STORAGE_UNAVAILABLE when the flow ended in another way.
    """
    reasons = response["CancellationReasons"]
    if reasons[_TOMBSTONE].get("Code") == "ConditionalCheckFailed":
        raise Failure(Reason.UNINSTALLED_MEANWHILE) from None
    if reasons[_FLOW].get("Code") != "ConditionalCheckFailed":
        if reasons[_ROW].get("Code") == "ConditionalCheckFailed":
            raise Failure(Reason.ACCOUNT_MISMATCH) from None
        return False
    row: Item = reasons[_FLOW].get("Item", {})
    name = transitions.slot(state_hash)
    found = mapping(row, name) if name in row else {}
    done = {"status": {"S": transitions.DONE}, "account": {"S": new.account.account_id}}
    if any(found.get(key) != value for key, value in done.items()):
        raise Failure(Reason.STORAGE_UNAVAILABLE, "the flow was not open any more") from None
    return True


def _passing_reason(response: Any) -> str:
    """The code of a cancellation that may pass.

    Raises:
        Failure: STORAGE_UNAVAILABLE when one of its codes will not.
    """
    codes = [reason.get("Code", "None") for reason in response["CancellationReasons"]]
    real = [code for code in codes if code != "None"]
    lasting = [code for code in real if code not in _PASSING]
    if lasting:
        raise Failure(Reason.STORAGE_UNAVAILABLE, lasting[0]) from None
    return real[0] if real else "TransactionCanceledException"


def _passing_error(error: ClientError | BotoCoreError) -> str:
    code = error_code(error)
    if isinstance(error, ClientError) and code not in _PASSING:
        raise Failure(Reason.STORAGE_UNAVAILABLE, code) from None
    return code


def _projection(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "ProjectionExpression": ", ".join(f"#{name}" for name in names),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
    }


def _query(table: str, merchant_id: str) -> dict[str, Any]:
    # Provider ids begin with a letter, rows of our own with "@", which sorts before every letter.
    return {
        "TableName": table,
        "KeyConditionExpression": "#merchant_id = :merchant AND #connection >= :first",
        "ExpressionAttributeValues": {":merchant": {"S": merchant_id}, ":first": {"S": _FIRST_PROVIDER}},
        "Select": "SPECIFIC_ATTRIBUTES",
        "ConsistentRead": True,
        **_projection(LIST_ATTRIBUTES),
    }


def _readable(row: Item) -> ReadableConnection:
    # A wrapped key that is gone leaves an empty one, which no sealer opens.
    key = binary(row, "access_key") if "access_key" in row else b""
    access = SealedField(binary(row, "access"), key) if "access" in row else None
    return ReadableConnection(_connection(row), access)


def _connection(row: Item) -> Connection:
    provider, _, account_id = text(row, "connection").partition("#")
    return Connection(
        merchant_id=text(row, "merchant_id"),
        provider=provider,
        account_id=account_id,
        status=_status(text(row, "status")),
        generation=number(row, "generation"),
        version=number(row, "version"),
        scopes=texts(row, "scopes"),
        expires_at=number(row, "expires_at") if "expires_at" in row else None,
        connected_at=number(row, "connected_at"),
        updated_at=number(row, "updated_at"),
        account_verified=flag(row, "account_verified"),
        last_error=text(row, "last_error") if "last_error" in row else None,
        details={name: text({name: value}, name) for name, value in mapping(row, "details").items()},
    )


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError:
        raise Failure(Reason.INTERNAL, "a connection has an unknown status") from None
