"""Fifty workers refresh one connection at once, twenty-five times: one token call each time, nothing is lost.

The refresh as it ships, over sockets to a DynamoDB, a KMS and a provider that ends the grant as soon as a
token is used twice.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

import pytest

from mooring.adapters.dynamodb_circuits import DynamoCircuits
from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.http import OutboundHttp
from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.connection import Account, NewConnection
from mooring.core.tokens import SealedTokens
from mooring.core.upkeep import Cause, Key, Leased, Order, Seen
from mooring.flows.refresh import RefreshPorts, refresh
from mooring.flows.watch import Watch
from mooring.providers.oauth2 import OAuth2
from tests.concurrency.database import Database
from tests.concurrency.provider import CountingProvider
from tests.contract.aws_server import CONNECTIONS, FLOWS
from tests.contract.samples import NOW, a_link, a_state
from tests.fakes.clock import FakeClock
from tests.fakes.recovery import FakeRecoveryQueue
from tests.fakes.revocations import FakeRevocations
from tests.fakes.secrets import FakeSecrets
from tests.protocol.shapes import ACME, REFRESH

WORKERS, ROUNDS = 50, 25
LIFETIME, PATIENT_SECONDS = 3_600, 60
_merchants = count(1)


class Crowd:
    """Workers who share a connection and nothing else: each has its own client, sealer and HTTP client."""

    def __init__(self, database: Database, provider: CountingProvider, data_keys: Callable[[], Kms]) -> None:
        self.provider = provider
        self.clock = FakeClock(NOW)
        self.key = Key(f"crowd-{next(_merchants)}", "acme", "shop-1")
        self.recovery = FakeRecoveryQueue()
        self.sealer = EnvelopeSealer(data_keys(), self.clock)
        self._client = database.client()
        url = f"http://{provider.host}/token"
        descriptor = ACME._replace(
            hosts=(provider.host,), local=True, refresh=REFRESH._replace(url=url, rotation="always")
        )
        self._names = count(1)
        self._http = [OutboundHttp() for _ in range(WORKERS)]
        self.workers = [
            RefreshPorts(
                provider=lambda _: descriptor,
                leases=DynamoLeases(client, CONNECTIONS),
                sealer=EnvelopeSealer(data_keys(), self.clock),
                secrets=FakeSecrets({"acme": "client-secret"}),
                server=OAuth2(http),
                recovery=self.recovery,
                revocations=FakeRevocations(),
                watch=Watch(DynamoCircuits(client, FLOWS, self.clock), self.clock),
                clock=self.clock,
                jitter=lambda: 0.5,
                attempt_id=lambda: f"attempt-{next(self._names)}",
            )
            for client, http in ((database.client(), http) for http in self._http)
        ]

    def connect(self) -> None:
        """The connection, as a callback would store it."""
        link, state = a_link(self.key.merchant_id), a_state()
        keys = self.sealer.prepare(self.key.merchant_id, self.key.provider)
        tokens = SealedTokens(
            keys.seal("access", self.key.account_id, "access-0"),
            keys.seal("refresh", self.key.account_id, self.provider.refresh_token),
            ("read",), NOW + LIFETIME, None, {},
        )  # fmt: skip
        account = Account(self.key.account_id, verified=True)
        new = NewConnection(self.key.merchant_id, "acme", account, tokens, NOW, NOW, NOW + LIFETIME - 900)
        DynamoFlows(self._client, FLOWS).burn(link, state, NOW)
        DynamoConnections(self._client, CONNECTIONS, FLOWS).connect(new, link, state)

    def seen(self) -> Seen:
        """Generation and version as they stand."""
        row = DynamoConnections(self._client, CONNECTIONS).read(*self.key)
        assert row is not None
        return Seen(row.connection.generation, row.connection.version)

    def stored(self) -> str:
        """The refresh token in the table, in the clear: read by taking a lease that nobody uses."""
        order = Order(self.key, None, Cause.ASKED)
        lease = DynamoLeases(self._client, CONNECTIONS).lease(order, "reader", NOW + 10**9, rotates=True)
        assert isinstance(lease, Leased)
        return self.sealer.open(lease.refresh, *self.key, "refresh")

    def close(self) -> None:
        """Close the HTTP clients."""
        for http in self._http:
            http.close()


@pytest.mark.timeout(240)
def test_fifty_workers_make_one_token_call_a_round(
    database: Database, provider: CountingProvider, data_keys: Callable[[], Kms]
) -> None:
    crowd = Crowd(database, provider, data_keys)
    crowd.connect()
    start, everybody, causes = crowd.seen(), Barrier(WORKERS), list(Cause)

    def one(number: int, seen: Seen) -> str:
        everybody.wait(timeout=PATIENT_SECONDS)
        order = Order(crowd.key, seen, causes[number % len(causes)])
        return refresh(order, crowd.workers[number], lambda: PATIENT_SECONDS).word

    with ThreadPoolExecutor(WORKERS) as pool:
        for past in range(ROUNDS):
            crowd.clock.advance(LIFETIME - 600)
            seen = Seen(start.generation, start.version + past)
            words = list(pool.map(one, range(WORKERS), [seen] * WORKERS))
            assert words.count("refreshed") == 1, words
            assert {*words} <= {"refreshed", "busy", "fresh"}
            assert (provider.calls, provider.issued) == (past + 1, past + 1)
            assert crowd.seen() == Seen(start.generation, start.version + past + 1)
    assert not provider.revoked
    assert provider.most_at_once == 1
    assert crowd.stored() == provider.refresh_token == f"refresh-{ROUNDS}"
    assert crowd.recovery.refreshed == []
    crowd.close()
