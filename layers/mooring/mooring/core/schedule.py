"""When a connection falls due for its refresh."""

from hashlib import sha256

EARLY_SECONDS = 900
SHARDS = 8


def due_at(now: int, expires_at: int | None, has_refresh_token: bool, jitter: float) -> int | None:
    """Epoch seconds at which the refresh is due, or None when nothing is to be refreshed.

    That is the expiry, less fifteen minutes or a third of the lifetime (whichever is shorter),
    less up to a tenth of the lifetime so that connections made together do not fall due together.

    Args:
        now: epoch seconds.
        expires_at: epoch seconds, or None for a token without an end.
        has_refresh_token: whether there is anything to refresh with.
        jitter: a number from 0 to 1.
    """
    if expires_at is None or not has_refresh_token:
        return None
    lifetime = max(0, expires_at - now)
    return int(expires_at - min(EARLY_SECONDS, lifetime / 3) - jitter * lifetime / 10)


def due_shard(provider: str, merchant_id: str, account_id: str) -> str:
    """The shard of the `due` index in which a connection lies: `provider#n`."""
    digest = sha256(f"{merchant_id}#{account_id}".encode()).digest()
    return f"{provider}#{digest[0] % SHARDS}"
