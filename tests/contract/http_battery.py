"""What every implementation of the HTTP port must do."""

from collections.abc import Callable
from typing import Protocol

import pytest

from mooring.core.ports import HttpClient, HttpFault, HttpRequest, HttpResponse

SECRET = "canary-secret-91cc"


class Wire(Protocol):
    """The port, and a server behind it that answers as told."""

    @property
    def http(self) -> HttpClient:
        """The port."""

    @property
    def host(self) -> str:
        """The server: `host:port`, reached by http."""

    def answer(self, answer: HttpResponse) -> None:
        """Let the server give this answer next."""

    def hang_up(self) -> None:
        """Let the server close the connection instead of answering next."""

    def requests(self) -> int:
        """How many requests went out to the server."""


class HttpBattery:
    """Inherit it, and give the fixture `wire`."""

    @pytest.fixture
    def wire(self) -> Wire:
        raise NotImplementedError

    @pytest.fixture
    def post(self, wire: Wire) -> Callable[..., HttpRequest]:
        def build(**changes: object) -> HttpRequest:
            headers = {"Content-Type": "application/json"}
            base = HttpRequest(
                "POST", f"http://{wire.host}/token", headers, SECRET.encode(), (wire.host,), True, 5.0
            )
            return base._replace(**changes)  # type: ignore[arg-type]

        return build

    def test_an_answer_comes_back_whole(self, wire: Wire, post: Callable[..., HttpRequest]) -> None:
        wire.answer(HttpResponse(201, {"content-type": "application/json", "x-one": "1"}, b'{"a": 1}'))
        answer = wire.http.send(post())
        assert (answer.status, answer.body) == (201, b'{"a": 1}')
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-one"] == "1"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_an_answer_and_is_not_followed(
        self, wire: Wire, post: Callable[..., HttpRequest], status: int
    ) -> None:
        wire.answer(HttpResponse(status, {"location": f"http://{wire.host}/elsewhere"}, b""))
        assert wire.http.send(post()).status == status
        assert wire.requests() == 1

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
    def test_an_error_status_is_an_answer_and_is_not_repeated(
        self, wire: Wire, post: Callable[..., HttpRequest], status: int
    ) -> None:
        wire.answer(HttpResponse(status, {}, b"no"))
        assert wire.http.send(post()).status == status
        assert wire.requests() == 1

    @pytest.mark.parametrize(
        "url",
        [
            "http://other.example/token",
            "https://{host}.evil.example/token",
            "http://user@{host}/token",
            "http://{host}:1/token",
            "http:///token",
            "ftp://{host}/token",
            "file:///etc/passwd",
            "//{host}/token",
            "",
        ],
    )
    def test_a_host_that_is_not_pinned_is_never_asked(
        self, wire: Wire, post: Callable[..., HttpRequest], url: str
    ) -> None:
        with pytest.raises(HttpFault) as caught:
            wire.http.send(post(url=url.format(host=wire.host)))
        assert (caught.value.kind, caught.value.sent) == ("refused_address", False)
        assert wire.requests() == 0

    def test_http_is_only_for_local_requests(self, wire: Wire, post: Callable[..., HttpRequest]) -> None:
        with pytest.raises(HttpFault) as caught:
            wire.http.send(post(local=False))
        assert (caught.value.kind, caught.value.sent) == ("refused_address", False)
        assert wire.requests() == 0

    @pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\r\n\r\nGET / HTTP/1.1"])
    def test_a_header_cannot_carry_a_second_one(
        self, wire: Wire, post: Callable[..., HttpRequest], value: str
    ) -> None:
        for headers in ({"Authorization": value}, {value: "x"}):
            with pytest.raises(HttpFault) as caught:
                wire.http.send(post(headers=headers))
            assert (caught.value.kind, caught.value.sent) == ("refused_request", False)
        assert wire.requests() == 0

    def test_a_body_may_have_256_kib_and_no_more(self, wire: Wire, post: Callable[..., HttpRequest]) -> None:
        wire.answer(HttpResponse(200, {}, b"x" * 262_144))
        assert len(wire.http.send(post()).body) == 262_144
        wire.answer(HttpResponse(200, {}, b"x" * 262_145))
        with pytest.raises(HttpFault) as caught:
            wire.http.send(post())
        assert (caught.value.kind, caught.value.sent) == ("too_large", True)

    def test_a_lost_answer_is_said_and_not_repeated(
        self, wire: Wire, post: Callable[..., HttpRequest]
    ) -> None:
        wire.hang_up()
        with pytest.raises(HttpFault) as caught:
            wire.http.send(post())
        assert (caught.value.kind, caught.value.sent) == ("broken", True)
        assert wire.requests() == 1

    def test_a_fault_tells_nothing_of_the_request(self, wire: Wire, post: Callable[..., HttpRequest]) -> None:
        wire.hang_up()
        with pytest.raises(HttpFault) as caught:
            wire.http.send(post(headers={"Authorization": SECRET}))
        fault = caught.value
        assert SECRET not in f"{fault!r} {fault} {fault.args}"
        assert fault.__cause__ is None
        assert fault.__suppress_context__ or fault.__context__ is None
