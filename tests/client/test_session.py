"""A session of requests: the token is on the wire and nowhere else, and what the provider says is heeded."""

import io
import logging
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from mooring.client.errors import (
    Disconnected,
    NeedsReconnect,
    NotTheProvider,
    RateLimited,
    SetupError,
    TokenUnavailable,
)
from mooring.client.session import TIMEOUT_SECONDS, ProviderSession
from mooring.client.testing import FakeConnections
from mooring.core.provider import RateLimit
from tests.client.conftest import MERCHANT, PROVIDER
from tests.client.provider import Answer, ProviderServer
from tests.fakes.clock import FakeClock

LIMIT = RateLimit(5, 1, "account", "RateLimit-Remaining", "RateLimit-Reset")


class Recording(BaseAdapter):
    """An adapter that sends nothing, as a user may mount one."""

    def __init__(self, status: int = 200) -> None:
        super().__init__()
        self.sent: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []
        self._status = status

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        self.sent.append(request)
        self.options.append(options)
        response = requests.Response()
        response.status_code, response.request, response.url = self._status, request, str(request.url)
        response.raw = io.BytesIO(b"")
        return response

    def close(self) -> None:
        """Nothing is open."""


class Broken(Recording):
    """It says too much when it fails."""

    def send(self, request: requests.PreparedRequest, **_options: Any) -> requests.Response:  # type: ignore[override]
        raise RuntimeError(f"could not send {request.headers} to {request.url}")


@pytest.fixture
def session(connections: FakeConnections, connected: str) -> Iterator[ProviderSession]:
    with connections.session(MERCHANT, PROVIDER) as session:
        yield session


# where the token is


def test_the_token_is_on_the_wire_and_nowhere_else(
    session: ProviderSession, provider: ProviderServer, connected: str
) -> None:
    seen: list[requests.Response] = []
    session.hooks["response"].append(lambda response, **_: seen.append(response))
    answer = session.get("things", headers={"X-More": "1"})
    assert provider.bearers == [connected]
    assert provider.asked[0].headers["x-more"] == "1"
    for response in (answer, *seen):
        assert response.request.headers["X-More"] == "1"
        assert connected not in f"{response.request.headers}{response.url}{vars(response.request)}"
    assert connected not in f"{session.headers}{vars(session)}"
    assert session.base_url == provider.base_url


@pytest.mark.usefixtures("audible")
def test_a_token_in_the_query_is_in_no_address_that_comes_back(
    connections: FakeConnections, provider: ProviderServer, caplog: pytest.LogCaptureFixture
) -> None:
    connections.api(PROVIDER, provider.base_url, where="query", name="access_token", prefix="")
    token = connections.connect(MERCHANT, PROVIDER, access_token="canary/+ of the query")
    caplog.set_level(logging.DEBUG)
    with connections.session(MERCHANT, PROVIDER) as session:
        answer = session.get("things?a=b")
        assert provider.asked[0].target == "/api/things?a=b&access_token=canary%2F%2B%20of%20the%20query"
        assert answer.url == answer.request.url == f"{provider.base_url}things?a=b"
        assert "canary" not in f"{vars(answer.raw)}{answer!r}"
        session.mount("http://", Broken())
        with pytest.raises(requests.ConnectionError) as failed:
            session.get("things")
    assert "canary" not in f"{failed.value}{failed.value!r}{vars(failed.value)}"
    lines = [record.getMessage() for record in caplog.records]
    assert any("/api/things?a=b" in line and "***" in line for line in lines)
    assert not [line for line in lines if "canary" in line or token in line]


@pytest.mark.usefixtures("audible")
def test_a_token_in_the_query_is_in_no_warning_of_a_malformed_header(
    connections: FakeConnections, provider: ProviderServer, caplog: pytest.LogCaptureFixture
) -> None:
    connections.api(PROVIDER, provider.base_url, where="query", name="access_token", prefix="")
    connections.connect(MERCHANT, PROVIDER, access_token="canary")
    provider.answers = [Answer(200, {"Connection": "close", "X-Broken": "1\r\na line without a colon"})]
    with connections.session(MERCHANT, PROVIDER) as session:
        session.get("things")
    assert any("access_token=***" in line for line in caplog.messages)
    assert "canary" not in caplog.text


def test_a_redirect_that_repeats_the_query_does_not_bring_the_token_back(
    connections: FakeConnections, provider: ProviderServer
) -> None:
    connections.api(PROVIDER, provider.base_url, where="query", name="access_token", prefix="")
    connections.connect(MERCHANT, PROVIDER, access_token="canary")
    provider.answers = [Answer(301, {"Location": "/api/things/?a=b&access_token=canary"})]
    with connections.session(MERCHANT, PROVIDER) as session:
        answer = session.get("things", params={"a": "b"})
        assert [asked.target for asked in provider.asked] == [
            "/api/things?a=b&access_token=canary",
            "/api/things/?a=b&access_token=canary",
        ]
        assert answer.url == f"{provider.base_url}things/?a=b"
        provider.answers = [Answer(302, {"Location": "https://elsewhere.example/?access_token=canary&c=d"})]
        elsewhere = session.get("things")
    assert elsewhere.headers["Location"] == "https://elsewhere.example/?c=d"
    assert elsewhere.raw.headers["Location"] == "https://elsewhere.example/?c=d"
    told = [answer, *answer.history, elsewhere]
    assert not [each for each in told if "canary" in f"{each.url}{each.request.url}{each.headers}"]
    assert not [each for each in told if "canary" in str(each.raw.headers)]


def test_a_session_moves_to_the_account_that_is_connected_now(
    connections: FakeConnections, session: ProviderSession, provider: ProviderServer
) -> None:
    session.get("things")
    connections.end(MERCHANT, PROVIDER, status="disconnected")
    other = connections.connect(MERCHANT, PROVIDER, "shop-2")
    assert session.get("things").status_code == 200
    assert provider.bearers[-1] == other


def test_a_session_does_not_take_another_accounts_token_to_an_address_of_this_one(
    connections: FakeConnections, session: ProviderSession, provider: ProviderServer
) -> None:
    session.get("things")
    connections.end(MERCHANT, PROVIDER, status="disconnected")
    connections.connect(MERCHANT, PROVIDER, "shop-2")
    connections.api(PROVIDER, f"{provider.base_url}shop-2/")
    with pytest.raises(Disconnected):
        session.get("things")
    assert len(provider.asked) == 1


def test_a_session_of_a_named_account_stays_with_it(
    connections: FakeConnections, provider: ProviderServer, connected: str
) -> None:
    with connections.session(MERCHANT, PROVIDER, "default") as session:
        session.get("things")
        connections.end(MERCHANT, PROVIDER, status="disconnected")
        connections.connect(MERCHANT, PROVIDER, "shop-2")
        with pytest.raises(Disconnected):
            session.get("things")
    assert provider.bearers == [connected]


def test_an_exception_has_the_callers_own_request(connections: FakeConnections) -> None:
    connections.api(PROVIDER, "http://127.0.0.1:9/")
    token = connections.connect(MERCHANT, PROVIDER)
    with (
        connections.session(MERCHANT, PROVIDER) as session,
        pytest.raises(requests.ConnectionError) as failed,
    ):
        session.post("things", data=b"x")
    error = failed.value
    assert isinstance(error.request, requests.PreparedRequest)
    assert error.request.body == b"x"
    assert "Authorization" not in error.request.headers
    assert (error.__context__, error.__cause__) == (None, None)
    own = failed.value.__traceback__
    frames, found = own and own.tb_next, 0
    while frames is not None:
        found += 1
        shown = {name: repr(value) for name, value in frames.tb_frame.f_locals.items()}
        assert not [name for name, text in shown.items() if token in text]
        frames = frames.tb_next
    assert found > 3


def test_what_an_adapter_of_the_users_own_raises_quotes_nothing(
    session: ProviderSession, connected: str
) -> None:
    session.mount("http://", Broken())
    with pytest.raises(requests.ConnectionError, match="RuntimeError: could not send") as failed:
        session.get("things")
    assert connected not in f"{failed.value!r}"
    assert "***" in str(failed.value)


def test_a_mounted_adapter_is_used_and_alone_sees_the_token(session: ProviderSession, connected: str) -> None:
    adapter = Recording()
    session.mount("http://", adapter)
    session.headers["Authorization"] = "Basic of somebody else"
    answer = session.get("things")
    assert adapter.sent[0].headers["Authorization"] == f"Bearer {connected}"
    assert answer.request.headers["Authorization"] == "Basic of somebody else"
    assert adapter.options[0]["timeout"] == TIMEOUT_SECONDS
    session.get("things", timeout=3)
    assert adapter.options[1]["timeout"] == 3


def test_another_header_is_used_where_the_provider_wants_one(
    connections: FakeConnections, provider: ProviderServer
) -> None:
    connections.api(PROVIDER, provider.base_url, name="X-Token", prefix="")
    token = connections.connect(MERCHANT, PROVIDER)
    with connections.session(MERCHANT, PROVIDER) as session:
        session.get("things", auth=("user", "password"), headers={"x-token": "mine"})
    assert provider.asked[0].headers["x-token"] == token
    assert provider.asked[0].headers["authorization"].startswith("Basic ")


def test_a_token_is_refreshed_before_it_ends(
    session: ProviderSession, provider: ProviderServer, clock: FakeClock
) -> None:
    for _ in range(3):
        assert session.get("things").ok
        clock.advance(3_550)
    assert len(set(provider.bearers)) == 3


def test_a_session_is_not_pickled(session: ProviderSession) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(session)


# a 401


def test_a_401_is_reported_and_the_request_sent_again(
    session: ProviderSession, provider: ProviderServer, connections: FakeConnections
) -> None:
    provider.answers = [Answer(401)]
    assert session.put("things", data={"a": "b"}).status_code == 200
    assert [asked.body for asked in provider.asked] == [b"a=b", b"a=b"]
    assert len(set(provider.bearers)) == 2
    assert connections.calls_made.count("report") == 1


def test_a_second_401_is_the_answer(session: ProviderSession, provider: ProviderServer) -> None:
    provider.judge = lambda _: Answer(401, body=b"no")
    answer = session.get("things")
    assert (answer.status_code, answer.content, len(provider.asked)) == (401, b"no", 2)


def test_a_file_is_sent_again_from_where_it_began(
    session: ProviderSession, provider: ProviderServer, tmp_path: Path
) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"skipped, then the body")
    provider.answers = [Answer(401)]
    with path.open("rb") as file:
        file.seek(14)
        assert session.post("things", data=file).ok
    assert [asked.body for asked in provider.asked] == [b"the body"] * 2


def test_what_cannot_be_sent_again_is_reported_all_the_same(
    session: ProviderSession, connections: FakeConnections
) -> None:
    adapter = Recording(401)
    session.mount("http://", adapter)
    assert session.post("things", data=iter([b"a", b"b"])).status_code == 401
    assert (len(adapter.sent), connections.calls_made.count("report")) == (1, 1)


def test_the_third_401_in_a_row_raises_where_nothing_can_be_refreshed(
    session: ProviderSession, provider: ProviderServer, connections: FakeConnections
) -> None:
    connections.connect(MERCHANT, PROVIDER, expires_in=None, refreshes=False)
    provider.judge = lambda _: Answer(401)
    assert [session.get("things").status_code for _ in range(2)] == [401, 401]
    with pytest.raises(NeedsReconnect, match="token_refused"):
        session.get("things")
    assert len(provider.asked) == 3


def test_while_the_api_is_out_a_401_is_healed_by_what_the_table_has(
    session: ProviderSession, provider: ProviderServer, connections: FakeConnections
) -> None:
    session.get("things")
    with connections.outage("api"):
        provider.judge = lambda _: Answer(401)
        assert session.get("things").status_code == 401
        assert len(provider.asked) == 2
        newer = ""

        def refreshed(_asked: object) -> Answer:
            nonlocal newer
            newer = newer or connections.refresh(MERCHANT, PROVIDER)
            return Answer(200 if provider.bearers[-1] == newer else 401)

        provider.judge = refreshed
        assert session.get("things").status_code == 200
    with connections.outage("api", "table"):
        provider.judge = lambda _: Answer(401)
        assert session.get("things").status_code == 401


# redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_provider_is_followed_with_the_token(
    session: ProviderSession, provider: ProviderServer, connected: str, status: int
) -> None:
    provider.answers = [Answer(status, {"Location": "/elsewhere?x=1"})]
    answer = session.get("things")
    assert (answer.status_code, len(answer.history)) == (200, 1)
    assert provider.asked[1].target == "/elsewhere?x=1"
    assert provider.bearers == [connected] * 2


@pytest.mark.parametrize("location", ["http://{stranger}/x", "//{stranger}/x", "http://{own}@{stranger}/x"])
def test_a_redirect_elsewhere_is_the_answer(
    session: ProviderSession, provider: ProviderServer, location: str
) -> None:
    with ProviderServer() as stranger:
        target = location.format(stranger=stranger.host, own=provider.host)
        provider.judge = lambda _: Answer(302, {"Location": target})
        answer = session.get("things", allow_redirects=True)
        assert (answer.status_code, answer.headers["location"]) == (302, target)
        assert (len(provider.asked), stranger.asked) == (1, []), "not even without the token"


# what a requests.Session usually takes along


def test_no_cookie_is_kept(session: ProviderSession, provider: ProviderServer) -> None:
    provider.answers = [
        Answer(302, {"Location": "/next", "Set-Cookie": "a=1; Path=/"}),
        Answer(200, {"Set-Cookie": "b=2; Path=/"}),
    ]
    session.get("things")
    session.get("things")
    assert not [asked for asked in provider.asked if "cookie" in asked.headers]


def test_the_environment_has_no_say(
    connections: FakeConnections,
    connected: str,
    provider: ProviderServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with connections.session(MERCHANT, PROVIDER) as session:
        assert session.get("things").ok
        session.trust_env = True
        with pytest.raises(NotTheProvider, match="a proxy would see the token"):
            session.get("things")
    assert provider.bearers == [connected]


def test_an_unchecked_certificate_is_refused(session: ProviderSession, provider: ProviderServer) -> None:
    with pytest.raises(NotTheProvider, match="certificate"):
        session.get("things", verify=False)
    session.verify = False
    with pytest.raises(NotTheProvider, match="certificate"):
        session.get("things")
    assert provider.asked == []


def test_a_host_header_of_somebody_else_is_refused(
    session: ProviderSession, provider: ProviderServer
) -> None:
    session.headers["Host"] = "evil.example"
    with pytest.raises(NotTheProvider, match="Host header"):
        session.get("things")
    assert provider.asked == []


def test_an_address_that_is_refused_costs_no_read_of_a_token(
    session: ProviderSession, connections: FakeConnections
) -> None:
    session.get("things")
    before = list(connections.calls_made)
    with pytest.raises(NotTheProvider):
        session.get("https://evil.example/")
    assert connections.calls_made == before


# limits


def test_a_pause_that_fits_is_waited_for(
    session: ProviderSession, provider: ProviderServer, clock: FakeClock
) -> None:
    began = clock()
    provider.answers = [Answer(429, {"Retry-After": "20"})]
    assert session.get("things").status_code == 200
    assert (clock() - began, len(provider.asked)) == (20, 2)


def test_a_pause_that_does_not_fit_raises_and_nothing_more_is_sent(
    session: ProviderSession, provider: ProviderServer, clock: FakeClock, connections: FakeConnections
) -> None:
    provider.answers = [Answer(429, {"Retry-After": "31"})]
    for _ in range(2):
        with pytest.raises(RateLimited, match="31 seconds") as refused:
            session.get("things")
        assert refused.value.retry_after == 31
    assert len(provider.asked) == 1
    with connections.session(MERCHANT, PROVIDER, max_wait=60) as patient:
        assert patient.get("things").ok
    clock.advance(31)
    assert session.get("things").ok


def test_a_request_and_its_redirects_wait_no_longer_in_all(
    session: ProviderSession, provider: ProviderServer, clock: FakeClock
) -> None:
    pause, began = Answer(429, {"Retry-After": "20"}), clock()
    provider.answers = [pause, Answer(302, {"Location": "/next"}), pause]
    with pytest.raises(RateLimited, match="20 seconds"):
        session.get("things")
    assert clock() - began == 20
    clock.advance(20)
    provider.answers = [pause]
    assert session.get("things").ok, "the next request may wait as long again"


def test_so_they_do_where_the_caller_follows(
    session: ProviderSession, provider: ProviderServer, clock: FakeClock
) -> None:
    pause = Answer(429, {"Retry-After": "20"})
    provider.answers = [pause, Answer(302, {"Location": "/next"}), pause]
    following = session.get("things", allow_redirects=False).next
    assert following is not None
    with pytest.raises(RateLimited, match="20 seconds"):
        session.send(following)


def test_a_429_that_says_nothing_is_the_answer(session: ProviderSession, provider: ProviderServer) -> None:
    provider.judge = lambda _: Answer(429)
    assert session.get("things").status_code == 429
    provider.judge = lambda _: Answer(429, {"Retry-After": "1"})
    assert session.get("things").status_code == 429
    assert len(provider.asked) == 3


@pytest.mark.parametrize(("per", "waits"), [("account", False), ("app", True)])
def test_a_used_up_limit_holds_up_all_that_it_counts(
    connections: FakeConnections, provider: ProviderServer, clock: FakeClock, per: str, waits: bool
) -> None:
    connections.api(PROVIDER, provider.base_url, rate_limit=LIMIT._replace(per=per))
    for account in ("shop-1", "shop-2"):
        connections.connect(MERCHANT, PROVIDER, account)
    provider.answers = [Answer(200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "9"})]
    sessions = [connections.session(MERCHANT, PROVIDER, account) for account in ("shop-1", "shop-2")]
    assert sessions[0].get("things").ok
    began = clock()
    assert sessions[1].get("things").ok
    assert clock() - began == (9 if waits else 0)
    assert sessions[0].get("things").ok
    assert clock() - began == 9
    for session in sessions:
        session.close()


def test_merchants_whose_accounts_have_no_names_do_not_hold_each_other_up(
    session: ProviderSession, provider: ProviderServer, connections: FakeConnections, clock: FakeClock
) -> None:
    connections.connect("m-2", PROVIDER)
    provider.answers = [Answer(429, {"Retry-After": "86400"})]
    with pytest.raises(RateLimited):
        session.get("things")
    with connections.session("m-2", PROVIDER) as other:
        assert other.get("things").ok


def test_threads_wait_side_by_side(
    connections: FakeConnections, connected: str, provider: ProviderServer
) -> None:
    provider.answers = [Answer(429, {"Retry-After": "5"})] * 4
    found: list[int] = []

    def ask() -> None:
        with connections.session(MERCHANT, PROVIDER) as own:
            found.append(own.get("things").status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert set(found) <= {200, 429}


# what is known of the provider's API


def test_how_the_api_is_used_is_asked_once_an_hour(
    session: ProviderSession, connections: FakeConnections, provider: ProviderServer, clock: FakeClock
) -> None:
    for _ in range(3):
        session.get("things")
    assert connections.calls_made.count("token") == 1
    clock.advance(1_800)
    connections.api(PROVIDER, "https://moved.example/")
    assert session.base_url == provider.base_url
    clock.advance(1_801)
    with connections.outage("api"):
        assert session.base_url == provider.base_url, "what is known counts while nobody can be asked"
    clock.advance(3_600)
    assert session.base_url == "https://moved.example/"


def test_without_the_api_a_new_session_cannot_know(connections: FakeConnections, connected: str) -> None:
    with (
        connections.outage("api"),
        connections.session(MERCHANT, PROVIDER) as session,
        pytest.raises(TokenUnavailable),
    ):
        session.get("things")


def test_a_path_needs_a_base_url(connections: FakeConnections) -> None:
    connections.api(PROVIDER, None, hosts=("api.acme.example",))
    connections.connect(MERCHANT, PROVIDER)
    adapter = Recording()
    with connections.session(MERCHANT, PROVIDER) as session:
        session.mount("https://", adapter)
        with pytest.raises(SetupError):
            session.get("things")
        assert session.get("https://api.acme.example/things").ok
    assert len(adapter.sent) == 1


# after a fork


def _in_the_child(session: ProviderSession, inherited: int, told: Any) -> None:
    adapter = session.adapters["http://"]
    status = session.get("things").status_code
    assert isinstance(adapter, HTTPAdapter)
    told.send((status, id(adapter.poolmanager) != inherited, os.getpid()))
    told.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_uses_no_socket_of_its_parent(session: ProviderSession, provider: ProviderServer) -> None:
    assert session.get("things").ok
    adapter = session.adapters["http://"]
    assert isinstance(adapter, HTTPAdapter)
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=_in_the_child, args=(session, id(adapter.poolmanager), there)
    )
    process.start()
    there.close()
    assert here.poll(60), "the child did not answer"
    status, own_pool, child = here.recv()
    process.join(60)
    assert (status, own_pool, child != os.getpid(), process.exitcode) == (200, True, True, 0)
    assert session.get("things").ok
    assert len(set(provider.bearers)) == 1
