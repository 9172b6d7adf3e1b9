"""A sealer without cryptography: what is sealed stays in a vault, and only a random handle leaves."""

from secrets import token_bytes

from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key
from tests.fakes.faults import Fallible

_FIELDS = ("access", "refresh")


class FakeSealer(Fallible):
    """The sealer port, and the resealer's. `vault` is open to tests: handle -> (place, plaintext)."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.vault: dict[SealedField, tuple[tuple[str, str, str, str], str]] = {}
        self.owners: dict[bytes, tuple[str, str, str]] = {}

    def prepare(self, merchant_id: str, provider: str) -> "FakeSealingKeys":
        """Two data keys."""
        self.called("prepare")
        wrapped = {field: token_bytes(24) for field in _FIELDS}
        self.owners |= {key: (merchant_id, provider, field) for field, key in wrapped.items()}
        return FakeSealingKeys(self, merchant_id, provider, wrapped)

    def reuse(self, key: Key, access: SealedField, refresh: SealedField) -> "FakeSealingKeys":
        """The data keys of both fields, if they are those of this merchant, provider and field."""
        self.called("reuse")
        wrapped = dict(zip(_FIELDS, (access.wrapped_key, refresh.wrapped_key), strict=True))
        for field, each in wrapped.items():
            if self.owners.get(each) != (key.merchant_id, key.provider, field):
                raise Failure(Reason.TOKEN_UNREADABLE)
        return FakeSealingKeys(self, key.merchant_id, key.provider, wrapped)

    def open(self, sealed: SealedField, merchant_id: str, provider: str, account_id: str, field: str) -> str:
        """What was sealed, if it was sealed for just this place."""
        self.called("open")
        place, plaintext = self.vault.get(sealed, (None, ""))
        if place != (merchant_id, provider, account_id, field):
            raise Failure(Reason.TOKEN_UNREADABLE)
        return plaintext


class FakeSealingKeys:
    """What `FakeSealer.prepare` and `reuse` give."""

    def __init__(
        self, sealer: FakeSealer, merchant_id: str, provider: str, wrapped: dict[str, bytes]
    ) -> None:
        self._sealer = sealer
        self._place = (merchant_id, provider)
        self._wrapped = wrapped

    def seal(self, field: str, account_id: str, plaintext: str) -> SealedField:
        """A handle for `plaintext`."""
        sealed = SealedField(token_bytes(24), self._wrapped[field])
        self._sealer.vault[sealed] = ((*self._place, account_id, field), plaintext)
        return sealed
