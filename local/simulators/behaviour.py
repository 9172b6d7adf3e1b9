"""What may be changed about a running simulated provider, within what real providers do."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from local.simulators.families import RefreshRules

MAX_SECONDS = 366 * 86_400
MAX_DELAY_SECONDS = 60


@dataclass(frozen=True)
class Behaviour:
    """How a simulated provider behaves now.

    Args:
        access_token_seconds: life of the access tokens that are issued from now on.
        rotation: `never` or `always`: whether a refresh replaces the refresh token.
        reuse: what happens when a replaced refresh token comes after its grace: `refuse`, or
            `revoke_family`, which ends every token of that consent.
        grace_seconds: for so long a replaced refresh token is still accepted.
        send_refresh_token: whether the answer to a refresh names a refresh token; one that does not
            leaves the old one in force, so nothing rotates either.
        ends_access_token: whether a refresh ends the earlier access tokens.
        revokes: what its revocation endpoint ends: `token`, what the same consent led to, or `grant`, all
            that the account ever granted; `nothing`: it says that it cannot revoke such tokens.
        delay_before_seconds: the token endpoint waits so long before it does its work.
        delay_after_seconds: and so long between its work and its answer.
    """

    access_token_seconds: int = 3600
    rotation: str = "never"
    reuse: str = "refuse"
    grace_seconds: float = 0
    send_refresh_token: bool = True
    ends_access_token: bool = False
    revokes: str = "token"
    delay_before_seconds: float = 0
    delay_after_seconds: float = 0

    @property
    def rules(self) -> RefreshRules:
        """The same, as far as refresh tokens are concerned."""
        return RefreshRules(
            rotates=self.rotation == "always" and self.send_refresh_token,
            grace_seconds=self.grace_seconds,
            reuse_ends_family=self.reuse == "revoke_family",
            ends_access_token=self.ends_access_token,
        )

    def changed(self, wish: Mapping[str, Any], settable: Iterable[str]) -> "Behaviour":
        """This behaviour with some values replaced.

        Raises:
            ValueError: a name that cannot be set here, or a value that makes no sense.
        """
        for name, value in wish.items():
            if name not in set(settable):
                raise ValueError(f"options here are: {', '.join(sorted(settable))}")
            if not _FITS[name](value):
                raise ValueError(f"{name} cannot be {value!r}")
        return replace(self, **wish)

    def shown(self, settable: Iterable[str]) -> dict[str, Any]:
        """The values of what can be set, by name."""
        wanted = set(settable)
        return {name: value for name, value in asdict(self).items() if name in wanted}


def _seconds(least: float, most: float) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most

    return fits


def _whole_seconds(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_SECONDS


def _one_of(*words: str) -> Callable[[object], bool]:
    return lambda value: value in words


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


_FITS: dict[str, Callable[[object], bool]] = {
    "access_token_seconds": _whole_seconds,
    "rotation": _one_of("never", "always"),
    "reuse": _one_of("refuse", "revoke_family"),
    "grace_seconds": _seconds(0, MAX_SECONDS),
    "send_refresh_token": _is_bool,
    "ends_access_token": _is_bool,
    "revokes": _one_of("token", "grant", "nothing"),
    "delay_before_seconds": _seconds(0, MAX_DELAY_SECONDS),
    "delay_after_seconds": _seconds(0, MAX_DELAY_SECONDS),
}

EVERY_SITE = frozenset({"delay_before_seconds", "delay_after_seconds"})
"""What can be set at every simulated provider."""
REVOKING = frozenset(_FITS)
"""What can be set at one whose tokens are refreshed, and that has a revocation endpoint."""
REFRESHING = REVOKING - {"revokes"}
"""What can be set at one whose tokens are refreshed."""
