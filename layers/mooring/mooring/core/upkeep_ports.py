"""The ports of what keeps connections alive and ends them (see `ports` for those of the flows).

Each port has one battery of tests (`tests/contract`) that runs on its fake and on its adapter.
Every method raises `Failure(STORAGE_UNAVAILABLE)` when the outside world does not answer.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from mooring.core.connection import NewConnection, ReadableConnection
from mooring.core.errors import Failure, Reason
from mooring.core.link import Link
from mooring.core.notice import Notice
from mooring.core.ports import Sealer, SealingKeys
from mooring.core.provider import Probe, Provider
from mooring.core.tokens import SealedField, TokenSet
from mooring.core.upkeep import (
    Answer,
    Circuit,
    Delayed,
    DuePage,
    Expiry,
    Key,
    Leased,
    Order,
    Refreshed,
    Refused,
    Seen,
    Setback,
    Standing,
    Storing,
)


class Leases(Protocol):
    """The rows of connections that are being refreshed: one lease, one fenced write."""

    def lease(self, order: Order, attempt_id: str, now: int, *, rotates: bool) -> Leased | Refused:
        """Take the right to one token call and note the attempt, in one conditional update.

        Only an active connection that holds a refresh token, that nobody leases, and of the generation
        and version that the order names. An earlier attempt whose outcome is unknown holds it up for
        `DOUBT_SECONDS`, unless the provider never rotates (`rotates`). By cause: `due` only once
        `due_at` has come; all but `asked` not before `retry_at`; `unauthorized` not within
        `REPORT_SECONDS` of the issue, `read` not within `READ_SECONDS`.
        """
        ...

    def store(self, refreshed: Refreshed, now: int) -> Storing:
        """Write new tokens as their lease's owner; the outcome of a repeated write is that of the first.

        SUPERSEDED when a later version of this generation stands there; OBSOLETE when the generation ended
        or another stands there; LATER when the lease is another's meanwhile, or when the connection was
        given up in the meantime for the very doubt that this answer ends.
        """
        ...

    def recover(self, refreshed: Refreshed, now: int) -> Storing:
        """Write tokens that came by the recovery queue: while their attempt is still in doubt.

        A connection that was given up meanwhile for this very doubt is active again. LATER while
        somebody leases it.
        """
        ...

    def put_off(self, leased: Leased, setback: Setback, now: int) -> None:
        """Release the lease after a failed call; the attempt stays noted only when in doubt."""
        ...

    def lose(self, leased: Leased, reason: Reason, now: int) -> bool:
        """Mark it `needs_reconnect`. False when it is not what was leased any more: nothing was changed."""
        ...


class Endings(Protocol):
    """How connections are probed, doubted and ended."""

    def probing(
        self, key: Key, seen: Seen | None, now: int, *, pause: int, due_at: int | None
    ) -> ReadableConnection | None:
        """Begin a round of probes, the next one being due at `due_at` (None: as before).

        A token's end makes that earlier, as `next_look` says. None when the connection is not active, not as
        seen, or was probed within `pause` seconds.
        """
        ...

    def remind(self, key: Key, due_at: int) -> None:
        """Let an active connection fall due at `due_at`, unless it does so earlier."""
        ...

    def postpone(self, key: Key, until: int, now: int) -> bool:
        """Note that a hint about an active connection waits until `until`; False when one waits already."""
        ...

    def report(self, key: Key, seen: Seen, now: int) -> int | None:
        """Count a 401 against it; the count, or None when the report is old or one counted just now.

        What was counted more than `REPORTS_SECONDS` ago is forgotten: only 401s in a row speak of a
        dead token.
        """
        ...

    def expire(self, key: Key, seen: Seen | None, now: int, *, ends: bool) -> Expiry:
        """See to a token that nothing can refresh.

        OVER: its end passed `LATE_SECONDS` ago, and it is marked `needs_reconnect`; only if `ends`. NEAR:
        it ends within `EXPIRING_SECONDS`, which is noted, once, and it falls due at its end. LIVES:
        neither, or not as seen, or it has a refresh token.
        """
        ...

    def alive(self, key: Key, seen: Seen) -> None:
        """The provider took its token: counted 401s are forgotten."""
        ...

    def refused(self, key: Key, seen: Seen, reason: Reason, now: int, *, uninstall: bool) -> bool:
        """The provider does not take its token: `needs_reconnect`, or `uninstalled` and erased.

        False when it was not as seen any more, or not active.
        """
        ...

    def bury(self, provider: str, account_id: str, at: int, now: int) -> None:
        """Put a tombstone: flows burned before `at` store nothing. The latest one stays."""
        ...

    def holders(self, provider: str, account_id: str) -> list[str]:
        """The merchants who connected this verified account, read consistently."""
        ...

    def uninstall(self, key: Key, at: int, now: int) -> bool:
        """Mark it `uninstalled` and erase its tokens, if it was connected before `at`; whether it was."""
        ...

    def disconnect(self, key: Key, now: int) -> bool | None:
        """Mark it `disconnected` and erase its tokens. False: it had ended before; None: there was none."""
        ...


class Recoveries(Protocol):
    """Finished exchanges that came by the recovery queue."""

    def restore(self, new: NewConnection, link: Link, state_hash: str) -> Storing:
        """Store an exchange whose callback could not, its pointer and, if it is open, its flow's end.

        OBSOLETE when the connection has a later exchange of another flow, ended after this one, or its
        account was uninstalled since the burn. SUPERSEDED when these tokens may be what lives there, and must
        not be revoked: its flow is done, but not by this very exchange (two callbacks found one kept set), or
        it is gone; or an exchange of the same second lives there, which may be this one, resealed since.
        """
        ...


class DueIndex(Protocol):
    """The sparse index `due`."""

    def due(self, shard: str, until: int, limit: int, start: Mapping[str, object] | None = None) -> DuePage:
        """At most `limit` rows of a shard that fall due by `until`, the earliest first."""
        ...

    def standing(self, keys: Sequence[Key]) -> Mapping[Key, Standing | Failure]:
        """How those of them stand that are active (at most 100 keys a call).

        One whose row cannot be understood has a `Failure(INTERNAL)` in place of that.
        """
        ...


class Circuits(Protocol):
    """The circuits of providers."""

    def known(self, providers: Sequence[str]) -> Mapping[str, Circuit]:
        """Those of `providers` whose circuit is open, or was closed within `RAMP_SECONDS`."""
        ...

    def open(self, provider: str, reason: Reason, now: int, not_before: int = 0) -> None:
        """Open a circuit, or leave it open: `opened_at` is that of the first, `not_before` the latest."""
        ...

    def put_off(self, provider: str, not_before: int) -> None:
        """Let an open circuit have no trials before `not_before`; one that is not open stays as it is."""
        ...

    def close(self, provider: str, now: int) -> None:
        """Close a circuit; one that is not open stays as it is."""
        ...


class OpenFlows(Protocol):
    """Flows that began and did not end."""

    def stranded(self, since: int, until: int) -> int:
        """How many links have a flow that began from `since` until before `until` and has not ended.

        At least so many: a page of the index is counted, and a link counts once.
        """
        ...


class Depth(NamedTuple):
    """About how many messages a queue holds: `ready` wait or are in work, `delayed` wait for their time."""

    ready: int
    delayed: int


class WorkQueue(Protocol):
    """The refresh queue."""

    def put(self, work: Sequence[Delayed]) -> None:
        """Queue work, all of it or `Failure`; after a failure some may be queued nevertheless."""
        ...

    def depth(self) -> Depth:
        """About how many messages wait or are in work, and how many are delayed."""
        ...


class TokensQueue(Protocol):
    """The recovery queue, for refreshed token sets."""

    def put_refreshed(self, refreshed: Refreshed) -> None:
        """Queue a refreshed token set (ciphertext only)."""
        ...


class Resealer(Sealer, Protocol):
    """A sealer that seals again under the two data keys that a connection has already."""

    def reuse(self, key: Key, access: SealedField, refresh: SealedField) -> SealingKeys:
        """Both data keys, unwrapped side by side. Raises like `Sealer.open`."""
        ...


class Refresher(Protocol):
    """The refresh function, as others call it."""

    def refresh(self, order: Order) -> Answer:
        """Have one connection refreshed now."""
        ...


class TokenKeeper(Protocol):
    """The back channel to a provider for connections that exist."""

    def refresh(self, provider: Provider, refresh_token: str, client_secret: str, now: int) -> TokenSet:
        """Refresh (RFC 6749 6), never repeated. Raises `TokenCallFailure`."""
        ...

    def probe(self, provider: Provider, access_token: str, account_id: str) -> Probe:
        """Whether the provider takes this token."""
        ...


class WebhookSecrets(Protocol):
    """What proves uninstall notices."""

    def webhook_secrets(self, provider: str) -> tuple[str, ...]:
        """One secret, or two while one replaces the other. Raises `Failure(SECRET_UNAVAILABLE)`."""
        ...


class NoticeReader(Protocol):
    """Reads uninstall notices as the descriptor says."""

    def __call__(
        self, provider: Provider, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: int
    ) -> Notice | None:
        """The notice; None for a genuine one of another kind. Raises `Failure(NOTICE_*)`."""
        ...
