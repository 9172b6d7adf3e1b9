"""Token sets on their way to rest: sealed field by field, or kept whole until their account is known."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mooring.core.errors import Failure, Reason
from mooring.core.ports import Sealer, SealingKeys
from mooring.core.provider import Provider
from mooring.core.revocation import Revocation, Revocations
from mooring.core.schedule import due_at
from mooring.core.tokens import SealedField, SealedTokens, TokenSet
from mooring.core.upkeep import EXPIRING_SECONDS, FreshTokens, Leased

_KEPT_ACCOUNT = "@kept"
_MOVED_SECONDS = 60
"""A grant whose end moves by less than this, or by less than half of the time that passed, ends then."""


def seal_tokens(tokens: TokenSet, account_id: str, asked: tuple[str, ...], keys: SealingKeys) -> SealedTokens:
    """Seal both tokens for their account; `asked` are the scopes if the answer named none (RFC 6749 5.1)."""
    refresh = tokens.refresh_token
    return SealedTokens(
        access=keys.seal("access", account_id, tokens.access_token),
        refresh=keys.seal("refresh", account_id, refresh) if refresh else None,
        scopes=asked if tokens.scopes is None else tokens.scopes,
        expires_at=tokens.expires_at,
        refresh_expires_at=tokens.refresh_expires_at,
        details=tokens.details,
    )


def seal_whole(tokens: TokenSet, named: str | None, keys: SealingKeys) -> SealedField:
    """Seal a whole token set, with the account as the callback named it, for the flow's row.

    It lies under the access data key because the callback may open no other; readers of tokens
    have no access to the flows table.
    """
    return keys.seal("access", _KEPT_ACCOUNT, json.dumps([*tokens, named]))


def open_whole(
    kept: SealedField, merchant_id: str, provider: str, sealer: Sealer
) -> tuple[TokenSet, str | None]:
    """The token set and the named account that `seal_whole` sealed.

    Raises:
        Failure: as `Sealer.open`, but TOKEN_LOST for what does not open: nobody else has this token set.
    """
    try:
        text = sealer.open(kept, merchant_id, provider, _KEPT_ACCOUNT, "access")
    except Failure as failure:
        raise (
            failure if failure.reason is not Reason.TOKEN_UNREADABLE else Failure(Reason.TOKEN_LOST)
        ) from None
    access, refresh, scopes, expires_at, refresh_expires_at, account, details, named = json.loads(text)
    scopes = None if scopes is None else tuple(scopes)
    return TokenSet(access, refresh, scopes, expires_at, refresh_expires_at, account, details), named


def first_due(tokens: TokenSet, provider: Provider, now: int, jitter: float, issued_at: int) -> int | None:
    """When to look after a connection that is made `now` of an exchange at `issued_at` (epoch seconds)."""
    return due_at(
        now,
        provider,
        expires_at=tokens.expires_at,
        refresh_expires_at=tokens.refresh_expires_at,
        refreshable=tokens.refresh_token is not None,
        jitter=jitter,
        issued_at=issued_at,
    )


def seal_refreshed(
    tokens: TokenSet, keys: SealingKeys, leased: Leased, provider: Provider, now: int, jitter: float
) -> FreshTokens:
    """Seal what a refresh brought; without a refresh token the old one stays in force (RFC 6749 6)."""
    rotation, account, token = provider.refresh, leased.key.account_id, tokens.refresh_token
    grace = rotation.grace_seconds if rotation and token else 0
    dies_at = tokens.refresh_expires_at if token or tokens.refresh_expires_at else leased.refresh_expires_at
    return FreshTokens(
        access=keys.seal("access", account, tokens.access_token),
        refresh=keys.seal("refresh", account, token) if token else None,
        scopes=tokens.scopes,
        expires_at=tokens.expires_at,
        refresh_expires_at=dies_at,
        details={**leased.connection.details, **tokens.details},
        issued_at=now,
        due_at=due_at(
            now,
            provider,
            expires_at=tokens.expires_at,
            refresh_expires_at=dies_at,
            refreshable=True,
            jitter=jitter,
        ),
        previous_until=now + grace if grace else None,
        expiring_at=dies_at if _ends_soon(dies_at, leased, now) else None,
    )


def _ends_soon(dies_at: int | None, leased: Leased, now: int) -> bool:
    """Whether a grant has an end that its refresh did not move, and that is near."""
    before, since = leased.refresh_expires_at, now - (leased.connection.issued_at or 0)
    if dies_at is None or before is None or dies_at >= before + min(_MOVED_SECONDS, since // 2):
        return False
    return now < dies_at <= now + EXPIRING_SECONDS


def discard(revocation: Revocation | None, revocations: Revocations) -> None:
    """Have revoked what nobody stores. Where even that fails, it lives on at the provider alone."""
    if revocation is not None:
        with suppress(Failure):
            revocations.ask(revocation)


@contextmanager
def ringing() -> Iterator[None]:
    """From the token call on, a defect of ours may have cost a token: it must not pass quietly.

    Raises:
        Failure: TOKEN_LOST in place of anything that is no `Failure`.
    """
    try:
        yield
    except Failure:
        raise
    except Exception as error:
        raise Failure(Reason.TOKEN_LOST, type(error).__name__) from error
