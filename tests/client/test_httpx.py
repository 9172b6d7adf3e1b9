"""The same with httpx: transports that place the token beneath the client, and the auth class."""

import logging
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from mooring.client.errors import NeedsReconnect, NotTheProvider, RateLimited
from mooring.client.httpx import AsyncProviderTransport, ProviderAuth, ProviderTransport
from mooring.client.testing import FakeConnections
from tests.client.conftest import MERCHANT, PROVIDER
from tests.client.provider import Answer, ProviderServer
from tests.fakes.clock import FakeClock

Send = Callable[..., httpx.Response]
"""A GET or POST through some client: method, address, and what `httpx.Client.request` takes."""


def _through(kind: str, connections: FakeConnections) -> Send:
    """One request through a client of a kind."""

    def sync(method: str, url: str, **more: Any) -> httpx.Response:
        auth = ProviderAuth(connections, MERCHANT, PROVIDER) if kind == "auth" else None
        transport = None if auth else ProviderTransport(connections, MERCHANT, PROVIDER)
        with httpx.Client(auth=auth, transport=transport, trust_env=False) as client:
            return client.request(method, url, **more)

    async def asynchronous(method: str, url: str, more: dict[str, Any]) -> httpx.Response:
        auth = ProviderAuth(connections, MERCHANT, PROVIDER) if kind == "async auth" else None
        transport = None if auth else AsyncProviderTransport(connections, MERCHANT, PROVIDER)
        async with httpx.AsyncClient(auth=auth, transport=transport, trust_env=False) as client:
            return await client.request(method, url, **more)

    def in_a_loop(method: str, url: str, **more: Any) -> httpx.Response:
        return anyio.run(asynchronous, method, url, more)

    return in_a_loop if kind.startswith("async") else sync


every_kind = pytest.mark.parametrize("kind", ["transport", "async transport", "auth", "async auth"])
every_transport = pytest.mark.parametrize("kind", ["transport", "async transport"])


@pytest.fixture
def send(kind: str, connections: FakeConnections, connected: str) -> Send:
    return _through(kind, connections)


@every_kind
def test_a_request_has_the_token(send: Send, provider: ProviderServer, connected: str) -> None:
    answer = send("POST", f"{provider.base_url}things", json={"a": 1}, headers={"X-More": "1"})
    assert (answer.status_code, provider.bearers) == (200, [connected])
    assert (provider.asked[0].body, provider.asked[0].headers["x-more"]) == (b'{"a":1}', "1")
    assert provider.asked[0].headers["host"] == provider.host


@every_transport
def test_a_path_is_appended_and_the_token_is_on_nothing_that_comes_back(
    send: Send, provider: ProviderServer, connected: str
) -> None:
    answer = send("GET", "things?a=b")
    assert provider.asked[0].target == "/api/things?a=b"
    assert provider.asked[0].headers["host"] == provider.host
    assert provider.bearers == [connected]
    assert "authorization" not in answer.request.headers


@every_transport
def test_a_token_in_the_query_is_in_no_log(
    connections: FakeConnections, provider: ProviderServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    connections.api(PROVIDER, provider.base_url, where="query", name="access_token", prefix="")
    connections.connect(MERCHANT, PROVIDER, access_token="canary-of-the-query")
    with caplog.at_level(logging.DEBUG):
        answer = _through(kind, connections)("GET", f"{provider.base_url}things")
    assert provider.asked[0].target == "/api/things?access_token=canary-of-the-query"
    assert str(answer.url) == f"{provider.base_url}things"
    assert any(record.name == "httpx" for record in caplog.records)
    assert not [line for line in caplog.messages if "canary" in line]


@every_kind
def test_a_401_is_reported_and_the_request_sent_again(
    send: Send, provider: ProviderServer, connections: FakeConnections
) -> None:
    provider.answers = [Answer(401)]
    assert send("POST", f"{provider.base_url}things", content=b"body").status_code == 200
    assert [asked.body for asked in provider.asked] == [b"body"] * 2
    assert (len(set(provider.bearers)), connections.calls_made.count("report")) == (2, 1)
    provider.judge = lambda _: Answer(401)
    assert send("GET", f"{provider.base_url}things").status_code == 401


@every_transport
def test_a_stream_is_not_sent_again(
    send: Send, provider: ProviderServer, connections: FakeConnections, kind: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"

    provider.judge = lambda _: Answer(401)
    content: Any = chunks() if kind.startswith("async") else iter([b"a"])
    headers = {"Content-Length": "1"}
    assert send("POST", "things", content=content, headers=headers).status_code == 401
    assert (len(provider.asked), connections.calls_made.count("report")) == (1, 1)


@every_kind
def test_a_connection_that_ends_says_so(
    send: Send, provider: ProviderServer, connections: FakeConnections
) -> None:
    connections.connect(MERCHANT, PROVIDER, expires_in=None, refreshes=False)
    provider.judge = lambda _: Answer(401)
    for _ in range(2):
        assert send("GET", f"{provider.base_url}things").status_code == 401
    with pytest.raises(NeedsReconnect):
        send("GET", f"{provider.base_url}things")


@every_kind
def test_the_token_goes_to_nobody_else(send: Send, provider: ProviderServer) -> None:
    with ProviderServer() as stranger:
        for url in (f"http://{stranger.host}/x", "https://evil.example/", f"http://u:p@{provider.host}/"):
            with pytest.raises(NotTheProvider):
                send("GET", url)
        with pytest.raises(NotTheProvider, match="Host header"):
            send("GET", f"{provider.base_url}things", headers={"Host": "evil.example"})
        assert (stranger.asked, provider.asked) == ([], [])


@every_transport
def test_a_redirect_elsewhere_is_not_followed(send: Send, provider: ProviderServer) -> None:
    with ProviderServer() as stranger:
        provider.judge = lambda _: Answer(302, {"Location": f"http://{stranger.host}/x"})
        with pytest.raises(NotTheProvider):
            send("GET", "things", follow_redirects=True)
        assert send("GET", "things").status_code == 302
        assert stranger.asked == []


@every_kind
def test_a_redirect_within_the_provider_is_followed_with_the_token(
    send: Send, provider: ProviderServer, connected: str
) -> None:
    provider.answers = [Answer(302, {"Location": "/elsewhere"})]
    assert send("GET", f"{provider.base_url}things", follow_redirects=True).status_code == 200
    assert provider.bearers == [connected] * 2


@pytest.mark.parametrize("kind", ["auth", "async auth"])
def test_the_auth_class_gives_nothing_to_whom_a_redirect_leads(
    send: Send, provider: ProviderServer, connections: FakeConnections
) -> None:
    with ProviderServer() as stranger:
        stranger.judge = lambda _: Answer(401)
        provider.judge = lambda _: Answer(302, {"Location": f"http://{stranger.host}/x"})
        answer = send("GET", f"{provider.base_url}things", follow_redirects=True)
        assert (answer.status_code, stranger.bearers) == (401, [""])
    assert "report" not in connections.calls_made, "it was not the provider who said 401"


@pytest.mark.parametrize("kind", ["auth", "async auth"])
@pytest.mark.parametrize("place", [{"name": "X-Token", "prefix": ""}, {"where": "query", "name": "token"}])
def test_the_auth_class_is_for_the_authorization_header_only(
    send: Send, provider: ProviderServer, connections: FakeConnections, place: dict[str, str]
) -> None:
    connections.api(PROVIDER, provider.base_url, **place)  # type: ignore[arg-type]
    with pytest.raises(NotTheProvider, match="use ProviderTransport"):
        send("GET", f"{provider.base_url}things")
    assert provider.asked == []


@pytest.mark.parametrize("kind", ["transport", "auth"])
def test_a_pause_is_waited_for(send: Send, provider: ProviderServer, clock: FakeClock) -> None:
    began = clock()
    provider.answers = [Answer(429, {"Retry-After": "20"})]
    assert send("GET", f"{provider.base_url}things").status_code == 200
    assert clock() - began == 20


def test_a_request_and_its_redirects_wait_no_longer_in_all(
    connections: FakeConnections, connected: str, provider: ProviderServer, clock: FakeClock
) -> None:
    pause, began = Answer(429, {"Retry-After": "20"}), clock()
    provider.answers = [pause, Answer(302, {"Location": "/next"}), pause]
    transport = ProviderTransport(connections, MERCHANT, PROVIDER)
    with httpx.Client(transport=transport, follow_redirects=True) as client:
        request = client.build_request("GET", "things")
        with pytest.raises(RateLimited, match="20 seconds"):
            client.send(request)
        assert clock() - began == 20
        clock.advance(20)
        for _ in range(2):
            provider.answers = [pause]
            assert client.send(request).status_code == 200, "sent anew, it may wait as long again"


def test_so_they_do_without_holding_up_the_loop(provider: ProviderServer) -> None:
    real = FakeConnections()
    real.api(PROVIDER, provider.base_url)
    real.connect(MERCHANT, PROVIDER)
    pause = Answer(429, {"Retry-After": "1"}, b"")
    provider.answers = [pause, Answer(302, {"Location": "/next"}), pause]

    async def ask() -> None:
        transport = AsyncProviderTransport(real, MERCHANT, PROVIDER, max_wait=1.5)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            with pytest.raises(RateLimited):
                await client.get("things")

    anyio.run(ask)
    assert len(provider.asked) == 3


@every_kind
def test_a_pause_that_does_not_fit_raises(send: Send, provider: ProviderServer) -> None:
    provider.answers = [Answer(429, {"Retry-After": "31"})]
    with pytest.raises(RateLimited):
        send("GET", f"{provider.base_url}things")
    with pytest.raises(RateLimited):
        send("GET", f"{provider.base_url}things")
    assert len(provider.asked) == 1


@pytest.mark.parametrize("kind", ["async transport", "async auth"])
def test_a_pause_is_waited_for_without_holding_up_the_loop(provider: ProviderServer, kind: str) -> None:
    real = FakeConnections()
    real.api(PROVIDER, provider.base_url)
    real.connect(MERCHANT, PROVIDER)
    provider.answers = [Answer(429, {"Retry-After": "1"})]
    assert _through(kind, real)("GET", f"{provider.base_url}things").status_code == 200
    assert len(provider.asked) == 2


@every_transport
def test_an_exception_quotes_nothing(connections: FakeConnections, connected: str, kind: str) -> None:
    connections.api(PROVIDER, "http://127.0.0.1:9/", where="query", name="token", prefix="")
    with pytest.raises(httpx.ConnectError) as failed:
        _through(kind, connections)("GET", "things")
    assert connected not in f"{failed.value!r}{failed.value.request.url}{failed.value.request.headers}"


def test_a_provider_that_sets_a_cookie_can_be_asked_again(
    connections: FakeConnections, connected: str, provider: ProviderServer
) -> None:
    cookie = Answer(200, {"Set-Cookie": "a=1; Path=/"})

    async def twice() -> None:
        transport = AsyncProviderTransport(connections, MERCHANT, PROVIDER)
        async with httpx.AsyncClient(transport=transport) as client:
            assert [(await client.get("things")).status_code for _ in range(2)] == [200, 200]

    provider.answers = [cookie]
    with httpx.Client(transport=ProviderTransport(connections, MERCHANT, PROVIDER)) as client:
        assert [client.get("things").status_code for _ in range(2)] == [200, 200]
    provider.answers = [cookie]
    anyio.run(twice)
    assert not [asked for asked in provider.asked if "cookie" in asked.headers]


@every_transport
def test_a_redirect_that_repeats_the_query_does_not_bring_the_token_back(
    connections: FakeConnections, provider: ProviderServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    connections.api(PROVIDER, provider.base_url, where="query", name="access_token", prefix="")
    connections.connect(MERCHANT, PROVIDER, access_token="canary")
    provider.answers = [Answer(301, {"Location": "/api/things/?a=b&access_token=canary"})]
    with caplog.at_level(logging.DEBUG, "httpx"):
        answer = _through(kind, connections)("GET", "things?a=b", follow_redirects=True)
    assert provider.asked[1].target == "/api/things/?a=b&access_token=canary"
    assert str(answer.url) == f"{provider.base_url}things/?a=b"
    assert not [each for each in answer.history if "canary" in str(each.headers)]
    assert not [line for line in caplog.messages if "canary" in line]


class Stream(httpx.AsyncByteStream):
    """The body of an answer; knows whether it was closed, as a pool has to."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"refused"

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed = True


def test_a_cancelled_request_gives_its_connection_back(connections: FakeConnections, connected: str) -> None:
    body = Stream()

    async def cancelled() -> None:
        async def handler(_request: httpx.Request) -> httpx.Response:
            scope.cancel()  # while the 401 is reported
            return httpx.Response(401, stream=body)

        inner = httpx.MockTransport(handler)
        transport = AsyncProviderTransport(connections, MERCHANT, PROVIDER, transport=inner)
        async with httpx.AsyncClient(transport=transport) as client:
            with anyio.CancelScope() as scope:
                await client.get("things")
        assert scope.cancelled_caught

    anyio.run(cancelled)
    assert body.closed


def test_what_the_auth_class_has_is_not_pickled(connections: FakeConnections) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ProviderAuth(connections, MERCHANT, PROVIDER))


def test_transports_of_ones_own_are_used(connections: FakeConnections, connected: str) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=_chunk())

    def _chunk() -> Iterator[bytes]:
        yield b"{}"

    inner = httpx.MockTransport(handler)
    transport = ProviderTransport(connections, MERCHANT, PROVIDER, max_wait=1, transport=inner)
    with httpx.Client(transport=transport) as client:
        assert client.get("things").content == b"{}"
    assert seen[0].headers["authorization"] == f"Bearer {connected}"
