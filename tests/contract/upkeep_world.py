"""Two worlds in which connections are kept alive and end: in memory, and in DynamoDB."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.adapters.dynamodb_due import DynamoDueIndex
from mooring.adapters.dynamodb_endings import DynamoEndings
from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.dynamodb_recoveries import DynamoRecoveries
from mooring.adapters.row_conditions import item_key
from mooring.core.connection import ReadableConnection
from mooring.core.names import connection_key
from mooring.core.ports import BurnStatus, Connections, Flows
from mooring.core.tokens import SealedField, SealedTokens
from mooring.core.upkeep import (
    Cause,
    FreshTokens,
    Key,
    Leased,
    Order,
    Refreshed,
    Seen,
)
from mooring.core.upkeep_ports import DueIndex, Endings, Leases, Recoveries
from tests.contract.aws_server import CONNECTIONS, FLOWS, AwsServer
from tests.contract.samples import EVERYTHING, NOW, a_link, a_state, exchange, sealed
from tests.fakes.connections import FakeConnections
from tests.fakes.due import FakeDueIndex
from tests.fakes.endings import FakeEndings
from tests.fakes.flows import FakeFlows
from tests.fakes.leases import FakeLeases
from tests.fakes.recoveries import FakeRecoveries

DUE = NOW + 2_700
"""When the sample connection falls due."""


class Rest(NamedTuple):
    """What a row holds besides what readers see; None, nought, an empty text or tuple is absent."""

    refresh: SealedField | None = None
    refresh_expires_at: int | None = None
    due_at: int | None = None
    lease_owner: str = ""
    lease_until: int | None = None
    attempts: tuple[str, ...] = ()
    attempt_at: int | None = None
    retry_at: int | None = None
    failures: int = 0
    failing_since: int | None = None
    previous_refresh: SealedField | None = None
    previous_until: int | None = None
    written_by: str = ""
    unauthorized_count: int = 0
    unauthorized_at: int | None = None
    probed_at: int | None = None
    hinted_until: int | None = None
    uninstalled_at: int | None = None


class World(Protocol):
    """All ports over the same rows, and what a test may see besides."""

    @property
    def flows(self) -> Flows: ...
    @property
    def connections(self) -> Connections: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def endings(self) -> Endings: ...
    @property
    def recoveries(self) -> Recoveries: ...
    @property
    def due(self) -> DueIndex: ...

    def rest(self, key: Key) -> Rest:
        """What readers do not see of a row."""

    def tombstone(self, provider: str, account_id: str) -> int | None:
        """When an account was buried."""

    def waits(self, merchant_id: str, confirmation_hash: str) -> bool:
        """Whether a connection waits for this confirmation."""

    def spoil(self, key: Key) -> None:
        """Take from a row what it cannot be understood without: its generation."""


class FakeWorld:
    """In memory."""

    def __init__(self) -> None:
        self.flows = FakeFlows()
        self.connections = FakeConnections(self.flows)
        self.leases = FakeLeases(self.connections)
        self.endings = FakeEndings(self.connections)
        self.recoveries = FakeRecoveries(self.connections)
        self.due = FakeDueIndex(self.connections)

    def rest(self, key: Key) -> Rest:
        return Rest(**vars(self.connections.rest(key)))

    def tombstone(self, provider: str, account_id: str) -> int | None:
        return self.connections.tombstones.get((provider, account_id))

    def waits(self, merchant_id: str, confirmation_hash: str) -> bool:
        return (merchant_id, confirmation_hash) in self.connections.pending

    def spoil(self, key: Key) -> None:
        self.due.spoiled.add(key)


class DynamoWorld:
    """In DynamoDB."""

    def __init__(self, aws: AwsServer) -> None:
        client = aws.dynamodb()
        self._client = client
        self.flows = DynamoFlows(client, FLOWS)
        self.connections = DynamoConnections(client, CONNECTIONS, FLOWS)
        self.leases = DynamoLeases(client, CONNECTIONS)
        self.endings = DynamoEndings(client, CONNECTIONS, FLOWS)
        self.recoveries = DynamoRecoveries(client, CONNECTIONS, FLOWS)
        self.due = DynamoDueIndex(client, CONNECTIONS)

    def rest(self, key: Key) -> Rest:
        row = self._get(key.merchant_id, connection_key(key.provider, key.account_id))
        assert ("due_at" in row) == ("due_shard" in row)
        plain = {name: _plain(value) for name, value in row.items() if name in Rest._fields}
        for name in ("refresh", "previous_refresh"):
            assert (name in row) == (f"{name}_key" in row)
            if name in row:
                plain[name] = SealedField(row[name]["B"], row[f"{name}_key"]["B"])
        return Rest(**plain)

    def tombstone(self, provider: str, account_id: str) -> int | None:
        key = {"pk": {"S": f"tombstone#{provider}#{account_id}"}}
        row = self._client.get_item(TableName=FLOWS, Key=key).get("Item", {})
        return int(row["at"]["N"]) if row else None

    def waits(self, merchant_id: str, confirmation_hash: str) -> bool:
        return bool(self._get(merchant_id, f"@pending#{confirmation_hash}"))

    def spoil(self, key: Key) -> None:
        self._client.update_item(
            TableName=CONNECTIONS, Key=item_key(key), UpdateExpression="REMOVE generation"
        )

    def _get(self, merchant_id: str, connection: str) -> Mapping[str, Any]:
        key = {"merchant_id": {"S": merchant_id}, "connection": {"S": connection}}
        return self._client.get_item(TableName=CONNECTIONS, Key=key).get("Item", {})


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "L":
        return tuple(_plain(entry) for entry in content)
    return int(content) if kind == "N" else content


def connected(
    world: World,
    account: str = "shop-1",
    tokens: SealedTokens = EVERYTHING,
    *,
    merchant: str | None = None,
    at: int = NOW,
    verified: bool = True,
) -> Key:
    """A new connection, stored two seconds after `at`."""
    link, state = a_link(merchant), a_state()
    assert world.flows.burn(link, state, at).status is BurnStatus.BURNED
    world.connections.connect(exchange(link, account, tokens, at=at, verified=verified), link, state)
    return Key(link.merchant_id, "prov-a", account)


def row(world: World, key: Key) -> ReadableConnection:
    """What readers see."""
    found = world.connections.read(*key)
    assert found is not None
    return found


def seen(world: World, key: Key) -> Seen:
    """Generation and version as they stand."""
    one = row(world, key).connection
    return Seen(one.generation, one.version)


def leased(
    world: World,
    key: Key,
    attempt_id: str = "one",
    now: int = DUE,
    cause: Cause = Cause.DUE,
    *,
    rotates: bool = True,
) -> Leased:
    """A lease that must be given."""
    found = world.leases.lease(Order(key, seen(world, key), cause), attempt_id, now, rotates=rotates)
    assert isinstance(found, Leased), found
    return found


def fresh(lease: Leased, now: int, name: str = "new", **changes: Any) -> Refreshed:
    """A token set as it comes back from the provider, an hour long and sealed under the same keys."""
    tokens = FreshTokens(
        access=SealedField(sealed(f"{name} access").ciphertext, lease.access.wrapped_key),
        refresh=SealedField(sealed(f"{name} refresh").ciphertext, lease.refresh.wrapped_key),
        scopes=None,
        expires_at=now + 3_600,
        refresh_expires_at=lease.refresh_expires_at,
        details=lease.connection.details,
        issued_at=now,
        due_at=now + 2_700,
        previous_until=None,
    )
    return Refreshed(lease.key, lease.seen, lease.attempt_id, tokens._replace(**changes))
