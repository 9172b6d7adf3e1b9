"""Refresh one connection: lease, one token call, one fenced write. The whole refresh stands here.

The lease and the note of the attempt are one conditional update that also returns the row -> both data
keys and the client secret are fetched side by side -> one POST -> one conditional write. What the
provider issued is stored, or lies sealed on the recovery queue, or rings.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.ports import SealingKeys, Secrets
from mooring.core.provider import Provider
from mooring.core.schedule import due_at, retry_at
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import (
    DOUBT_SECONDS,
    Answer,
    Cause,
    FreshTokens,
    Hindrance,
    Leased,
    Order,
    Refreshed,
    Refused,
    Setback,
    Storing,
)
from mooring.core.upkeep_ports import Circuits, Leases, Resealer, TokenKeeper, TokensQueue
from mooring.flows.token_sets import ringing

TOKEN_CALL_SECONDS, STORE_SECONDS, PREPARE_SECONDS, MARGIN_SECONDS = 10, 13, 4, 1
UNREADABLE_SECONDS = 3_600
LOOK_SECONDS = 30

_HINDERED = {
    Hindrance.NOT_FOUND: ("skipped", Reason.CONNECTION_NOT_FOUND),
    Hindrance.NOT_ACTIVE: ("skipped", Reason.CONNECTION_NOT_ACTIVE),
    Hindrance.SUPERSEDED: ("fresh", None),
    Hindrance.LEASED: ("busy", Reason.REFRESH_BUSY),
    Hindrance.IN_DOUBT: ("waiting", Reason.REFRESH_IN_DOUBT),
    Hindrance.PUT_OFF: ("waiting", Reason.REFRESH_PUT_OFF),
    Hindrance.TOO_SOON: ("fresh", None),
    Hindrance.NOT_REFRESHABLE: ("skipped", Reason.TOKEN_EXPIRED),
}


class RefreshPorts(NamedTuple):
    """What `refresh` needs. `attempt_id` returns a new name each time, `jitter` a number from 0 to 1."""

    provider: Callable[[str], Provider]
    leases: Leases
    sealer: Resealer
    secrets: Secrets
    server: TokenKeeper
    recovery: TokensQueue
    circuits: Circuits
    clock: Callable[[], float]
    jitter: Callable[[], float]
    attempt_id: Callable[[], str]


class Call(NamedTuple):
    """One attempt, with everything in hand before the provider is called. `now` is epoch seconds."""

    leased: Leased
    provider: Provider
    now: int
    closes_circuit: bool
    left: Callable[[], float]


def refresh(order: Order, ports: RefreshPorts, left: Callable[[], float]) -> Answer:
    """Refresh one connection, unless somebody else does or did.

    Args:
        order: which one, and why.
        ports: the outside world.
        left: tells the seconds until Lambda ends us.

    Returns:
        Answer: `refreshed`; `fresh`, `busy`, `waiting` or `skipped` when there was nothing to do; `failed`.

    Raises:
        Failure: STORAGE_UNAVAILABLE when no lease could be taken, OUT_OF_TIME; nothing was called then.
    """
    provider = ports.provider(order.key.provider)
    if left() < PREPARE_SECONDS + TOKEN_CALL_SECONDS + STORE_SECONDS + MARGIN_SECONDS:
        raise Failure(Reason.OUT_OF_TIME)
    if provider.refresh is None:
        return Answer("skipped", Reason.TOKEN_EXPIRED)
    now, rotates = int(ports.clock()), provider.refresh.rotation != "never"
    leased = ports.leases.lease(order, ports.attempt_id(), now, rotates=rotates)
    if isinstance(leased, Refused):
        word, reason = _HINDERED[leased.why]
        return Answer(word, reason, leased.until)
    closes = order.trial or order.cause is Cause.ASKED
    call = Call(leased, provider, now, closes, left)
    if leased.unheard:
        return _look(call, ports)
    return _call(call, ports)


def _look(call: Call, ports: RefreshPorts) -> Answer:
    """The first look at a connection whose last answer was lost calls nobody.

    What kept the answer from the table may have kept the recovery queue's worker from it, too. Its message
    comes again within seconds, and the token must not be used once more before.
    """
    now = int(ports.clock())
    until = now + LOOK_SECONDS
    ports.leases.put_off(call.leased, Setback(Reason.REFRESH_IN_DOUBT, until, in_doubt=False), now)
    return Answer("waiting", Reason.REFRESH_IN_DOUBT, until)


def _call(call: Call, ports: RefreshPorts) -> Answer:
    """Everything in hand first, then the one token call, then the one write."""
    try:
        keys, token, secret = _prepare(call, ports)
        if call.left() < TOKEN_CALL_SECONDS + STORE_SECONDS + MARGIN_SECONDS:
            raise Failure(Reason.OUT_OF_TIME)
    except Failure as failure:
        return _put_off(failure.reason, call, ports, detail=failure.detail)  # nothing was sent
    try:
        with ringing():
            tokens = _ask(token, secret, call, ports)
            _check_account(tokens, call)
    except TokenCallFailure as failure:
        return _call_failed(failure, call, ports)
    except Failure as failure:
        _put_off(failure.reason, call, ports, in_doubt=True)
        raise
    return _store(tokens, keys, call, ports)


def _prepare(call: Call, ports: RefreshPorts) -> tuple[SealingKeys, str, str]:
    """Both data keys, the refresh token and the client secret: no fault of ours may come after the call."""
    leased, provider = call.leased, call.provider
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(_client_secret, ports.secrets, provider)
        keys = ports.sealer.reuse(leased.key, leased.access, leased.refresh)
        token = ports.sealer.open(leased.refresh, *leased.key, "refresh")
    return keys, token, asking.result()


def _client_secret(secrets: Secrets, provider: Provider) -> str:
    return "" if provider.token.client_authentication == "none" else secrets.client_secret(provider.id)


def _ask(token: str, secret: str, call: Call, ports: RefreshPorts) -> TokenSet:
    """One POST. Only who was refused as a client asks again, with a secret that was changed meanwhile."""
    try:
        return ports.server.refresh(call.provider, token, secret, call.now)
    except TokenCallFailure as failure:
        if failure.outcome is not Outcome.MISCONFIGURED:
            raise
        ports.secrets.forget(call.provider.id)
        try:
            changed = _client_secret(ports.secrets, call.provider)
        except Failure:
            raise failure from None
        if changed == secret or call.left() < TOKEN_CALL_SECONDS + STORE_SECONDS + MARGIN_SECONDS:
            raise
        return ports.server.refresh(call.provider, token, changed, call.now)


def _check_account(tokens: TokenSet, call: Call) -> None:
    if tokens.account_id not in (None, call.leased.key.account_id):
        raise Failure(Reason.ACCOUNT_MISMATCH, "a refresh answered with another account's token")


def _call_failed(failure: TokenCallFailure, call: Call, ports: RefreshPorts) -> Answer:
    """What a failed call means was decided where it was read; here is what follows from it."""
    outcome = failure.outcome
    rotates = call.provider.refresh is not None and call.provider.refresh.rotation != "never"
    if outcome is Outcome.GRANT_LOST:
        return _lose(call, ports)
    if outcome is Outcome.IN_DOUBT and rotates:
        _put_off(failure.reason, call, ports, in_doubt=True)
        return Answer("failed", Reason.REFRESH_IN_DOUBT, call.now + DOUBT_SECONDS)
    if outcome is Outcome.MISCONFIGURED:
        with suppress(Failure):  # the connection's own pause holds meanwhile
            ports.circuits.open(call.provider.id, failure.reason, int(ports.clock()))
    noted = failure.maybe_issued and rotates  # an invalid_grant that follows tells of a lost rotation
    return _put_off(failure.reason, call, ports, in_doubt=noted, wait=False, detail=failure.detail)


def _lose(call: Call, ports: RefreshPorts) -> Answer:
    """Believed only of the row as it was leased: whoever wrote since holds newer tokens."""
    reason = Reason.LOST_ROTATION if call.leased.in_doubt else Reason.GRANT_REFUSED
    try:
        lost = ports.leases.lose(call.leased, reason, int(ports.clock()))
    except Failure as failure:
        return _put_off(failure.reason, call, ports)  # the provider will say it again
    return Answer("failed", reason) if lost else Answer("fresh")


def _put_off(
    reason: Reason,
    call: Call,
    ports: RefreshPorts,
    *,
    in_doubt: bool = False,
    wait: bool = True,
    detail: str = "",
) -> Answer:
    """Give the lease back and say when to come again; the old token stays as it is."""
    now = int(ports.clock())
    until = retry_at(now, call.leased.failures, ports.jitter())
    if in_doubt and wait:
        until = max(until, now + DOUBT_SECONDS)
    if reason is Reason.TOKEN_UNREADABLE:
        until = now + UNREADABLE_SECONDS
    with suppress(Failure):  # a lease ends by itself, and the attempt stays noted
        ports.leases.put_off(call.leased, Setback(reason, until, in_doubt, wait), now)
    return Answer("failed", reason, until, detail)


def _store(tokens: TokenSet, keys: SealingKeys, call: Call, ports: RefreshPorts) -> Answer:
    """Write it; when the table will not take it, the sealed token set goes to the recovery queue."""
    leased = call.leased
    with ringing():
        refreshed = Refreshed(leased.key, leased.seen, leased.attempt_id, _seal(tokens, keys, call, ports))
        try:
            stored = ports.leases.store(refreshed, int(ports.clock()))
        except Failure:
            stored = Storing.LATER
        if stored is Storing.LATER:
            return _recover(refreshed, ports)
    if stored is Storing.OBSOLETE:
        return Answer("failed", Reason.UNINSTALLED_MEANWHILE)
    if call.closes_circuit:
        with suppress(Failure):  # the next trial closes it
            ports.circuits.close(call.provider.id)
    return Answer("refreshed")


def _recover(refreshed: Refreshed, ports: RefreshPorts) -> Answer:
    try:
        ports.recovery.put_refreshed(refreshed)
    except Failure:
        raise Failure(Reason.TOKEN_LOST) from None
    return Answer("failed", Reason.STORE_DELAYED)


def _seal(tokens: TokenSet, keys: SealingKeys, call: Call, ports: RefreshPorts) -> FreshTokens:
    """An answer without a refresh token leaves the old one in force (RFC 6749 6)."""
    leased, rotation, account = call.leased, call.provider.refresh, call.leased.key.account_id
    token = tokens.refresh_token
    grace = rotation.grace_seconds if rotation and token else 0
    dies_at = tokens.refresh_expires_at if token or tokens.refresh_expires_at else leased.refresh_expires_at
    return FreshTokens(
        access=keys.seal("access", account, tokens.access_token),
        refresh=keys.seal("refresh", account, token) if token else None,
        scopes=tokens.scopes,
        expires_at=tokens.expires_at,
        refresh_expires_at=dies_at,
        details={**leased.connection.details, **tokens.details},
        issued_at=call.now,
        due_at=due_at(
            call.now,
            call.provider,
            expires_at=tokens.expires_at,
            refresh_expires_at=dies_at,
            refreshable=True,
            jitter=ports.jitter(),
        ),
        previous_until=call.now + grace if grace else None,
    )
