"""Calls of a provider's API, whatever library sends them: where the token goes, when, and when once more."""

from collections.abc import Callable, Mapping, MutableMapping

from mooring.client.access_token import AccessToken
from mooring.client.errors import NoConnection, RateLimited, SetupError, TokenUnavailable
from mooring.client.provider_api import Placed, ProviderApi
from mooring.client.rates import TOO_MANY
from mooring.client.reading import Reading
from mooring.core.upkeep import Key
from mooring.flows.read import DEFAULT_MIN_TTL

MAX_WAIT_SECONDS = 30.0
_UNAUTHORIZED = 401


class Wait:
    """For how many seconds a request may still wait; where a redirect leads, the same is left of them."""

    def __init__(self, left: float) -> None:
        self.left = left


class ProviderCalls:
    """All calls of one connection.

    Args:
        reading: the reading of this process.
        key: finds the connection.
        max_wait: for how many seconds in all one request may wait for the provider's limits.
    """

    def __init__(self, reading: Callable[[], Reading], key: Callable[[], Key], max_wait: float) -> None:
        self._reading = reading
        self._key = key
        self.max_wait = max_wait

    def api(self) -> ProviderApi:
        """How the provider's API is used. Raises `MooringError`."""
        return self._reading().api(self._key())

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._reading().ports.sleep(seconds)

    def begin(self, url: str, host_header: str | None, wait: Wait | None = None) -> "ProviderCall":
        """One request to a whole address; before any token is read, the address is checked.

        Args:
            url: the address.
            host_header: a `Host` header that the caller set.
            wait: that of the request which was redirected to here.

        Raises:
            NotTheProvider: the token may not be sent there.
            MooringError: the connection or the API cannot be found.
        """
        reading, key = self._reading(), self._key()
        api = reading.api(key)
        api.check(url, host_header)
        return ProviderCall(reading, key, api, url, wait or Wait(self.max_wait), self._key)


class ProviderCall:
    """One request: `pause` until that is 0, `place`, send, then ask whether `again`.

    Args:
        reading: the reading of this process.
        key: the connection.
        api: of its provider.
        url: where the request goes.
        wait: for how long it may wait for the provider's limits.
        find: finds the connection anew, should it have gone to another account.
    """

    def __init__(
        self,
        reading: Reading,
        key: Key,
        api: ProviderApi,
        url: str,
        wait: Wait,
        find: Callable[[], Key],
    ) -> None:
        self._reading = reading
        self._key = key
        self._api = api
        self._url = url
        self._find = find
        self.wait = wait
        self._token: AccessToken | None = None
        self._repeated: set[int] = set()
        # Where the descriptor does not say whose limit it is, one account's must not hold up all others.
        of_the_app = api.rate_limit is not None and api.rate_limit.per == "app"
        self._place = (key.provider,) if of_the_app else (key.provider, key.merchant_id, key.account_id)

    def pause(self) -> float:
        """Seconds to wait before anything is sent, as the provider wants; 0 when it may be.

        Raises:
            RateLimited: that is longer than this request may still wait.
        """
        seconds = self._reading.rates.left(self._place)
        if seconds > self.wait.left:
            raise RateLimited(self._key.provider, seconds)
        self.wait.left -= seconds
        return seconds

    def place(self) -> Placed:
        """The address with a valid token, or the header that has it. Raises `MooringError`."""
        try:
            self._token = self._reading.token(self._key, DEFAULT_MIN_TTL)
        except NoConnection:
            if self._token is not None or not self._moved():
                raise
            self._token = self._reading.token(self._key, DEFAULT_MIN_TTL)
        return self._api.place(self._url, self._token.value)

    def again(self, status: int, headers: Mapping[str, str], *, resendable: bool) -> bool:
        """Whether an answer is to be thrown away and the request sent once more.

        Once after a 401 that brought a newer token, and once after a 429 that says how long to wait. A 401 is
        reported in any case.

        Args:
            status: of HTTP.
            headers: by lower-case name, or by any.
            resendable: whether the request can be sent a second time.

        Raises:
            NoConnection: the connection has ended, perhaps by this very 401.
            RateLimited: the provider wants a longer pause than this request may still wait.
        """
        wait = self._reading.rates.note(self._place, status, headers, self._api.rate_limit)
        first = status not in self._repeated
        self._repeated.add(status)
        if status == _UNAUTHORIZED and first:
            return self._renewed() and resendable
        if status != TOO_MANY or wait is None or not first or not resendable:
            return False
        if wait > self.wait.left:
            raise RateLimited(self._key.provider, wait)
        return True

    def leave_out(self, headers: MutableMapping[str, str]) -> None:
        """Take the token out of where an answer redirects, so that it does not come back in an address.

        Args:
            headers: of the answer; by lower-case name, or by any.
        """
        if self._token is not None and "location" in headers:
            headers["location"] = self._api.bare(headers["location"], self._token.value)

    def _moved(self) -> bool:
        """Whether the merchant's only connection is of another account by now, at the same address."""
        key = self._find()
        if key == self._key or self._reading.api(key).base_url != self._api.base_url:
            return False
        self._key = key
        return True

    def _renewed(self) -> bool:
        """Report the token that the provider refused; whether there is a newer one."""
        refused = self._token
        if refused is None:  # never: what was not placed was not sent
            return False
        try:
            report = self._reading.report(refused)
            return (report.generation, report.version) > refused.seen
        except (TokenUnavailable, SetupError):
            pass
        try:
            # The report did not arrive; somebody else's may have.
            return self._reading.token(self._key, DEFAULT_MIN_TTL).seen > refused.seen
        except TokenUnavailable:
            return False
