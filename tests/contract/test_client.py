"""The client's battery, on the fake for users' tests and on DynamoDB, KMS and the signed API."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from mooring.client.testing import FakeConnections
from tests.contract.aws_server import AwsServer
from tests.contract.client_battery import PROVIDER, ClientBattery, World
from tests.contract.client_world import RealWorld
from tests.fakes.clock import FakeClock


class FakeWorld:
    """What users' tests have."""

    reads = 1_000

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.connections = FakeConnections(clock=self.clock, sleep=self.clock.advance)

    def connect(
        self,
        merchant: str,
        provider: str = PROVIDER,
        account: str = "default",
        *,
        expires_in: int | None = 3_600,
        scopes: tuple[str, ...] = (),
        refreshes: bool = True,
    ) -> str:
        return self.connections.connect(
            merchant, provider, account, expires_in=expires_in, scopes=scopes, refreshes=refreshes
        )

    def connect_many(self, merchant: str, accounts: list[str]) -> None:
        for account in accounts:
            self.connect(merchant, account=account)

    def end(self, merchant: str, status: str, account: str = "default", reason: str | None = None) -> None:
        self.connections.end(merchant, PROVIDER, account, status, reason)

    def refresh(self, merchant: str) -> str:
        return self.connections.refresh(merchant, PROVIDER)

    def api(self, base_url: str) -> None:
        self.connections.api(PROVIDER, base_url)

    def outage(self, *parts: str) -> AbstractContextManager[None]:
        return self.connections.outage(*parts)

    def calls(self) -> Counter[str]:
        asked = Counter(self.connections.calls_made)
        return Counter({name: asked[name] for name in ("read", "list", "open")})


class TestFakeConnections(ClientBattery):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()


class TestConnections(ClientBattery):
    @pytest.fixture
    def world(self, aws: AwsServer, token_key: str) -> Iterator[World]:
        world = RealWorld(aws, token_key)
        yield world
        world.close()
