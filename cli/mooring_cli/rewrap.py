"""Wrapping data keys anew under another KMS key, row by row. The plain data keys stay what they are.

KMS rewraps inside itself (ReEncrypt): no data key comes here, and no token is opened. A write names the
wrapped keys that it replaces, so whatever changed meanwhile is read and done again.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from mooring.adapters.expressions import Update
from mooring.adapters.flow_transitions import KEPT
from mooring.adapters.operator_transitions import kept_resealed, resealed
from mooring.adapters.rows import projection, write

ATTRIBUTES = (
    "merchant_id",
    "connection",
    "provider",
    "access_key",
    "refresh_key",
    "previous_refresh_key",
    "lease_until",
)
"""What is read of each connection: no token, sealed or not."""
_FIELDS = {"access_key": "access", "refresh_key": "refresh", "previous_refresh_key": "refresh"}
_TRIES = 5
_FORMAT_BYTES = 1
_NOT_OURS = ("InvalidCiphertextException", "IncorrectKeyException")
_GIVE_UP_AFTER = 10
_OWN = "@"

type Row = Mapping[str, Mapping[str, Any]]


class Refused(Exception):  # noqa: N818 - an answer of KMS, which ends one row
    """KMS does not rewrap a data key.

    Args:
        code: the AWS error code.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Hopeless(Exception):  # noqa: N818 - the end of a pass
    """KMS has refused every row so far. The text is the AWS error code."""


@dataclass(slots=True)
class Pass:
    """What one pass over the rows found and did.

    `keys` counts data keys by the KMS key that they were under; `rewrapped` counts rows; `leased` are rows
    that were being refreshed, by merchant and connection; `refused` has the error code of each row that KMS
    refused.
    """

    keys: Counter[str] = field(default_factory=Counter)
    rewrapped: int = 0
    leased: list[tuple[str, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def refuse(self, name: str, code: str) -> None:
        """Note a row that was refused. Raises `Hopeless` when nothing else has happened so far."""
        self.refused[name] = code
        if len(self.refused) >= _GIVE_UP_AFTER and not self.keys:
            raise Hopeless(code)


class _Wrapped(NamedTuple):
    """A data key after ReEncrypt: whether it was under the wanted key before, and the new wrapping."""

    was_there: bool
    before_under: str
    after: bytes


class Rewrapper:
    """Rewraps what rows hold.

    Args:
        kms: a KMS client.
        dynamodb: a DynamoDB client.
        connections: name of the connections table.
        flows: name of the flows table.
        to: the KMS key, as KMS takes it.
        write: whether rows are changed; if not, KMS is asked all the same, and its answer thrown away.
        threads: how many rows are worked on at once.
    """

    def __init__(
        self, kms: Any, dynamodb: Any, connections: str, flows: str, to: str, *, write: bool, threads: int
    ) -> None:
        self._kms = kms
        self._dynamodb = dynamodb
        self._connections = connections
        self._flows = flows
        self._to = to
        self._write = write
        self._threads = threads

    def connections(self, rows: Iterable[Row], done: Pass) -> None:
        """Rewrap rows of the connections table, as they were read with `ATTRIBUTES`."""
        held = [row for row in rows if any(name in row for name in _FIELDS)]
        with ThreadPoolExecutor(self._threads) as pool:
            for outcome in pool.map(self._connection, held):
                outcome.into(done)

    def again(self, leased: Iterable[tuple[str, str]], done: Pass) -> None:
        """Try rows again that were leased."""
        self.connections((row for place in leased if (row := self._read(*place))), done)

    def flows(self, rows: Iterable[Row], providers: Iterable[str], done: Pass) -> None:
        """Rewrap the token sets that flows have kept. Their rows do not say of which provider they are.

        Args:
            rows: whole rows of the flows table.
            providers: those that it may be.
            done: what becomes of them.
        """
        for row in rows:
            for slot in _kept(row):
                self._slot(row, slot, providers).into(done)

    def _connection(self, row: Row) -> "_Outcome":
        merchant_id, connection = row["merchant_id"]["S"], row["connection"]["S"]
        name = f"{merchant_id} {connection}"
        found: dict[str, _Wrapped] = {}
        for _ in range(_TRIES):
            now = int(time.time())
            if int(row.get("lease_until", {"N": "0"})["N"]) > now and self._write:
                return _Outcome(name, found, leased=(merchant_id, connection))
            try:
                found = self._rewrap(row)
            except Refused as refused:
                return _Outcome(name, {}, refused=refused.code)
            keys = _changed(row, found)
            if not (keys and self._write):
                return _Outcome(name, found)
            update = resealed(self._connections, merchant_id, connection, keys, now)
            if self._written(update):
                return _Outcome(name, found, rewrapped=True)
            again = self._read(merchant_id, connection)
            if again is None:
                return _Outcome(name, {})
            row = again
        return _Outcome(name, {}, refused="it changes too often")

    def _rewrap(self, row: Row) -> dict[str, _Wrapped]:
        """Every data key of a row; one that stands there twice is asked about once."""
        merchant_id, connection = row["merchant_id"]["S"], row["connection"]["S"]
        waits = connection.startswith(_OWN)
        provider = row["provider"]["S"] if waits else connection.partition("#")[0]
        known: dict[tuple[bytes, str], _Wrapped] = {}
        found = {}
        for name, sealed in _FIELDS.items():
            if name in row:
                wrapped = bytes(row[name]["B"])
                if (wrapped, sealed) not in known:
                    context = {"merchant": merchant_id, "provider": provider, "field": sealed}
                    known[wrapped, sealed] = self._re_encrypt(wrapped, context)
                found[name] = known[wrapped, sealed]
        return found

    def _slot(self, row: Row, slot: str, providers: Iterable[str]) -> "_Outcome":
        pk, wrapped = row["pk"]["S"], bytes(row[slot]["M"]["kept_key"]["B"])
        merchant_id, code = pk.split("#")[1], "no provider of this stage"
        for provider in providers:
            context = {"merchant": merchant_id, "provider": provider, "field": "access"}
            try:
                found = self._re_encrypt(wrapped, context)
            except Refused as refused:
                code = refused.code
                if code in _NOT_OURS:
                    continue
                break
            if found.was_there or not self._write:
                return _Outcome(pk, {slot: found})
            # Refused: the flow ended meanwhile, and what it kept is gone.
            done = self._written(kept_resealed(self._flows, pk, slot, wrapped, found.after))
            return _Outcome(pk, {slot: found}, rewrapped=done)
        return _Outcome(pk, {}, refused=code)

    def _re_encrypt(self, wrapped: bytes, context: Mapping[str, str]) -> _Wrapped:
        try:
            answer = self._kms.re_encrypt(
                CiphertextBlob=wrapped[_FORMAT_BYTES:],
                SourceEncryptionContext=context,
                DestinationEncryptionContext=context,
                DestinationKeyId=self._to,
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code.startswith("Throttl"):
                raise
            raise Refused(code) from None
        before, after = answer["SourceKeyId"], answer["KeyId"]
        return _Wrapped(before == after, before, wrapped[:_FORMAT_BYTES] + answer["CiphertextBlob"])

    def _written(self, update: Update) -> bool:
        return write(self._dynamodb, update).done

    def _read(self, merchant_id: str, connection: str) -> Row | None:
        found = self._dynamodb.get_item(
            TableName=self._connections,
            Key={"merchant_id": {"S": merchant_id}, "connection": {"S": connection}},
            ConsistentRead=True,
            **projection(ATTRIBUTES),
        )
        row: Row | None = found.get("Item")
        return row


class _Outcome(NamedTuple):
    """What became of one row."""

    name: str
    found: Mapping[str, _Wrapped]
    rewrapped: bool = False
    leased: tuple[str, str] | None = None
    refused: str = ""

    def into(self, done: Pass) -> None:
        """Count it. Raises `Hopeless`."""
        if self.leased:
            done.leased.append(self.leased)
            return
        done.keys.update(each.before_under for each in self.found.values())
        done.rewrapped += self.rewrapped
        if self.refused:
            done.refuse(self.name, self.refused)


def _changed(row: Row, found: Mapping[str, _Wrapped]) -> dict[str, tuple[bytes, bytes]]:
    """Those data keys that are under another key, before and after, by attribute."""
    return {name: (bytes(row[name]["B"]), each.after) for name, each in found.items() if not each.was_there}


def _kept(row: Row) -> Iterator[str]:
    """The slots of a link's row in which a token set is kept."""
    for name, value in row.items():
        if "M" in value and value["M"].get("status") == {"S": KEPT} and "kept_key" in value["M"]:
            yield name
