"""What a service does with connections, whatever stands behind them: AWS, or a fake in its tests."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mooring.client.access_token import AccessToken
from mooring.client.calls import MAX_WAIT_SECONDS, ProviderCalls
from mooring.client.errors import NoConnection
from mooring.client.failures import told
from mooring.client.per_process import PerProcess
from mooring.client.ports import Ports, Report
from mooring.client.reading import Reading
from mooring.core.connection import Connection, Status, Wanted
from mooring.core.errors import Failure
from mooring.core.names import is_name, is_provider_id
from mooring.core.upkeep import Key
from mooring.flows.read import DEFAULT_MIN_TTL, MAX_MIN_TTL

if TYPE_CHECKING:
    from mooring.client.session import ProviderSession

_PAGE = 100
_NAME = "1 to 128 of A-Z a-z 0-9 . _ : - (and not . or .. alone)"
_PROVIDER = "2 to 32 of a-z 0-9 - with a letter first"


class BaseConnections:
    """The connections of all merchants; one object for a whole process, shared by its threads.

    After a fork the child makes its own clients and holds nothing of the parent's. See `Connections` for
    what stands behind it in production.

    Args:
        make: makes the outside world, once in each process.
    """

    def __init__(self, make: Callable[[], Ports]) -> None:
        self._reading = PerProcess(lambda: Reading(make()))

    def token(
        self, merchant: str, provider: str, account: str | None = None, min_ttl: int = DEFAULT_MIN_TTL
    ) -> AccessToken:
        """A valid access token.

        One consistent read of the connection's row, and one call of KMS where its token was not opened in
        this process within the last five minutes. When the token would end within `min_ttl`, the API is
        asked, which refreshes it first; where that fails and the token still lives, it is given with a
        `warning`. So is one whose row or key cannot be asked for, for up to five minutes.

        Args:
            merchant: the merchant's id.
            provider: the provider's id.
            account: the account's id; None for the merchant's only one, which costs a query once in a while.
            min_ttl: seconds for which the token must still live; at most 3,600, and half of its lifetime.

        Raises:
            NoConnection: NotConnected, NeedsReconnect, Uninstalled or Disconnected.
            SeveralAccounts: none was named, and there are several.
            TokenUnavailable: there is none now; NotAllowed when a policy forbids it.
            SetupError: a setting is missing, or there are no AWS credentials.
        """
        ttl = max(0, min(min_ttl, MAX_MIN_TTL))
        return self._with_key(merchant, provider, account, lambda key: self._reading().token(key, ttl))

    def list(
        self, merchant: str, provider: str | None = None, status: Status | str | None = None
    ) -> list[Connection]:
        """A merchant's connections, all or some, in the order of provider and account; never a token.

        Raises:
            TokenUnavailable: the table cannot be asked; NotAllowed when a policy forbids it.
            SetupError: a setting is missing, or there are no AWS credentials.
        """
        _check(merchant, provider, None)
        wanted = Wanted(_PAGE, provider, Status(status) if status is not None else None)
        try:
            return self._reading().list(merchant, wanted)
        except Failure as failure:
            raise told(failure) from None

    def report_unauthorized(self, token: AccessToken) -> Report:
        """Say that the provider answered 401 to a token; what came of it.

        Where there is a refresh token, there is a newer access token afterwards. Where there is none, reports
        are counted, and at the third in a row the provider is asked.

        Raises:
            NoConnection: the connection has ended, perhaps by this very report.
            TokenUnavailable: the API does not answer, or NotAllowed.
            SetupError: it is not known where the API is, or there are no AWS credentials.
        """
        return self._reading().report(token)

    def disconnect(self, merchant: str, provider: str, account: str | None = None) -> None:
        """Cut a connection off: its tokens are erased at once, everywhere. May be repeated.

        Where no account is named, it is looked up each time: the API would also take one that ended a while
        ago, and another would stay connected.

        Raises:
            NotConnected: there never was such a connection.
            SeveralAccounts: none was named, and there are several.
            TokenUnavailable: the API does not answer, or the table, where no account is named; or NotAllowed.
            SetupError: it is not known where the API is, or there are no AWS credentials.
        """
        _check(merchant, provider, account)
        reading = self._reading()
        if account is None:
            reading.disconnect(reading.account_now(merchant, provider))
        else:
            reading.disconnect(Key(merchant, provider, account))

    def session(
        self,
        merchant: str,
        provider: str,
        account: str | None = None,
        *,
        max_wait: float = MAX_WAIT_SECONDS,
    ) -> "ProviderSession":
        """A `requests.Session` for the provider's API; see `ProviderSession`. It asks nobody yet.

        Args:
            merchant: the merchant's id.
            provider: the provider's id.
            account: the account's id; None for the merchant's only one.
            max_wait: for how many seconds a request, its redirects included, may wait where the provider asks
                for a pause.
        """
        # requests takes a quarter of a second to import, and not everybody needs it.
        from mooring.client.session import ProviderSession

        return ProviderSession(self.calls(merchant, provider, account, max_wait=max_wait))

    def calls(
        self, merchant: str, provider: str, account: str | None = None, *, max_wait: float = MAX_WAIT_SECONDS
    ) -> ProviderCalls:
        """What a session is made of, for HTTP libraries other than requests: see `mooring.client.httpx`."""
        _check(merchant, provider, account)

        def key() -> Key:
            return self._with_key(merchant, provider, account, lambda found: found)

        return ProviderCalls(self._reading, key, max_wait)

    def __reduce__(self) -> Any:
        raise TypeError("connections are not pickled: make them anew in the other process")

    def _with_key[Result](
        self, merchant: str, provider: str, account: str | None, do: Callable[[Key], Result]
    ) -> Result:
        """Do something with a connection; an account that was not named is looked up, again if it ended."""
        _check(merchant, provider, account)
        if account is not None:
            return do(Key(merchant, provider, account))
        key, known = self._reading_account(merchant, provider)
        try:
            return do(key)
        except NoConnection:
            if not known:
                raise
        self._reading().forget(key)
        return do(self._reading_account(merchant, provider)[0])

    def _reading_account(self, merchant: str, provider: str) -> tuple[Key, bool]:
        return self._reading().account(merchant, provider)


def _check(merchant: str, provider: str | None, account: str | None) -> None:
    """Raise ValueError for what no connection can be called."""
    if not is_name(merchant):
        raise ValueError(f"not a merchant id: {_NAME}")
    if provider is not None and not is_provider_id(provider):
        raise ValueError(f"not a provider id: {_PROVIDER}")
    if account is not None and not is_name(account):
        raise ValueError(f"not an account id: {_NAME}")
