"""Calls of a provider's API with httpx, synchronous and asynchronous.

Needs the extra `httpx`: pip install 'mooring[httpx]'. A transport is the better choice: it sees every
request that leaves, redirected ones included, and what it places stands neither on the request that the
client logs nor on the response. An auth class can do neither, so `ProviderAuth` is only for tokens in the
`Authorization` header, which httpx itself keeps from other hosts.

Tokens are read in a worker thread by the asynchronous forms, so that nothing waits for AWS.
"""

from collections.abc import AsyncGenerator, Generator
from typing import Never

import anyio
import anyio.to_thread
import httpx

from mooring.client.base import BaseConnections
from mooring.client.calls import MAX_WAIT_SECONDS, ProviderCall, ProviderCalls
from mooring.client.errors import NotTheProvider
from mooring.client.hidden import Hidden
from mooring.client.provider_api import Placed

_AUTHORIZATION = "authorization"
_WAIT = "mooring.client.wait"
"""The extension by which httpx hands on to a redirected request how long that may still wait."""


class ProviderTransport(httpx.BaseTransport):
    """For `httpx.Client(transport=...)`: calls one provider's API for one connection.

    Does what `ProviderSession` does. A path is appended to the provider's base URL. A redirect that leads
    elsewhere is not followed: `NotTheProvider` is raised, whatever `follow_redirects` says. Answers come
    without their cookies. Proxies and certificates of the environment are not used, except by a transport
    of your own.

    Args:
        connections: the connections.
        merchant: the merchant's id.
        provider: the provider's id.
        account: the account's id; None for the merchant's only one.
        max_wait: for how many seconds a request, its redirects included, may wait where the provider asks for
            a pause.
        transport: what sends; a plain `httpx.HTTPTransport` by default.
    """

    def __init__(
        self,
        connections: BaseConnections,
        merchant: str,
        provider: str,
        account: str | None = None,
        *,
        max_wait: float = MAX_WAIT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._calls = connections.calls(merchant, provider, account, max_wait=max_wait)
        self._inner = transport or httpx.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, perhaps twice. Raises `MooringError`, and what httpx raises."""
        call = _begun(self._calls, request)
        while True:
            while pause := call.pause():
                self._calls.sleep(pause)
            response = self._once(request, call.place())
            try:
                again = call.again(response.status_code, response.headers, resendable=_resendable(request))
            except BaseException:
                response.close()
                raise
            if not again:
                return _answer(call, request, response)
            response.close()

    def close(self) -> None:
        """Close the transport that sends."""
        self._inner.close()

    def _once(self, request: httpx.Request, placed: Placed) -> httpx.Response:
        hidden = Hidden(placed.token)
        try:
            return self._inner.handle_request(_sent(request, placed))
        except httpx.TransportError as error:
            kind, text = type(error), hidden.text(str(error))
        # Outside of the handler, so that nothing that was sent hangs on the exception.
        raise kind(text)


class AsyncProviderTransport(httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient(transport=...)`: see `ProviderTransport`, whose arguments it takes."""

    def __init__(
        self,
        connections: BaseConnections,
        merchant: str,
        provider: str,
        account: str | None = None,
        *,
        max_wait: float = MAX_WAIT_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = connections.calls(merchant, provider, account, max_wait=max_wait)
        self._inner = transport or httpx.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, perhaps twice. Raises `MooringError`, and what httpx raises."""
        call = await anyio.to_thread.run_sync(_begun, self._calls, request)
        while True:
            while pause := call.pause():  # noqa: ASYNC110 - nothing tells when a limit ends
                await anyio.sleep(pause)
            response = await self._once(request, await anyio.to_thread.run_sync(call.place))
            try:
                again = await _again(call, response, resendable=_resendable(request))
            except BaseException:
                # Also where the task was cancelled: the connection would never go back to its pool.
                with anyio.CancelScope(shield=True):
                    await response.aclose()
                raise
            if not again:
                return _answer(call, request, response)
            await response.aclose()

    async def aclose(self) -> None:
        """Close the transport that sends."""
        await self._inner.aclose()

    async def _once(self, request: httpx.Request, placed: Placed) -> httpx.Response:
        hidden = Hidden(placed.token)
        try:
            return await self._inner.handle_async_request(_sent(request, placed))
        except httpx.TransportError as error:
            kind, text = type(error), hidden.text(str(error))
        raise kind(text)


class ProviderAuth(httpx.Auth):
    """For `auth=...` of a client that has a transport already; for tokens in the `Authorization` header only.

    Addresses must be whole, and the provider's. See `ProviderTransport` for the arguments.
    """

    def __init__(
        self,
        connections: BaseConnections,
        merchant: str,
        provider: str,
        account: str | None = None,
        *,
        max_wait: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._calls = connections.calls(merchant, provider, account, max_wait=max_wait)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """What httpx calls for each request."""
        call = self._calls.begin(str(request.url), request.headers.get("host"))
        while True:
            while pause := call.pause():
                self._calls.sleep(pause)
            _authorize(request, call.place())
            response = yield request
            if not self._is_the_providers(response):
                return
            if not call.again(response.status_code, response.headers, resendable=_resendable(request)):
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """What httpx calls for each request."""
        host = request.headers.get("host")
        call = await anyio.to_thread.run_sync(self._calls.begin, str(request.url), host)
        while True:
            while pause := call.pause():  # noqa: ASYNC110 - nothing tells when a limit ends
                await anyio.sleep(pause)
            _authorize(request, await anyio.to_thread.run_sync(call.place))
            response = yield request
            if not await anyio.to_thread.run_sync(self._is_the_providers, response):
                return
            if not await _again(call, response, resendable=_resendable(request)):
                return

    def __reduce__(self) -> Never:
        raise TypeError("an auth class is not pickled: make it anew in the other process")

    def _is_the_providers(self, response: httpx.Response) -> bool:
        """Whether the provider answered, and not somebody to whom a redirect led."""
        return self._calls.api().may_carry(str(response.url))


def _begun(calls: ProviderCalls, request: httpx.Request) -> ProviderCall:
    """The call of a request, which gets a whole address."""
    if request.url.is_relative_url:
        request.url = httpx.URL(calls.api().absolute(str(request.url)))
        # It was made of an address without a host.
        request.headers["Host"] = request.url.netloc.decode("ascii")
    by, wait = request.extensions.pop(_WAIT, (None, None))
    # What it left there itself counts no more: it is sent anew, and not redirected.
    wait = None if by == id(request) else wait
    return calls.begin(str(request.url), request.headers.get("host"), wait)


def _answer(call: ProviderCall, request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """An answer for the caller, without the token where it redirects.

    It leaves no cookie with the client, which could not send it back with a mere path.
    """
    call.leave_out(response.headers)
    response.headers.pop("set-cookie", None)
    if response.has_redirect_location:
        request.extensions[_WAIT] = (id(request), call.wait)
    return response


def _sent(request: httpx.Request, placed: Placed) -> httpx.Request:
    """The request that leaves, with the token."""
    headers, stream = httpx.Headers(request.headers), request.stream
    if placed.header is not None:
        headers[placed.header[0]] = placed.header[1]
    return httpx.Request(
        request.method,
        placed.url,
        headers=headers,
        stream=stream,
        extensions=request.extensions,
    )


def _authorize(request: httpx.Request, placed: Placed) -> None:
    if placed.header is None or placed.header[0].lower() != _AUTHORIZATION:
        raise NotTheProvider(
            "this provider takes its token elsewhere than in the Authorization header, and a redirect would "
            "hand it on: use ProviderTransport"
        )
    request.headers[placed.header[0]] = placed.header[1]


def _resendable(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)


async def _again(call: ProviderCall, response: httpx.Response, *, resendable: bool) -> bool:
    """`ProviderCall.again`, in a worker thread where it may ask somebody."""

    def ask() -> bool:
        return call.again(response.status_code, response.headers, resendable=resendable)

    return await anyio.to_thread.run_sync(ask)
