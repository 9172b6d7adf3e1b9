"""One process's reading of tokens: a look at the row, what is held in memory, and the API for what is due."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mooring.client.access_token import AccessToken, Facts
from mooring.client.errors import (
    NoConnection,
    NotConnected,
    SetupError,
    SeveralAccounts,
    TokenUnavailable,
    not_active,
)
from mooring.client.failures import passes, told
from mooring.client.held import HELD_SECONDS, Held
from mooring.client.ports import Given, Ports, Report
from mooring.client.provider_api import ProviderApi
from mooring.client.rates import Rates
from mooring.client.remembered import Remembered
from mooring.core.connection import Connection, Status, Wanted
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key, Seen
from mooring.flows.read import DEFAULT_MIN_TTL, ends_within

API_SECONDS = 3_600
"""How long it is believed how a provider's API is used."""
_PAGE = 100


class _Known(NamedTuple):
    """The account that a merchant has at a provider, as it was at a time (epoch seconds)."""

    account_id: str
    at: float


class _Look(NamedTuple):
    """A row that was read just now, what is held of it, and how often the API had refused before that."""

    key: Key
    connection: Connection
    sealed: SealedField
    held: Held
    refusals: int

    @property
    def seen(self) -> Seen:
        """Generation and version of the row."""
        return Seen(self.connection.generation, self.connection.version)


class Reading:
    """Everything that the tokens of one process need.

    Args:
        ports: the outside world.
    """

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self.rates = Rates(ports.clock)
        self._held = Remembered[Key, Held]()
        self._accounts = Remembered[tuple[str, str], _Known]()
        self._apis = Remembered[tuple[str, str], tuple[ProviderApi, float]]()

    def token(self, key: Key, min_ttl: int) -> AccessToken:
        """A token of one connection; see `BaseConnections.token`."""
        held, began = self._held.get_or(key, Held), self.ports.clock()
        refusals = held.refusals
        try:
            connection, sealed = self._active(key)
        except Failure as failure:
            token = held.unconfirmed(self.ports.clock()) if passes(failure) else None
            if token is None:
                raise told(failure) from None
            return token.warned(failure.reason)
        now = self.ports.clock()
        due = ends_within(connection, min_ttl, now)
        if not due and (token := held.opened(sealed, now)):
            held.confirmed_at = now
            return token.warned(connection.last_error)
        look = _Look(key, connection, sealed, held, refusals)
        with held.lock:
            if newer := held.newer(look.seen, began):
                return newer
            return self._renewed(look, min_ttl) if due else self._opened(look)

    def account(self, merchant_id: str, provider: str) -> tuple[Key, bool]:
        """The only connection of a merchant at a provider, and whether that was known without asking.

        Raises:
            MooringError: there is none, or several, or the table cannot be asked.
        """
        known, now = self._accounts.get((merchant_id, provider)), self.ports.clock()
        if known and 0 <= now - known.at < HELD_SECONDS:
            return Key(merchant_id, provider, known.account_id), True
        try:
            return self._looked_up(merchant_id, provider), False
        except Failure as failure:
            if known is None or not passes(failure):
                raise told(failure) from None
        return Key(merchant_id, provider, known.account_id), True

    def account_now(self, merchant_id: str, provider: str) -> Key:
        """The only connection of a merchant at a provider, whatever was known of it.

        Raises:
            MooringError: there is none, or several, or the table cannot be asked.
        """
        try:
            return self._looked_up(merchant_id, provider)
        except Failure as failure:
            raise told(failure) from None

    def list(self, merchant_id: str, wanted: Wanted) -> list[Connection]:
        """All connections that are wanted, page by page. Raises `Failure`."""
        found: list[Connection] = []
        while True:
            page = self.ports.table.list(merchant_id, wanted)
            found += page.connections
            if page.after is None:
                return found
            wanted = wanted._replace(after=page.after)

    def api(self, key: Key) -> ProviderApi:
        """How the provider's API is used with tokens of this connection.

        It is asked for once an hour; while it cannot be, what is known counts.

        Raises:
            MooringError: it is not known and cannot be had.
        """
        name, now = (key.provider, key.account_id), self.ports.clock()
        known = self._apis.get(name)
        if known and 0 <= now - known[1] < API_SECONDS:
            return known[0]
        held = self._held.get_or(key, Held)
        refusals = held.refusals
        with held.lock:
            again = self._apis.get(name)
            if again != known and again is not None:
                return again[0]  # another thread asked meanwhile
            try:
                return self._asked(key, held, DEFAULT_MIN_TTL, refusals).api
            except (TokenUnavailable, SetupError):
                if known is None:
                    raise
        self._apis.put(name, (known[0], now))
        return known[0]

    def report(self, token: AccessToken) -> Report:
        """Report a 401; see `BaseConnections.report_unauthorized`."""
        with self._forgetting(token.key):
            return self.ports.api.report(token)

    def disconnect(self, key: Key) -> None:
        """Cut a connection off; see `BaseConnections.disconnect`."""
        with self._forgetting(key):
            self.ports.api.disconnect(key)
        self.forget(key)

    def forget(self, key: Key) -> None:
        """Hold nothing of a connection any more, nor believe that it is its merchant's only one."""
        self._held.drop(key)
        self._accounts.drop((key.merchant_id, key.provider))

    @contextmanager
    def _forgetting(self, key: Key) -> Iterator[None]:
        """A connection that turns out to have ended is forgotten."""
        try:
            yield
        except NoConnection:
            self.forget(key)
            raise

    def _looked_up(self, merchant_id: str, provider: str) -> Key:
        name, now = (merchant_id, provider), self.ports.clock()
        found = self.list(merchant_id, Wanted(_PAGE, provider))
        self._accounts.drop(name)  # there may be several by now, or none
        account_id = _only(merchant_id, provider, found)
        self._accounts.put(name, _Known(account_id, now))
        return Key(merchant_id, provider, account_id)

    def _active(self, key: Key) -> tuple[Connection, SealedField]:
        with self._forgetting(key):
            row = self.ports.table.read(*key)
            if row is None:
                raise NotConnected(key)
            if row.connection.status is not Status.ACTIVE or row.access is None:
                raise not_active(key, row.connection.status, row.connection.last_error or "")
            return row.connection, row.access

    def _opened(self, look: "_Look") -> AccessToken:
        """The token of a row that was read just now: as it is held, or else opened."""
        connection, held, now = look.connection, look.held, self.ports.clock()
        if token := held.opened(look.sealed, now):
            held.confirmed_at = now
            return token.warned(connection.last_error)
        facts = Facts(look.key, look.seen, connection.scopes, connection.expires_at, connection.last_error)
        try:
            value = AccessToken(self.ports.opener.open(look.sealed, *look.key, "access"), facts)
        except Failure as failure:
            # The row says that it is still the token, so only KMS has to be done without.
            token = held.opened(look.sealed, now, 2 * HELD_SECONDS)
            token = token or held.from_api(look.seen, connection.expires_at, now)
            if token is None or not passes(failure):
                raise told(failure) from None
            held.confirmed_at = now
            return token.warned(failure.reason)
        return held.put(value, look.sealed, now)

    def _renewed(self, look: "_Look", min_ttl: int) -> AccessToken:
        """The token from the API; the row's own, with a warning, where that fails and it still lives."""
        now, expires_at, held = self.ports.clock(), look.connection.expires_at, look.held
        lives = expires_at is None or expires_at > now
        refusal = held.refused_lately(now) if lives else None
        if refusal is None:
            try:
                return self._asked(look.key, held, min_ttl, look.refusals).token
            except (TokenUnavailable, SetupError) as error:
                if not lives:
                    raise
                refusal = error.reason if isinstance(error, TokenUnavailable) else Reason.API_UNAVAILABLE
        return self._opened(look).warned(refusal)

    def _asked(self, key: Key, held: Held, min_ttl: int, refusals: int) -> Given:
        """What the API gives; whoever waited here while it gave nothing to another thread is told the same.

        Raises:
            MooringError: it gives nothing.
        """
        if held.refusals != refusals:
            raise TokenUnavailable(held.refusal)
        try:
            with self._forgetting(key):
                return self._took(key, held, self.ports.api.token(key, min_ttl))
        except TokenUnavailable as error:
            held.refused(error.reason, self.ports.clock())
            raise

    def _took(self, key: Key, held: Held, given: Given) -> Given:
        now = self.ports.clock()
        held.put(given.token, None, now)
        # A warning says that the API could not have it refreshed either: no use in asking again at once.
        held.refusal, held.asked_at = given.token.warning or "", now
        self._apis.put((key.provider, key.account_id), (given.api, now))
        return given


def _only(merchant_id: str, provider: str, found: list[Connection]) -> str:
    """The account that is meant where none is named: the live one, or else the last that was."""
    if not found:
        raise NotConnected(Key(merchant_id, provider, ""))
    live = [each.account_id for each in found if each.status is Status.ACTIVE]
    if len(live) > 1:
        raise SeveralAccounts(merchant_id, provider, live)
    return live[0] if live else max(found, key=lambda each: each.updated_at).account_id
