"""Each misbehaviour really happens, seen from a plain socket or a plain HTTP client."""

import gzip
import json
import socket
import time
from typing import Any

import pytest
import requests

from local.simulators import SimulatorConfig, start_simulator
from local.simulators.misbehave import BOMB_BYTES, DEPTH, HUGE_BYTES, MODES, WORKING
from tests.simulators.drive import Driver, Start

TOKEN_FIELD = {"notifyvisitors": "App_access_token"}
ON_THE_WIRE = {"silence", "reset", "drip_body", "drip_headers"}


def ask(driver: Driver, mode: str, endpoint: str = "token") -> requests.Response:
    driver.misbehave(endpoint, mode)
    answer = driver.get(driver.spec.api_path) if endpoint == "api" else driver.token({"a": "b"})
    assert driver.last_call() == (endpoint, mode)
    return answer


def token_in(driver: Driver, answer: requests.Response) -> Any:
    return answer.json()[TOKEN_FIELD.get(driver.provider, "access_token")]


def raw_request(driver: Driver, mode: str, seconds: float) -> tuple[bytes, list[float]]:
    """Send a token call over a bare socket; what came within `seconds`, and when each piece came."""
    driver.misbehave("token", mode)
    host, port = driver.base_url.removeprefix("http://").split(":")
    head = f"POST {driver.spec.token_path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 0\r\n\r\n"
    received, arrivals, start = b"", [], time.monotonic()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode())
        while (left := start + seconds - time.monotonic()) > 0:
            connection.settimeout(left)
            try:
                piece = connection.recv(65_536)
            except TimeoutError:
                break
            if not piece:
                raise AssertionError("the simulator closed the connection")
            received += piece
            arrivals.append(time.monotonic() - start)
    return received, arrivals


def test_an_error_with_status_200(driver: Driver) -> None:
    answer = ask(driver, "error_200")
    assert answer.status_code == 200
    assert answer.json().get("status") == "error" or answer.json()["error"] == "invalid_grant"


def test_a_page_with_status_200(driver: Driver) -> None:
    answer = ask(driver, "html_200")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_an_empty_and_a_missing_token(driver: Driver) -> None:
    assert token_in(driver, ask(driver, "empty_token")) == ""
    answer = ask(driver, "missing_token")
    assert answer.status_code == 200
    assert "access_token" not in answer.text


def test_a_huge_body(driver: Driver) -> None:
    assert len(ask(driver, "huge").content) > HUGE_BYTES


def test_a_redirect_and_the_count_of_those_who_followed(driver: Driver) -> None:
    answer = ask(driver, "redirect")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/elsewhere")
    assert driver.get("/_sim/elsewhere").json() == {"count": 0}
    driver.misbehave("token", "redirect")
    requests.post(driver.base_url + driver.spec.token_path, data={"a": "b"}, timeout=10)
    assert driver.get("/_sim/elsewhere").json() == {"count": 1}


@pytest.mark.parametrize(
    ("mode", "status", "header"),
    [
        ("http_500", 500, None),
        ("http_503", 503, None),
        ("http_429", 429, "Retry-After"),
        ("invalid_client", 401, None),
        ("invalid_grant", 400, None),
    ],
)
def test_error_statuses(driver: Driver, mode: str, status: int, header: str | None) -> None:
    answer = ask(driver, mode)
    assert answer.status_code == status
    assert isinstance(answer.json(), dict)
    assert header is None or int(answer.headers[header]) > 0


def test_json_that_cannot_be_read(driver: Driver) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(ask(driver, "truncated_json").content)
    deep = ask(driver, "deep_json").content
    assert deep.count(b"[") == DEPTH
    with pytest.raises(RecursionError):
        json.loads(deep)


def test_wrong_types(driver: Driver) -> None:
    answer = ask(driver, "wrong_types")
    assert isinstance(token_in(driver, answer), dict)
    assert answer.json()["expires_in"] == "soon"


def test_a_small_answer_that_unpacks_to_a_large_one(driver: Driver) -> None:
    driver.misbehave("token", "gzip_bomb")
    url = driver.base_url + driver.spec.token_path
    with requests.post(url, data={"a": "b"}, timeout=10, stream=True) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = answer.raw.read(decode_content=False)
    assert len(packed) < 1_000_000 < BOMB_BYTES < len(gzip.decompress(packed))


def test_a_byte_order_mark_before_a_genuine_answer(driver: Driver) -> None:
    body = driver.token_body(driver.code())
    driver.misbehave("token", "bom")
    answer = driver.token(body)
    assert answer.content.startswith(b"\xef\xbb\xbf{")
    (live,) = driver.live_tokens()
    assert live["access_token"] in json.loads(answer.content.decode("utf-8-sig")).values()


def test_an_answer_that_is_lost_was_issued_all_the_same(driver: Driver) -> None:
    body = driver.token_body(driver.code())
    driver.misbehave("token", "lost")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        driver.token(body)
    assert driver.last_call() == ("token", "issued")
    assert len(driver.live_tokens()) == 1
    assert driver.refused(driver.token(body))


@pytest.mark.parametrize(("mode", "head_ends"), [("drip_body", True), ("drip_headers", False)])
def test_a_slow_drip(start: Start, mode: str, head_ends: bool) -> None:
    received, arrivals = raw_request(start("xeno"), mode, 2.2)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (b"\r\n\r\n" in received) is head_ends
    assert 3 <= len(arrivals) <= 6
    assert received.endswith(b"aa")


def test_silence(start: Start) -> None:
    received, _ = raw_request(start("xeno"), "silence", 1.0)
    assert received == b""


def test_a_reset(start: Start) -> None:
    with pytest.raises(ConnectionResetError):
        raw_request(start("xeno"), "reset", 5.0)


def test_a_reset_that_meets_an_http_client(start: Start) -> None:
    driver = start("whatconverts")
    driver.misbehave("token", "reset")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        driver.token({"a": "b"})


def test_stop_ends_an_answer_that_never_ends() -> None:
    simulator = start_simulator("xeno", SimulatorConfig("id", "secret", "http://127.0.0.1/"))
    wish = {"endpoint": "token", "mode": "drip_body"}
    requests.post(f"{simulator.base_url}/_sim/misbehave", json=wish, timeout=5)
    with requests.post(f"{simulator.base_url}/oauth/token", timeout=5, stream=True) as answer:
        simulator.stop()
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _ = answer.content


def test_a_client_that_leaves_frees_its_connection_at_once(start: Start) -> None:
    driver = start("xeno")
    driver.misbehave("token", "silence")
    host, port = driver.base_url.removeprefix("http://").split(":")
    head = b"POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(5)
        assert connection.recv(1) == b""


def test_a_misbehaving_token_call_leaves_the_code_unspent(driver: Driver) -> None:
    body = driver.token_body(driver.code())
    driver.misbehave("token", "http_503", times=2)
    assert [driver.token(body).status_code for _ in range(2)] == [503, 503]
    assert not driver.refused(driver.token(body))


def test_modes_are_shown_in_the_order_in_which_they_were_planned(driver: Driver) -> None:
    driver.misbehave("api", "http_500")
    driver.misbehave("api", "html_200")
    statuses = [driver.get(driver.spec.api_path).status_code for _ in range(3)]
    assert statuses == [500, 200, 401]


@pytest.mark.parametrize("mode", sorted(MODES - ON_THE_WIRE - WORKING))
def test_every_mode_works_on_the_api_as_well(driver: Driver, mode: str) -> None:
    assert ask(driver, mode, "api").status_code != 401 or mode == "invalid_client"


def test_the_api_can_lose_what_names_the_account(start: Start) -> None:
    assert ask(start("xeno"), "missing_token", "api").json()["team"] == {}
