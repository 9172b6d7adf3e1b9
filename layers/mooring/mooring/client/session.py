"""A `requests.Session` for one connection: it has the token placed where nobody else sees it."""

import os
from collections.abc import Mapping, MutableMapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Never
from urllib.parse import urljoin

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import rewind_body

from mooring.client.calls import ProviderCalls
from mooring.client.errors import MooringError, NotTheProvider
from mooring.client.hidden import Hidden, redact
from mooring.client.provider_api import Placed

TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and to the next byte, for a request that names no timeout."""
_NO_COOKIES = DefaultCookiePolicy(allowed_domains=[])
_WAIT = "_mooring_wait"
"""Where a response, and the request to which it redirects, keep how long that may still wait."""


class ProviderSession(requests.Session):
    """Calls one provider's API for one connection.

    A path is appended to the provider's base URL; whole addresses work as well, if they are the provider's.
    Each request has a valid token, at its place. After a 401, which is reported, it is sent once more if
    there is a newer token by then and its body can be sent again. Where the provider's headers ask for a
    pause, it waits; where that would be too long, it raises `RateLimited`.

    The token goes to the provider's hosts over https and nowhere else. It stands on a copy of the request
    that only the sending adapter sees: not on `response.request`, in `response.url`, hooks or exceptions.
    Redirects are followed within the provider's hosts; one that leads elsewhere is the answer. The session
    keeps no cookie, and reads no proxies, netrc or certificates from the environment. `verify=False` is
    refused. Like every `requests.Session`, one for each thread.

    Args:
        calls: the calls of the connection.
    """

    def __init__(self, calls: ProviderCalls) -> None:
        super().__init__()
        self._calls = calls
        self._process = os.getpid()
        self.trust_env = False
        self.cookies.set_policy(_NO_COOKIES)
        redact("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")

    @property
    def base_url(self) -> str | None:
        """What paths are appended to, or None. Raises `MooringError`."""
        return self._calls.api().base_url

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request, whose URL may be a path."""
        whole = requests.Request(**vars(request))
        whole.url = self._calls.api().absolute(str(request.url))
        prepared = super().prepare_request(whole)
        # What a redirect brings would be kept here.
        jar = getattr(prepared, "_cookies", None)
        if isinstance(jar, CookieJar):
            jar.set_policy(_NO_COOKIES)
        return prepared

    def get_adapter(self, url: str | bytes) -> BaseAdapter:
        """The mounted adapter for `url`, behind one that places the token."""
        if os.getpid() != self._process:
            self._leave_the_parents_sockets()
        return _Placing(super().get_adapter(url), self._calls)  # type: ignore[arg-type]

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirect leads, if that is one of the provider's hosts."""
        target = super().get_redirect_target(resp)
        if target is None or not self._calls.api().may_carry(urljoin(resp.url, target)):
            return None
        return target

    def rebuild_method(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Prepare where a redirect leads: it is the same request still, and does not wait anew."""
        super().rebuild_method(prepared_request, response)
        vars(prepared_request)[_WAIT] = vars(response).get(_WAIT)

    def __reduce__(self) -> Never:
        raise TypeError("a session is not pickled: make it anew in the other process")

    def _leave_the_parents_sockets(self) -> None:
        """After a fork: new pools. The old ones are not closed, for the parent still uses them."""
        self._process = os.getpid()
        for adapter in self.adapters.values():
            if isinstance(adapter, HTTPAdapter):
                adapter.__setstate__(adapter.__getstate__())  # type: ignore[attr-defined]


class _Placing(BaseAdapter):
    """Sends through another adapter, which alone sees the token."""

    def __init__(self, inner: BaseAdapter, calls: ProviderCalls) -> None:
        super().__init__()
        self._inner = inner
        self._calls = calls

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request as often as `ProviderCall` says."""
        url = str(request.url)
        if not verify:
            raise NotTheProvider("without a check of the certificate nobody knows who gets the token")
        if proxies and url.startswith("http:"):
            raise NotTheProvider("a proxy would see the token, because this provider is called over http")
        call = self._calls.begin(url, request.headers.get("Host"), vars(request).get(_WAIT))
        options = {"stream": stream, "verify": verify, "cert": cert, "proxies": proxies}
        while True:
            while pause := call.pause():
                self._calls.sleep(pause)
            response = self._once(request, call.place(), timeout=timeout or TIMEOUT_SECONDS, **options)
            try:
                again = call.again(response.status_code, response.headers, resendable=_resendable(request))
            except MooringError:
                response.close()
                raise
            if not again:
                for headers in (response.headers, getattr(response.raw, "headers", None)):
                    if isinstance(headers, MutableMapping):
                        call.leave_out(headers)
                vars(response)[_WAIT] = call.wait
                return response
            response.close()
            if not _in_memory(request.body):
                rewind_body(request)

    def close(self) -> None:
        """Close the other adapter."""
        self._inner.close()

    def _once(self, request: requests.PreparedRequest, placed: Placed, **options: Any) -> requests.Response:
        sent = request.copy()
        sent.url = placed.url
        if placed.header is not None:
            sent.headers[placed.header[0]] = placed.header[1]
        hidden = Hidden(placed.token)
        with hidden.from_logs():
            try:
                response = self._inner.send(sent, **options)
            except requests.RequestException as error:
                kind, text = type(error), hidden.text(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, it may quote what was sent
                kind, text = requests.ConnectionError, hidden.text(f"{type(error).__name__}: {error}")
            else:
                return _unplaced(response, request, placed)
        # Outside of the handler, so that nothing that was sent hangs on the exception.
        raise kind(text, request=request)


def _unplaced(
    response: requests.Response, request: requests.PreparedRequest, placed: Placed
) -> requests.Response:
    """The response as to the request that the caller made."""
    response.request = request
    if placed.header is None:
        response.url = str(request.url)
        if hasattr(response.raw, "url"):
            response.raw.url = request.path_url
    return response


def _resendable(request: requests.PreparedRequest) -> bool:
    """Whether the body is in memory, or a file that can be rewound."""
    # Where it was in the file at first is where requests itself looks, before a redirect.
    return _in_memory(request.body) or isinstance(getattr(request, "_body_position", None), int)


def _in_memory(body: object) -> bool:
    return body is None or isinstance(body, str | bytes)
