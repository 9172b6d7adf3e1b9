"""What the library needs of the outside world, so that its fake differs from the real one in nothing else."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from mooring.client.access_token import AccessToken
from mooring.client.provider_api import ProviderApi
from mooring.core.connection import Page, ReadableConnection, Wanted
from mooring.core.ports import Clock
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key


class Table(Protocol):
    """The connections table. Every method raises `Failure`."""

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        """One connection, read consistently, or None when there never was one."""
        ...

    def list(self, merchant_id: str, wanted: Wanted) -> Page:
        """Some connections of a merchant, in the order of their keys."""
        ...


class Opener(Protocol):
    """Opens sealed access tokens. Raises `Failure`."""

    def open(self, sealed: SealedField, merchant_id: str, provider: str, account_id: str, field: str) -> str:
        """Open a sealed field."""
        ...


class Given(NamedTuple):
    """The token route's answer: the token, and how it is used."""

    token: AccessToken
    api: ProviderApi


class Report(NamedTuple):
    """What became of the report of a 401, and how the connection stands now.

    `outcome` is refreshed, fresh, reported, probed or skipped (docs/quickstart.md).
    """

    outcome: str
    generation: int
    version: int


class Api(Protocol):
    """The signed HTTP API. Every method raises `MooringError`."""

    def token(self, key: Key, min_ttl: int) -> Given:
        """A token that lives for `min_ttl` seconds, refreshed first when it must be."""
        ...

    def report(self, token: AccessToken) -> Report:
        """Say that the provider answered 401 to a token."""
        ...

    def disconnect(self, key: Key) -> None:
        """Cut a connection off."""
        ...


class Ports(NamedTuple):
    """Everything outside: the table, KMS, the API, and time (`sleep` in seconds)."""

    table: Table
    opener: Opener
    api: Api
    clock: Clock
    sleep: Callable[[float], None]
