"""Client and webhook secrets in memory, remembered once read, as the real ones are."""

from collections.abc import Callable

from mooring.core.errors import Failure, Reason
from tests.fakes.faults import Fallible

FAILED_SECONDS, REFUSED_SECONDS, FORGET_SECONDS = 5, 30, 30


class FakeSecrets(Fallible):
    """Both ports of secrets. `values` (client secrets) and `webhooks` (one secret a line) are the
    store, `outage` makes it unreachable, `now` (seconds) stands still until a test moves it; all open
    to tests."""

    def __init__(
        self,
        values: dict[str, str] | None = None,
        journal: list[str] | None = None,
        webhooks: dict[str, str] | None = None,
    ) -> None:
        super().__init__(journal)
        self.values = dict(values or {})
        self.webhooks = dict(webhooks or {})
        self.outage = False
        self.now = 0.0
        self.forgotten: list[str] = []
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}
        self._fresh: set[tuple[str, str]] = set()
        self._failed: dict[tuple[str, str], float] = {}
        self._forgotten_at: dict[str, float] = {}

    def client_secret(self, provider: str) -> str:
        """The secret: the remembered one, or the store's."""
        self.called("client_secret")
        (secret,) = self._read(provider, "client_secret", self.values, lambda text: (text,))
        return secret

    def webhook_secrets(self, provider: str) -> tuple[str, ...]:
        """The secrets, one or two: the remembered ones, or the store's."""
        self.called("webhook_secrets")
        return self._read(
            provider,
            "webhook_secret",
            self.webhooks,
            lambda text: tuple(line.strip() for line in text.split("\n") if line.strip()),
        )

    def forget(self, provider: str) -> None:
        """Ask the store for the client secret next time; once in half a minute."""
        self.called("forget")
        self.forgotten.append(provider)
        name = (provider, "client_secret")
        if name in self._known and self.now >= self._forgotten_at.get(provider, self.now):
            self._forgotten_at[provider] = self.now + FORGET_SECONDS
            self._fresh.discard(name)

    def _read(
        self, provider: str, kind: str, store: dict[str, str], split: Callable[[str], tuple[str, ...]]
    ) -> tuple[str, ...]:
        name = (provider, kind)
        if self.now < self._failed.get(name, self.now):
            raise Failure(Reason.SECRET_UNAVAILABLE)
        if name not in self._fresh and not self.outage:
            text = store.get(provider, "")
            if not text.strip() or len(split(text)) > 2:
                self._known.pop(name, None)
                raise self._refused(name, REFUSED_SECONDS)
            self._known[name] = split(text)
            self._fresh.add(name)
        if name not in self._known:
            raise self._refused(name, FAILED_SECONDS)
        return self._known[name]

    def _refused(self, name: tuple[str, str], seconds: int) -> Failure:
        self._failed[name] = self.now + seconds
        return Failure(Reason.SECRET_UNAVAILABLE)
