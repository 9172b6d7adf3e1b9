"""Token sets on their way to rest: sealed field by field, or kept whole until their account is known."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from mooring.core.errors import Failure, Reason
from mooring.core.ports import Sealer, SealingKeys
from mooring.core.tokens import SealedField, SealedTokens, TokenSet

_KEPT_ACCOUNT = "@kept"


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
