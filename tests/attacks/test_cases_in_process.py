"""Each recorded attack: the HTTP answer, the calls that the provider saw, the rows in the stores."""

import json
from pathlib import Path
from typing import Any

import pytest

from mooring.core.ports import HttpResponse
from tests.attacks.stack import Stack
from tests.core.signing import APP, RETURN_TO, signed
from tests.flows.world import Browser, sent

CASES: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "cases.json").read_text("utf-8"))


def cases(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", CASES[kind], ids=lambda case: case["id"])


def refused(stack: Stack, response: dict[str, Any], reason: str, status: int) -> None:
    """A page with its reason; no way to anywhere else; no call, no row, one line with the same reason."""
    assert (response["statusCode"], "location" in response["headers"]) == (status, False)
    assert f"<code>{reason}</code>" in response["body"]
    assert response["headers"]["content-type"] == "text/html; charset=utf-8"
    assert response["headers"]["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in response["body"]
    assert "evil" not in f"{response}".lower()
    assert not any(char in f"{value}" for value in response["headers"].values() for char in "\r\n")
    assert json.loads(stack.logs.splitlines()[-1])["reason"] == reason


def nothing_happened(stack: Stack) -> bool:
    return not stack.http.requests and stack.world.nothing_connected()


@cases("return_to")
def test_return_to(case: dict[str, Any]) -> None:
    stack, browser = Stack(), Browser()
    response = stack.get("/authorize/acme", f"link={signed(return_to=case['input'])}", browser)
    refused(stack, response, "return_to_not_allowed", 400)
    assert (browser.jar, stack.world.journal) == ({}, [])


def test_redir_35_no_origins_allow_nothing() -> None:
    stack = Stack(origins=())
    refused(stack, stack.get("/authorize/acme", f"link={signed()}", Browser()), "return_to_not_allowed", 400)


@cases("callback")
def test_callback(case: dict[str, Any]) -> None:
    stack, browser = Stack(), Browser()
    state = stack.started(browser, "acme", signed())
    if case["cookies"] in ("none", "other"):
        browser = Browser()
    if case["cookies"] == "other":
        stack.started(browser, "acme", signed(jti="jti-2"))
    changes = {"cookies": browser.cookies() * 2} if case["cookies"] == "twice" else {}
    path, query = f"/callback/{case['provider']}", case["query"].replace("{state}", state)
    request = {"rawPath": path, "rawQueryString": query, "headers": {}, **changes}
    response = stack.get("/callback/x", "", browser, **request)
    refused(stack, response, case["reason"], case["status"])
    assert nothing_happened(stack)
    assert stack.world.journal == []


@cases("issuer")
def test_issuer(case: dict[str, Any]) -> None:
    stack, browser = Stack(), Browser()
    state = stack.started(browser, "issuer", signed(provider="issuer"))
    response = stack.get("/callback/issuer", f"code=c&state={state}{case['input']}", browser)
    refused(stack, response, "issuer_mismatch", 400)
    assert nothing_happened(stack)


@cases("authorize_extra")
def test_authorize_extra(case: dict[str, Any]) -> None:
    stack, browser = Stack(), Browser()
    response = stack.get("/authorize/acme", f"link={signed()}{case['input']}", browser)
    assert response["statusCode"] == 302
    assert not any(word in response["headers"]["location"] for word in ("evil", "admin", "none", "token&"))
    assert sent(response["headers"]["location"])["client_id"] == "acme-client"
    state = browser.flows()[0].state
    back = stack.get(
        "/callback/acme", f"code=c&state={state}{case['input'].replace('&state=evil', '')}", browser
    )
    assert back["headers"]["location"].startswith(
        f"{RETURN_TO}?connection=acme%23default&status=connected&ref="
    )
    assert list(stack.world.connections.rows) == [("m-1", "acme#default")]


@cases("authorize_headers")
def test_authorize_headers(case: dict[str, Any]) -> None:
    stack, browser = Stack(), Browser()
    response = stack.get("/authorize/acme", f"link={signed()}", browser, headers=case["input"])
    assert (
        sent(response["headers"]["location"])["redirect_uri"] == "https://connect.example.com/callback/acme"
    )
    assert "; Secure; HttpOnly; SameSite=Lax" in response["cookies"][0]


def body_of(case: dict[str, Any]) -> bytes:
    body = case["body"]
    text = body if isinstance(body, str) else body[0] + body[1] * body[2] + body[3]
    return str(text).encode()


@cases("token_answer")
def test_token_answer(case: dict[str, Any]) -> None:
    location = {"location": "https://evil.example/"}
    stack, browser = Stack(HttpResponse(case["status"], location, body_of(case))), Browser()
    state = stack.started(browser, "acme", signed())
    response = stack.get("/callback/acme", f"code=c&state={state}", browser)
    assert f"<code>{case['reason']}</code>" in response["body"]
    assert response["statusCode"] >= 400
    assert [request.url for request in stack.http.requests] == ["https://acme.example/token"]
    assert stack.world.nothing_connected()
    assert "at-1" not in response["body"] + stack.logs
    again = stack.get("/callback/acme", f"code=c&state={state}", browser)
    assert (again["statusCode"], len(stack.http.requests)) == (400, 1)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT"])
def test_state_20_and_21_other_methods_consume_nothing(method: str) -> None:
    stack, browser = Stack(), Browser()
    state = stack.started(browser, "acme", signed())
    body = {"body": f"code=c&state={state}"}
    response = stack.get("/callback/acme", f"code=c&state={state}", browser, method, **body)
    refused(stack, response, "method_not_allowed", 405)
    assert nothing_happened(stack)
    assert stack.get("/callback/acme", f"code=c&state={state}", browser)["statusCode"] == 303


def test_state_16_a_forced_link_connects_nothing_without_the_merchants_wish() -> None:
    stack, browser = Stack(), Browser()
    headers = {"sec-fetch-site": "cross-site", "referer": "https://evil.example/"}
    asked = stack.get("/authorize/acme", f"link={signed()}", browser, headers=headers)
    assert (asked["statusCode"], browser.jar, "location" in asked["headers"]) == (200, {}, False)
    own = {"sec-fetch-site": "same-origin", "origin": "https://connect.example.com"}
    answered = stack.get("/authorize/acme", f"link={signed()}", browser, "POST", headers=own)
    assert (answered["statusCode"], len(browser.jar)) == (303, 1)


def test_redir_36_the_way_back_carries_nothing_of_the_flow() -> None:
    stack, browser = Stack(), Browser()
    return_to = f"{APP}/a?x=%2F&y=1#frag/ment?z"
    state = stack.started(browser, "acme", signed(return_to=return_to))
    verifier = browser.flows()[0].verifier
    location = stack.get("/callback/acme", f"code=c0de&state={state}", browser)["headers"]["location"]
    assert location.startswith(f"{APP}/a?x=%2F&y=1&connection=acme%23default&status=connected&ref=")
    assert location.endswith("#frag/ment?z")
    assert not any(secret in location for secret in ("c0de", state, verifier, "at-1"))


def test_hdr_01_encoded_line_breaks_stay_encoded() -> None:
    stack, browser = Stack(), Browser()
    return_to = f"{APP}/a%0d%0aSet-Cookie:x=1"
    state = stack.started(browser, "acme", signed(return_to=return_to))
    response = stack.get("/callback/acme", f"code=c&state={state}", browser)
    assert response["headers"]["location"].startswith(f"{return_to}?connection=")
    assert all(cookie.startswith("__Host-mooring-flow.") for cookie in response["cookies"])


def test_pkce_04_the_verifier_is_always_sent() -> None:
    stack, browser = Stack(), Browser()
    state = stack.started(browser, "issuer", signed(provider="issuer"))
    verifier = browser.flows()[0].verifier
    stack.get("/callback/issuer", f"code=c&state={state}&iss=https://acme.example", browser)
    assert f"code_verifier={verifier}".encode() in (stack.http.requests[0].body or b"")
