"""The local HTTP API against what a real one does, over real sockets, with the toy function behind it."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from local.gateway import Gateway
from local.runtime import FunctionSpec, InvocationResult, RuntimePool
from local.template import Route, TemplateError, routes, translate
from tests.local.test_sigv4 import signed
from tests.local.toybox import (
    CREDENTIALS,
    PACKAGES,
    PARAMETERS,
    TOYS,
    Answer,
    bound,
    call,
    event_of,
    send_raw,
    until,
)

SIGNED = "/merchants/m-1/connections"
pytestmark = pytest.mark.xdist_group("local-gateway")


@dataclass
class Api:
    """A gateway with the toy behind it, and what it reported."""

    port: int
    reported: list[tuple[str, InvocationResult]] = field(default_factory=list)

    def get(self, target: str, headers: dict[str, str] | None = None) -> Answer:
        return call(self.port, "GET", target, headers)

    def sign(self, method: str, target: str, body: bytes = b"") -> Answer:
        request = signed(method, target, body=body)
        # The signature covers the host that `signed` wrote, so it is sent as it is.
        return call(self.port, method, target, dict(request.headers), body)


@pytest.fixture(scope="module")
def toy_routes() -> list[Route]:
    return routes(translate(TOYS / "template.yaml", PARAMETERS))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, toy_routes: list[Route]) -> Iterator[Api]:
    spec = FunctionSpec("toy", (TOYS / "echo", PACKAGES), timeout_seconds=2)
    listener = bound()
    running = Api(listener.getsockname()[1])
    with RuntimePool(spec, log_path=tmp_path_factory.mktemp("logs") / "toy.log") as pool:
        gateway = Gateway(
            TOYS / "template.yaml",
            PARAMETERS,
            routes=toy_routes,
            pools={"EchoFunction": pool},
            credentials=CREDENTIALS,
            listener=listener,
            report=lambda *given: running.reported.append(given),
        )
        gateway.start()
        yield running
        gateway.stop()


def test_the_event_says_what_was_asked(api: Api) -> None:
    answer = api.get("/open/n?a=1", {"User-Agent": "toy/1", "X-Own": "One"})
    event = event_of(answer)
    assert (answer.status, answer.all("content-type")) == (200, ["application/json"])
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "GET /open/{name}", "/open/n")
    assert event["pathParameters"] == {"name": "n"}
    assert event["headers"]["x-own"] == "One"
    assert event["headers"]["host"] == f"127.0.0.1:{api.port}"
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    http = event["requestContext"]["http"]
    assert (http["method"], http["path"], http["sourceIp"]) == ("GET", "/open/n", "127.0.0.1")
    assert (http["protocol"], http["userAgent"]) == ("HTTP/1.1", "toy/1")
    assert abs(event["requestContext"]["timeEpoch"] / 1000 - time.time()) < 10
    assert event["requestContext"]["stage"] == "$default"
    assert event["isBase64Encoded"] is False
    assert {"body", "cookies"}.isdisjoint(event)
    assert "authorizer" not in event["requestContext"]


@pytest.mark.parametrize(
    "query",
    [
        "code=a&code=b&state=",
        "a=%2B+%20%26%3d&b=%C3%A9",
        "x=%00&y=%FF%FE",
        "link=a.b-c_d~&empty&=v&&",
        "code=" + "c" * 10_000,
    ],
)
def test_the_query_arrives_as_it_was_sent(api: Api, query: str) -> None:
    event = event_of(api.get(f"/open/n?{query}"))
    assert event["rawQueryString"] == query


def test_repeated_parameters_are_joined_only_in_the_convenience_field(api: Api) -> None:
    event = event_of(api.get("/open/n?code=a&code=b&state="))
    assert event["queryStringParameters"] == {"code": "a,b", "state": ""}
    assert parse_qs(event["rawQueryString"])["code"] == ["a", "b"]
    assert "queryStringParameters" not in event_of(api.get("/open/n"))


def test_cookies_are_a_list_and_not_a_header(api: Api) -> None:
    event = event_of(api.get("/open/n", {"Cookie": "__Host-a=1=2; b=; c=d%20e"}))
    assert event["cookies"] == ["__Host-a=1=2", "b=", "c=d%20e"]
    assert "cookie" not in event["headers"]


def test_repeated_headers_are_joined_and_names_lowered(api: Api) -> None:
    headers = b"X-Two: a\r\nx-two: b\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"
    received = send_raw(api.port, b"GET /open/n HTTP/1.1\r\nHost: localhost\r\n" + headers)
    event = json.loads(received.partition(b"\r\n\r\n")[2])["event"]
    assert event["headers"]["x-two"] == "a,b"
    assert event["cookies"] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("content_type", "body", "seen", "encoded"),
    [
        ("application/json", b'{"a": "\xc3\xa9"}', '{"a": "é"}', False),
        ("text/plain; charset=utf-8", b"x", "x", False),
        ("application/x-www-form-urlencoded", b"a=1&b=2", "YT0xJmI9Mg==", True),
        ("application/octet-stream", b"\x00\xff", "AP8=", True),
        (None, b"x", "eA==", True),
    ],
)
def test_bodies_are_base64_unless_they_are_text(
    api: Api, content_type: str | None, body: bytes, seen: str, encoded: bool
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    event = event_of(call(api.port, "POST", "/open/n", headers, body))
    assert (event["body"], event["isBase64Encoded"]) == (seen, encoded)


def test_a_chunked_body_arrives_whole(api: Api) -> None:
    head = b"POST /open/n HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
    received = send_raw(
        api.port, head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert json.loads(received.partition(b"\r\n\r\n")[2])["event"]["body"] == "abcde"


@pytest.mark.parametrize(
    ("target", "raw_path", "rest"),
    [
        ("/greedy/notifyvisitors/", "/greedy/notifyvisitors/", "notifyvisitors/"),
        ("/greedy/a/b//c", "/greedy/a/b//c", "a/b//c"),
        ("/greedy/a%20b%2Fc", "/greedy/a b/c", "a b/c"),
    ],
)
def test_a_greedy_route_takes_everything(api: Api, target: str, raw_path: str, rest: str) -> None:
    event = event_of(api.get(target))
    assert (event["rawPath"], event["pathParameters"]) == (raw_path, {"rest": rest})
    assert event["routeKey"] == "GET /greedy/{rest+}"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("GET", "/open/n/"),
        ("GET", "/open//n"),
        ("GET", "/open/"),
        ("GET", "/open/a/b"),
        ("GET", "/greedy/"),
        ("GET", "/greedy"),
        ("POST", "/greedy/a"),
        ("OPTIONS", "/open/n"),
        ("DELETE", "/open/n"),
        ("PROPFIND", "/open/n"),
        ("GET", "/static/logo.png"),
    ],
)
def test_whatever_has_no_route_is_not_found(api: Api, method: str, target: str) -> None:
    answer = call(api.port, method, target, body=b"left unread" if method == "POST" else None)
    assert (answer.status, json.loads(answer.body)) == (404, {"message": "Not Found"})
    assert answer.all("content-type") == ["application/json"]
    assert answer.all("apigw-requestid")


def test_head_has_no_route_either(api: Api) -> None:
    answer = call(api.port, "HEAD", "/open/n")
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /open/\xc3\xa9 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"GET http://localhost/open/n HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"POST /open/n HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"GET /open/n HTTP/1.1\r\nHost: rebound.example\r\n\r\n", b"403"),
        (b"GET /open/n HTTP/1.1\r\n\r\n", b"403"),
    ],
)
def test_what_is_not_a_request_for_this_api_gets_no_further(api: Api, raw: bytes, status: bytes) -> None:
    before = len(api.reported)
    assert send_raw(api.port, raw).split(b" ")[1] == status
    assert len(api.reported) == before


def test_a_body_over_ten_megabytes_is_refused(api: Api) -> None:
    answer = call(api.port, "POST", "/open/n", {"Content-Type": "text/plain"}, b"x" * (10 * 1024 * 1024 + 1))
    assert answer.status == 413


def test_a_signed_route_tells_the_function_who_calls(api: Api) -> None:
    answer = api.sign("GET", f"{SIGNED}?limit=2")
    assert answer.status == 200
    assert event_of(answer)["requestContext"]["authorizer"]["iam"]["accessKey"] == "AKTOY"
    posted = api.sign("POST", SIGNED, b'{"generation": 1}')
    assert posted.status == 200


def test_a_signed_route_refuses_everybody_else(api: Api) -> None:
    before = len(api.reported)
    genuine = dict(signed("GET", SIGNED).headers)
    tampered = {**genuine, "Authorization": genuine["Authorization"][:-1] + "x"}
    old = {**genuine, "X-Amz-Date": "20200101T000000Z"}
    other_key = dict(signed("GET", SIGNED, key="AKOTHER").headers)
    for headers in ({}, tampered, old, other_key, {"Authorization": "Bearer x"}):
        answer = api.get(SIGNED, headers)
        assert (answer.status, json.loads(answer.body)) == (403, {"message": "Forbidden"})
    changed = call(api.port, "POST", SIGNED, dict(signed("POST", SIGNED, body=b"a").headers), b"b")
    assert changed.status == 403
    assert len(api.reported) == before


def test_cookies_of_an_answer_become_headers_of_their_own(api: Api) -> None:
    answer = api.get("/open/n?do=cookies")
    assert answer.status == 303
    assert answer.all("location") == ["https://example.com/?a=b%20c"]
    assert answer.all("set-cookie") == ["a=1; Path=/; HttpOnly", "b=2; Path=/; Secure"]


def test_a_base64_answer_is_sent_as_bytes(api: Api) -> None:
    answer = api.get("/open/n?do=binary")
    assert (answer.all("content-type"), answer.body) == (["application/octet-stream"], bytes(range(256)))


@pytest.mark.parametrize("do", ["raise", "exit", "nonsense", "bad_header", "not_a_thing"])
def test_a_function_that_fails_is_an_internal_server_error(api: Api, do: str) -> None:
    answer = api.get(f"/open/n?do={do}")
    assert (answer.status, json.loads(answer.body)) == (500, {"message": "Internal Server Error"})
    assert answer.all("x-b") == []


def test_an_answer_that_speaks_of_errors_is_still_an_answer(api: Api) -> None:
    answer = api.get("/open/n?do=error_shaped")
    assert (answer.status, json.loads(answer.body)) == (200, {"errorType": "a", "errorMessage": "b"})


def test_a_function_over_its_own_time_is_an_internal_server_error(api: Api) -> None:
    answer = api.get("/open/n?seconds=10")
    assert (answer.status, json.loads(answer.body)) == (500, {"message": "Internal Server Error"})


def test_a_function_over_the_apis_time_is_unavailable_and_goes_on(api: Api) -> None:
    before = len(api.reported)
    started = time.monotonic()
    answer = api.get("/impatient?seconds=1")
    assert (answer.status, json.loads(answer.body)) == (503, {"message": "Service Unavailable"})
    assert 0.3 <= time.monotonic() - started < 0.9
    until(lambda: len(api.reported) >= before + 1)
    assert api.reported[-1][1].error is None


def test_requests_are_served_at_the_same_time(api: Api) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(api.get, ["/open/n?seconds=0.8"] * 4))
    assert [answer.status for answer in answers] == [200] * 4
    assert time.monotonic() - started < 4 * 0.8


def test_every_invocation_is_reported_once(api: Api) -> None:
    before = len(api.reported)
    api.get("/open/n")
    api.get("/open/n?do=raise")
    until(lambda: len(api.reported) >= before + 2)
    (name, fine), (_, raised) = api.reported[before:]
    assert (name, fine.error, raised.error) == ("EchoFunction", None, "ValueError")


def test_routes_that_sam_cli_does_not_serve_are_said_out_loud(toy_routes: list[Route]) -> None:
    unknown = Route("GET", "/elsewhere", "EchoFunction", iam=False, timeout_ms=1000)
    with bound() as listener, pytest.raises(TemplateError, match="GET /elsewhere"):
        Gateway(
            TOYS / "template.yaml",
            PARAMETERS,
            routes=[*toy_routes, unknown],
            pools={},
            credentials={},
            listener=listener,
            report=lambda *_: None,
        )


def test_nothing_is_printed(api: Api, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for target in ("/open/n", "/nothing", "/open/n?do=raise", SIGNED):
        api.get(target)
    assert capfd.readouterr() == ("", "")
