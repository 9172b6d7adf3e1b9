"""Client secrets in memory, remembered once read, as the real ones are."""

from mooring.core.errors import Failure, Reason
from tests.fakes.faults import Fallible


class FakeSecrets(Fallible):
    """The secrets port. `values` is the store, `outage` makes it unreachable; both open to tests."""

    def __init__(self, values: dict[str, str] | None = None, journal: list[str] | None = None) -> None:
        super().__init__(journal)
        self.values = dict(values or {})
        self.outage = False
        self.forgotten: list[str] = []
        self._known: dict[str, str] = {}
        self._fresh: set[str] = set()

    def client_secret(self, provider: str) -> str:
        """The secret: the remembered one, or the store's."""
        self.called("client_secret")
        if provider not in self._fresh and not self.outage:
            secret = self.values.get(provider, "")
            if not secret.strip():
                self._known.pop(provider, None)
                raise Failure(Reason.SECRET_UNAVAILABLE)
            self._known[provider] = secret
            self._fresh.add(provider)
        if provider not in self._known:
            raise Failure(Reason.SECRET_UNAVAILABLE)
        return self._known[provider]

    def forget(self, provider: str) -> None:
        """Ask the store next time."""
        self.called("forget")
        self.forgotten.append(provider)
        self._fresh.discard(provider)
