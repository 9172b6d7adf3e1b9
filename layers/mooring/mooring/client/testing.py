"""Connections in memory, for the tests of a service: `FakeConnections` behaves as `Connections` does.

It is the same code with other ports behind it, so sessions, errors, warnings and what is held in memory are
the real ones. Nothing leaves the process but what a session sends; point it at a server of your test with
`api`, or answer with a library such as `responses`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from secrets import token_bytes, token_urlsafe
from threading import RLock

from mooring.client.access_token import AccessToken, Facts
from mooring.client.base import BaseConnections
from mooring.client.errors import NotConnected, TokenUnavailable, not_active
from mooring.client.ports import Given, Ports, Report
from mooring.client.provider_api import ProviderApi
from mooring.core.connection import Connection, Page, ReadableConnection, Status, Wanted
from mooring.core.errors import Failure, Reason
from mooring.core.names import DEFAULT_ACCOUNT, connection_key
from mooring.core.provider import RateLimit
from mooring.core.tokens import SealedField
from mooring.core.upkeep import REPORTS, Key, Seen
from mooring.flows.read import ends_within

PARTS: Mapping[str, Callable[[], Exception]] = {
    "table": lambda: Failure(Reason.STORAGE_UNAVAILABLE, "an outage of the fake"),
    "kms": lambda: Failure(Reason.SEALING_UNAVAILABLE, "an outage of the fake"),
    "api": lambda: TokenUnavailable(Reason.API_UNAVAILABLE, "an outage of the fake"),
}
"""What can be out of order, and how that shows."""


class FakeConnections(BaseConnections):
    """Connections as a test says they are.

    Args:
        clock: epoch seconds.
        sleep: waits for seconds.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._world = _World(clock)
        super().__init__(lambda: Ports(self._world, self._world, _Api(self._world), clock, sleep))

    @property
    def calls_made(self) -> list[str]:
        """What was asked of the outside so far: `read`, `list`, `open`, `token`, `report`, `disconnect`."""
        return self._world.calls

    def connect(
        self,
        merchant: str,
        provider: str,
        account: str = DEFAULT_ACCOUNT,
        *,
        access_token: str | None = None,
        expires_in: int | None = 3_600,
        scopes: tuple[str, ...] = (),
        details: Mapping[str, str] | None = None,
        refreshes: bool = True,
    ) -> str:
        """A merchant connects, or connects again.

        Args:
            merchant: the merchant's id.
            provider: the provider's id.
            account: the account's id.
            access_token: the token that the provider issues; one made up by default.
            expires_in: seconds for which it lives; None for a token without an end.
            scopes: the granted scopes.
            details: what the descriptor keeps besides.
            refreshes: whether there is a refresh token.

        Returns:
            The access token.
        """
        key, now, world = Key(merchant, provider, account), int(self._world.clock()), self._world
        with world.lock:
            old = world.rows.get(key)
            before = old.connection if old else None
            connection = Connection(
                *key,
                status=Status.ACTIVE,
                generation=before.generation + 1 if before else 1,
                version=before.version if before else 0,
                scopes=scopes,
                expires_at=None,
                connected_at=now,
                updated_at=now,
                account_verified=account != DEFAULT_ACCOUNT,
                last_error=None,
                details=dict(details or {}),
            )
            world.lives[key], world.refreshable[key], world.reports[key] = expires_in, refreshes, 0
            return world.issue(connection, access_token)

    def end(
        self,
        merchant: str,
        provider: str,
        account: str = DEFAULT_ACCOUNT,
        status: Status | str = Status.NEEDS_RECONNECT,
        reason: str | None = None,
    ) -> None:
        """A connection ends: `needs_reconnect`, `uninstalled` or `disconnected`. KeyError without one."""
        self._world.end(Key(merchant, provider, account), Status(status), reason)

    def refresh(self, merchant: str, provider: str, account: str = DEFAULT_ACCOUNT) -> str:
        """Its token is refreshed, as if by the schedule; the new one."""
        return self._world.refresh(Key(merchant, provider, account))

    def api(
        self,
        provider: str,
        base_url: str | None,
        *,
        hosts: tuple[str, ...] = (),
        where: str = "header",
        name: str = "Authorization",
        prefix: str = "Bearer ",
        rate_limit: RateLimit | None = None,
    ) -> None:
        """How a provider's API is used, before the first session asks: see `ProviderApi`.

        Without `hosts`, the token goes to the base URL's host alone. http works for loopback addresses only.
        """
        own = (base_url or "").partition("://")[2].partition("/")[0]
        to = hosts or ((own,) if own else ())
        self._world.apis[provider] = ProviderApi(base_url, to, where, name, prefix, rate_limit)

    @contextmanager
    def outage(self, *parts: str) -> Iterator[None]:
        """While it lasts, `table`, `kms` or `api` cannot be asked. ValueError for any other part."""
        if unknown := sorted(set(parts) - set(PARTS)):
            raise ValueError(f"no part is called {', '.join(unknown)}; there are {', '.join(sorted(PARTS))}")
        more = set(parts) - self._world.out
        self._world.out |= more
        try:
            yield
        finally:
            self._world.out -= more


class _World:
    """The rows, and the table and key service that go with them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock = RLock()
        self.rows: dict[Key, ReadableConnection] = {}
        self.tokens: dict[SealedField, tuple[Key, str]] = {}
        self.lives: dict[Key, int | None] = {}
        self.refreshable: dict[Key, bool] = {}
        self.reports: dict[Key, int] = {}
        self.apis: dict[str, ProviderApi] = {}
        self.out: set[str] = set()
        self.calls: list[str] = []

    def asked(self, what: str, part: str) -> None:
        """Note a call, and fail it in an outage."""
        self.calls.append(what)
        if part in self.out:
            error = PARTS[part]()
            raise error

    def read(self, merchant_id: str, provider: str, account_id: str) -> ReadableConnection | None:
        """See `Table`."""
        self.asked("read", "table")
        return self.rows.get(Key(merchant_id, provider, account_id))

    def list(self, merchant_id: str, wanted: Wanted) -> Page:
        """See `Table`."""
        self.asked("list", "table")
        with self.lock:
            found = [row.connection for key, row in self.rows.items() if key.merchant_id == merchant_id]
        fits = [
            (connection_key(each.provider, each.account_id), each)
            for each in found
            if wanted.provider in (None, each.provider) and wanted.status in (None, each.status)
        ]
        fits = sorted(each for each in fits if each[0] > (wanted.after or ""))
        shown = fits[: wanted.limit]
        return Page(tuple(each for _, each in shown), shown[-1][0] if len(fits) > len(shown) else None)

    def open(self, sealed: SealedField, merchant_id: str, provider: str, account_id: str, field: str) -> str:
        """See `Opener`."""
        self.asked("open", "kms")
        place, token = self.tokens.get(sealed, (None, ""))
        if place != Key(merchant_id, provider, account_id) or field != "access":
            raise Failure(Reason.TOKEN_UNREADABLE, "the sealed field does not open here")
        return token

    def issue(self, connection: Connection, token: str | None = None) -> str:
        """Store a connection with another token."""
        key = Key(connection.merchant_id, connection.provider, connection.account_id)
        value, now, lives = token or token_urlsafe(24), int(self.clock()), self.lives[key]
        sealed = SealedField(token_bytes(16), token_bytes(16))
        expires_at = None if lives is None else now + lives
        changes = {"expires_at": expires_at, "issued_at": now, "updated_at": now, "last_error": None}
        with self.lock:
            self.tokens[sealed] = (key, value)
            new = connection._replace(version=connection.version + 1, **changes)  # type: ignore[arg-type]
            self.rows[key] = ReadableConnection(new, sealed)
        return value

    def refresh(self, key: Key) -> str:
        """Another token for a connection."""
        with self.lock:
            return self.issue(self.rows[key].connection)

    def end(self, key: Key, status: Status, reason: str | None) -> None:
        """End a connection."""
        with self.lock:
            row = self.rows[key]
            ended = row.connection._replace(status=status, last_error=reason, updated_at=int(self.clock()))
            if status is not Status.NEEDS_RECONNECT:
                ended = ended._replace(expires_at=None, issued_at=None)
            kept = row.access if status is Status.NEEDS_RECONNECT else None
            self.rows[key] = ReadableConnection(ended, kept)

    def active(self, key: Key) -> ReadableConnection:
        """The row of a live connection; raises `NoConnection`."""
        row = self.rows.get(key)
        if row is None:
            raise NotConnected(key)
        if row.connection.status is not Status.ACTIVE:
            raise not_active(key, row.connection.status, row.connection.last_error or "")
        return row


class _Api:
    """The signed routes of the same world."""

    def __init__(self, world: _World) -> None:
        self._world = world

    def token(self, key: Key, min_ttl: int) -> Given:
        """See `Api`."""
        self._world.asked("token", "api")
        with self._world.lock:
            row = self._world.active(key)
            if ends_within(row.connection, min_ttl, self._world.clock()):
                if not self._world.refreshable[key]:
                    raise TokenUnavailable(Reason.TOKEN_EXPIRED)
                self._world.refresh(key)
                row = self._world.active(key)
            one, sealed = row.connection, row.access
            value = self._world.tokens[sealed][1] if sealed else ""
        facts = Facts(key, Seen(one.generation, one.version), one.scopes, one.expires_at)
        host = f"api.{key.provider}.example"
        usual = ProviderApi(f"https://{host}/", (host,), "header", "Authorization", "Bearer ", None)
        return Given(AccessToken(value, facts), self._world.apis.get(key.provider, usual))

    def report(self, token: AccessToken) -> Report:
        """See `Api`: refreshes where it can; elsewhere the third report ends the connection."""
        self._world.asked("report", "api")
        key = token.key
        with self._world.lock:
            one = self._world.active(key).connection
            if token.seen < Seen(one.generation, one.version):
                return Report("fresh", one.generation, one.version)
            if self._world.refreshable[key]:
                self._world.refresh(key)
                one = self._world.active(key).connection
                return Report("refreshed", one.generation, one.version)
            self._world.reports[key] += 1
            if self._world.reports[key] >= REPORTS:
                self._world.end(key, Status.NEEDS_RECONNECT, Reason.TOKEN_REFUSED)
            one = self._world.active(key).connection
            return Report("reported", one.generation, one.version)

    def disconnect(self, key: Key) -> None:
        """See `Api`: what has ended in another way stays as it is."""
        self._world.asked("disconnect", "api")
        with self._world.lock:
            if key not in self._world.rows:
                raise NotConnected(key)
            if self._world.rows[key].connection.status in (Status.ACTIVE, Status.NEEDS_RECONNECT):
                self._world.end(key, Status.DISCONNECTED, None)
