"""A sealer without cryptography: what is sealed stays in a vault, and only a random handle leaves."""

from secrets import token_bytes

from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField
from tests.fakes.faults import Fallible


class FakeSealer(Fallible):
    """The sealer port. `vault` is open to tests: handle -> (place, plaintext)."""

    def __init__(self, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.vault: dict[SealedField, tuple[tuple[str, str, str, str], str]] = {}

    def prepare(self, merchant_id: str, provider: str) -> "FakeSealingKeys":
        """Two data keys."""
        self.called("prepare")
        return FakeSealingKeys(self, merchant_id, provider)

    def open(self, sealed: SealedField, merchant_id: str, provider: str, account_id: str, field: str) -> str:
        """What was sealed, if it was sealed for just this place."""
        self.called("open")
        place, plaintext = self.vault.get(sealed, (None, ""))
        if place != (merchant_id, provider, account_id, field):
            raise Failure(Reason.TOKEN_UNREADABLE)
        return plaintext


class FakeSealingKeys:
    """What `FakeSealer.prepare` gives."""

    def __init__(self, sealer: FakeSealer, merchant_id: str, provider: str) -> None:
        self._sealer = sealer
        self._place = (merchant_id, provider)
        self._wrapped = {"access": token_bytes(24), "refresh": token_bytes(24)}

    def seal(self, field: str, account_id: str, plaintext: str) -> SealedField:
        """A handle for `plaintext`."""
        sealed = SealedField(token_bytes(24), self._wrapped[field])
        self._sealer.vault[sealed] = ((*self._place, account_id, field), plaintext)
        return sealed
