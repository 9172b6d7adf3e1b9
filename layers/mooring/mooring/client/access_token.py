"""The access token as a service holds it: readable on purpose, never by accident."""

from typing import NamedTuple, Never

from mooring.core.upkeep import Key, Seen


class Facts(NamedTuple):
    """What may be told of a token: everything but itself. `expires_at` is epoch seconds, or None."""

    key: Key
    seen: Seen
    scopes: tuple[str, ...]
    expires_at: int | None
    warning: str | None = None


class AccessToken:
    """A valid access token.

    The token itself is `value`, and nowhere else: not in repr, str or format, not in `vars`, not in JSON.
    It cannot be pickled, because what is pickled ends up in queues, caches and other processes; hand
    merchant, provider and account over instead, and ask again there, which costs one read.

    Args:
        value: the token.
        facts: what may be told of it.
    """

    __slots__ = ("_facts", "_value")

    def __init__(self, value: str, facts: Facts) -> None:
        self._value = value
        self._facts = facts

    @property
    def value(self) -> str:
        """The token, as the provider issued it."""
        return self._value

    @property
    def key(self) -> Key:
        """Which connection: merchant, provider, account."""
        return self._facts.key

    @property
    def account_id(self) -> str:
        """The account that it belongs to."""
        return self._facts.key.account_id

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes."""
        return self._facts.scopes

    @property
    def expires_at(self) -> int | None:
        """When it ends, in epoch seconds; None when no end is known."""
        return self._facts.expires_at

    @property
    def generation(self) -> int:
        """Counts the code exchanges of its connection."""
        return self._facts.seen.generation

    @property
    def version(self) -> int:
        """Counts the token writes of its connection: the higher one is newer."""
        return self._facts.seen.version

    @property
    def seen(self) -> Seen:
        """Generation and version together."""
        return self._facts.seen

    @property
    def warning(self) -> str | None:
        """Why it could not be refreshed or looked up again (docs/reasons.md), or None when all is well."""
        return self._facts.warning

    def warned(self, reason: str | None) -> "AccessToken":
        """The same token with another warning."""
        return AccessToken(self._value, self._facts._replace(warning=reason))

    def lives(self, now: float) -> bool:
        """Whether it has not ended at `now` (epoch seconds)."""
        return self.expires_at is None or self.expires_at > now

    def __repr__(self) -> str:
        merchant, provider, account = self.key
        return (
            f"AccessToken({merchant}/{provider}/{account}, generation={self.generation}, "
            f"version={self.version}, expires_at={self.expires_at}, warning={self.warning})"
        )

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessToken) and (self._value, self._facts) == (other._value, other._facts)

    def __hash__(self) -> int:
        return hash(self._facts)

    def __copy__(self) -> "AccessToken":
        return self

    def __deepcopy__(self, _memo: object) -> "AccessToken":
        return self

    def __reduce__(self) -> Never:
        raise TypeError("an access token is not pickled: hand over its key and ask again there")
