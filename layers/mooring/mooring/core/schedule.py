"""When a connection falls due: for its refresh, or for a probe where there is nothing to refresh."""

from hashlib import sha256

from mooring.core.provider import Provider
from mooring.core.upkeep import EXPIRING_SECONDS

EARLY_SECONDS = 900
SHORT_SECONDS = 180
"""Tokens that live shorter than this are kept fresh by those who read them."""
PROBE_EVERY_SECONDS = 21_600
SHARDS = 8
_FIRST_BACKOFF, _LONGEST_BACKOFF = 15, 180
_DAY = 86_400
_SELDOM_SECONDS = 60


def due_at(
    now: int,
    provider: Provider,
    *,
    expires_at: int | None,
    refresh_expires_at: int | None,
    refreshable: bool,
    jitter: float,
    issued_at: int | None = None,
) -> int | None:
    """When to look after a connection that gets its tokens just now; None means never.

    A token is refreshed fifteen minutes or a third of its lifetime before its end, whichever is
    shorter, less up to a tenth of the lifetime so that connections made together do not fall due
    together; at once, where that moment passed while the token lay kept. Where readers do that (policy
    `on_read`, or a lifetime under three minutes), and where a token has no end, only the grant is kept
    alive: after two thirds of the time for which a refresh token may lie unused, and once more shortly
    before a refresh token ends, to see whether that can be moved. Without a refresh token the provider's
    probe is due every six hours, if it has one, and a token that ends is looked at before its end.

    Args:
        now: epoch seconds.
        provider: whose connection.
        expires_at: epoch seconds, or None for a token without an end.
        refresh_expires_at: epoch seconds at which the refresh token dies, or None.
        refreshable: whether there is a refresh token.
        jitter: a number from 0 to 1.
        issued_at: epoch seconds at which the tokens were issued; None means now.
    """
    if not refreshable or provider.refresh is None:
        probe = now + int(PROBE_EVERY_SECONDS * (1 - jitter / 4)) if provider.probe else None
        return _earliest(probe, None if expires_at is None else _before_end(now, expires_at))
    times: list[int | None] = [_keep_alive(now, refresh_expires_at, provider.refresh.idle_days, jitter)]
    if refresh_expires_at is not None and refresh_expires_at - EXPIRING_SECONDS > now:
        times.append(refresh_expires_at - EXPIRING_SECONDS)
    if expires_at is not None and provider.refresh_policy == "eager":
        times.append(_before_refresh(now, expires_at, now if issued_at is None else issued_at, jitter))
    return _earliest(*times)


def _earliest(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)


def _before_refresh(now: int, expires_at: int, issued_at: int, jitter: float) -> int | None:
    lifetime = expires_at - issued_at  # of the whole token, whatever is left of it
    if lifetime < SHORT_SECONDS:
        return None
    return max(now, int(expires_at - min(EARLY_SECONDS, lifetime / 3) - jitter * lifetime / 10))


def _before_end(now: int, expires_at: int) -> int:
    """Early enough to say that the merchant must come back; after that, at the end."""
    early = expires_at - min(EXPIRING_SECONDS, max(0, expires_at - now) // 3)
    return early if early > now else expires_at


def _keep_alive(now: int, refresh_expires_at: int | None, idle_days: int | None, jitter: float) -> int | None:
    lives = [] if idle_days is None else [idle_days * _DAY]
    if refresh_expires_at is not None and refresh_expires_at > now:
        # An end that has passed was none: the provider has refreshed it all the same.
        lives.append(refresh_expires_at - now)
    # However near an end is that cannot be moved: it is not asked about more than once a minute.
    return now + max(_SELDOM_SECONDS, int(min(lives) * (2 / 3 - jitter / 10))) if lives else None


def retry_at(now: int, failures: int, jitter: float) -> int:
    """When to try again after the `failures`th failure in a row: at most four minutes later."""
    pause = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(failures, 10))
    return now + int(pause * (1 + jitter / 3))


def due_shard(provider: str, merchant_id: str, account_id: str) -> str:
    """The shard of the `due` index in which a connection lies: `provider#n`."""
    digest = sha256(f"{merchant_id}#{account_id}".encode()).digest()
    return f"{provider}#{digest[0] % SHARDS}"


def shards(provider: str) -> tuple[str, ...]:
    """All shards of a provider."""
    return tuple(f"{provider}#{number}" for number in range(SHARDS))
