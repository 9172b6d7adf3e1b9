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
from mooring.core.revocation import Revocations, of_refresh
from mooring.core.schedule import retry_at
from mooring.core.tokens import TokenSet
from mooring.core.upkeep import (
    DOUBT_SECONDS,
    Answer,
    Cause,
    Circuit,
    Hindrance,
    Leased,
    Order,
    Refreshed,
    Refused,
    Setback,
    Storing,
)
from mooring.core.upkeep_ports import Leases, Resealer, TokenKeeper, TokensQueue
from mooring.flows.client_secret import ask_with_secret, client_secret
from mooring.flows.token_sets import discard, ringing, seal_refreshed
from mooring.flows.watch import Watch

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
_OF_THE_PROVIDER = frozenset(
    {Reason.PROVIDER_UNAVAILABLE, Reason.PROVIDER_TIMEOUT, Reason.PROVIDER_ANSWER_INVALID}
)
"""What speaks of the provider; any other failure is said of one connection."""


class RefreshPorts(NamedTuple):
    """What `refresh` needs. `attempt_id` returns a new name each time, `jitter` a number from 0 to 1."""

    provider: Callable[[str], Provider]
    leases: Leases
    sealer: Resealer
    secrets: Secrets
    server: TokenKeeper
    recovery: TokensQueue
    revocations: Revocations
    watch: Watch
    clock: Callable[[], float]
    jitter: Callable[[], float]
    attempt_id: Callable[[], str]


class Call(NamedTuple):
    """One attempt, with everything in hand before the provider is called. `now` is epoch seconds."""

    leased: Leased
    provider: Provider
    now: int
    order: Order
    left: Callable[[], float]

    @property
    def rotates(self) -> bool:
        """Whether a lost answer may have made the refresh token worthless."""
        return self.provider.refresh is not None and self.provider.refresh.rotation != "never"

    @property
    def closes_circuit(self) -> bool:
        """Whether it was sent to find out whether the provider works."""
        return self.order.trial or self.order.cause is Cause.ASKED

    def may_ask(self) -> bool:
        """Whether there is time for a token call and for storing what it brings."""
        return self.left() >= TOKEN_CALL_SECONDS + STORE_SECONDS + MARGIN_SECONDS


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
    admitted = ports.watch.admit(order)
    if isinstance(admitted, Circuit):
        return Answer("waiting", Reason.PROVIDER_PAUSED, admitted.not_before, admitted.reason)
    now, rotates = int(ports.clock()), provider.refresh.rotation != "never"
    leased = ports.leases.lease(admitted, ports.attempt_id(), now, rotates=rotates)
    if isinstance(leased, Refused):
        if admitted is not order:
            ports.watch.not_tried(provider.id)
        word, reason = _HINDERED[leased.why]
        return Answer(word, reason, leased.until)
    call = Call(leased, provider, now, admitted, left)
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
        if not call.may_ask():
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
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(client_secret, provider, ports.secrets)
        keys = ports.sealer.reuse(leased.key, leased.access, leased.refresh)
        token = ports.sealer.open(leased.refresh, *leased.key, "refresh")
    return keys, token, asking.result()


def _ask(token: str, secret: str, call: Call, ports: RefreshPorts) -> TokenSet:
    """One POST; one more with the token before, if this one is refused within the provider's grace."""

    def ask(token: str) -> TokenSet:
        return ask_with_secret(
            lambda ours: ports.server.refresh(call.provider, token, ours, call.now),
            secret,
            call.provider,
            ports.secrets,
            call.may_ask,
        )

    try:
        return ask(token)
    except TokenCallFailure as failure:
        spent = int(ports.clock()) + TOKEN_CALL_SECONDS >= call.leased.previous_until
        previous = None if spent else call.leased.previous
        if failure.outcome is not Outcome.GRANT_LOST or previous is None or not call.may_ask():
            raise
        try:
            older = ports.sealer.open(previous, *call.leased.key, "refresh")
        except Failure:
            raise failure from None
        return _in_force(older, ask(older), call)


def _in_force(older: str, tokens: TokenSet, call: Call) -> TokenSet:
    """Without a new one, the refresh token that was used stays in force (RFC 6749 6), not the refused one.

    The two change places. Of the end of the older one nobody knows more than was known of the other's.
    """
    if tokens.refresh_token:
        return tokens
    dies_at = tokens.refresh_expires_at or call.leased.refresh_expires_at
    return tokens._replace(refresh_token=older, refresh_expires_at=dies_at)


def _check_account(tokens: TokenSet, call: Call) -> None:
    if tokens.account_id not in (None, call.leased.key.account_id):
        raise Failure(Reason.ACCOUNT_MISMATCH, "a refresh answered with another account's token")


def _call_failed(failure: TokenCallFailure, call: Call, ports: RefreshPorts) -> Answer:
    """What a failed call means was decided where it was read; here is what follows from it."""
    outcome, pause = failure.outcome, failure.retry_after or 0
    if outcome is Outcome.GRANT_LOST:
        ports.watch.answered(call.provider.id, closes=call.closes_circuit)
        return _lose(call, ports)
    if outcome is Outcome.MISCONFIGURED or failure.reason in _OF_THE_PROVIDER:
        ports.watch.failed(call.provider.id, failure, trial=call.order.trial)
    if outcome is Outcome.IN_DOUBT and call.rotates:
        _put_off(failure.reason, call, ports, in_doubt=True)
        return Answer("failed", Reason.REFRESH_IN_DOUBT, call.now + DOUBT_SECONDS)
    noted = failure.maybe_issued and call.rotates  # an invalid_grant that follows tells of a lost rotation
    return _put_off(
        failure.reason, call, ports, in_doubt=noted, wait=False, detail=failure.detail, pause=pause
    )


def _lose(call: Call, ports: RefreshPorts) -> Answer:
    """Believed only of the row as it was leased: whoever wrote since holds newer tokens."""
    reason = Reason.LOST_ROTATION if call.leased.in_doubt else Reason.GRANT_REFUSED
    try:
        lost = ports.leases.lose(call.leased, reason, int(ports.clock()))
    except Failure as failure:
        answer = _put_off(failure.reason, call, ports)  # the provider will say it again
        # Unless it was written after all: a lost rotation is better told twice than never.
        return answer._replace(reason=reason) if reason is Reason.LOST_ROTATION else answer
    return Answer("failed", reason) if lost else Answer("fresh")


def _put_off(
    reason: Reason,
    call: Call,
    ports: RefreshPorts,
    *,
    in_doubt: bool = False,
    wait: bool = True,
    detail: str = "",
    pause: int = 0,
) -> Answer:
    """Give the lease back and say when to come again; the old token stays as it is."""
    now = int(ports.clock())
    until = max(retry_at(now, call.leased.failures, ports.jitter()), now + pause)
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
        fresh = seal_refreshed(tokens, keys, leased, call.provider, call.now, ports.jitter())
        refreshed = Refreshed(leased.key, leased.seen, leased.attempt_id, fresh)
        try:
            stored = ports.leases.store(refreshed, int(ports.clock()))
        except Failure:
            stored = Storing.LATER
        if stored is Storing.LATER:
            _recover(refreshed, ports)
    ports.watch.answered(call.provider.id, closes=call.closes_circuit)
    if stored is Storing.OBSOLETE:
        discard(of_refresh(refreshed), ports.revocations)
        return Answer("failed", Reason.UNINSTALLED_MEANWHILE)
    if stored is Storing.SUPERSEDED:
        return Answer("failed", Reason.TOKEN_SUPERSEDED) if call.rotates else Answer("fresh")
    if stored is Storing.LATER:
        return Answer("failed", Reason.STORE_DELAYED)
    news = refreshed.fresh.expiring_at is not None and leased.connection.expiring_at is None
    return Answer("refreshed", expiring=news)


def _recover(refreshed: Refreshed, ports: RefreshPorts) -> None:
    try:
        ports.recovery.put_refreshed(refreshed)
    except Failure:
        raise Failure(Reason.TOKEN_LOST) from None
