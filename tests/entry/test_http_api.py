"""Events in, responses out: whatever comes, the browser gets a page and the log one line."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Failure, Reason
from mooring.core.visit import Result, Visit
from mooring.entry.http_api import (
    HEADERS,
    Browser,
    Line,
    Response,
    came_through,
    redirect,
    request_id,
    respond,
    visit_from,
    where,
)
from mooring.entry.pages import Branding, Pages
from tests.entry.events import event

PAGES = Pages(Branding("Shopfront"), {"acme": "Acme"})
CONNECTED = Result(
    "connected", "acme", "Acme", "m-1", location="https://app.example.com/x", cookies=("a=1", "b=2")
)
REDIRECTED = CONNECTED._replace(outcome="redirected")
ASKED = Result("asked", "acme", "Acme", "m-1", page="confirm_return")


def run(
    flow: Callable[[Visit, str], Result], request: dict[str, Any] | None = None
) -> tuple[Response, Line, list[Line]]:
    lines: list[Line] = []
    browser = Browser("/callback/", {"acme"}.__contains__, PAGES.question, PAGES.failure, lines.append)
    response = respond(event() if request is None else request, flow, browser)
    return response, lines[-1], lines


def raising(error: Exception) -> Callable[[Visit, str], Result]:
    def flow(visit: Visit, ref: str) -> Result:
        raise error

    return flow


def ending(result: Result) -> Callable[[Visit, str], Result]:
    def flow(visit: Visit, ref: str) -> Result:
        return result

    return flow


def test_a_visit_has_what_a_flow_looks_at() -> None:
    request = event(
        "/callback/acme/",
        "code=c&state=s",
        "POST",
        cookies=["a=1", "b=2"],
        headers={"Sec-Fetch-Site": "none", "X-Y": "z"},
    )
    assert visit_from(request, "/callback/") == Visit(
        "POST", "acme", "code=c&state=s", ["a=1", "b=2"], {"sec-fetch-site": "none", "x-y": "z"}
    )


EMPTY = Visit("", "", "", [], {})


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"headers": None, "cookies": None, "requestContext": None, "rawPath": None, "rawQueryString": None},
        {"requestContext": {"http": None}, "headers": []},
        {"requestContext": "x", "headers": "y", "cookies": "a=1"},
        {"httpMethod": "GET", "path": "/callback/acme", "queryStringParameters": {"code": "c"},
        "multiValueHeaders": {},
         "requestContext": {"httpMethod": "GET", "requestId": None}},
    ],
    ids=["nothing", "nulls", "null http", "other types", "REST v1"],
)  # fmt: skip
def test_what_is_null_absent_or_of_another_shape_counts_as_empty(request_: dict[str, Any]) -> None:
    assert visit_from(request_, "/callback/") == EMPTY
    assert request_id(request_) == ""
    response, line, lines = run(raising(AssertionError("no flow may run")), request_)
    assert (response["statusCode"], line.reason, len(lines)) == (405, "method_not_allowed", 1)


@pytest.mark.parametrize(
    ("path", "provider"),
    [
        ("/callback/acme", "acme"),
        ("/callback/acme/", "acme"),
        ("/callback/acme//", ""),
        ("/callback//acme", ""),
        ("/callback/acme/x", ""),
        ("/callback/", ""),
        ("/callback", ""),
        ("/callback/ACME", ""),
        ("/callback/../../etc/passwd", ""),
        ("/callback/%2e%2e%2f", ""),
        ("/callback/acme%00", ""),
        ("/callback/__proto__", ""),
        ("/callback/" + "a" * 300, ""),
        ("/callback/\u0430cme", ""),
        ("/authorize/acme", ""),
        ("", ""),
    ],
)
def test_the_provider_in_a_path(path: str, provider: str) -> None:
    assert visit_from(event(path), "/callback/").provider == provider


def test_a_body_is_never_read_plain_or_base64() -> None:
    body: dict[str, Any] = {"body": "c3RhdGU9cyZjb2RlPWM=", "isBase64Encoded": True}
    assert visit_from(event(method="POST", **body), "/callback/").query == ""
    assert visit_from(event(method="POST", body="state=s&code=c"), "/callback/").query == ""


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "get", ""])
def test_other_methods_run_no_flow(method: str) -> None:
    response, line, _ = run(raising(AssertionError("no flow may run")), event(method=method))
    assert (response["statusCode"], line.outcome, line.reason) == (405, "failed", "method_not_allowed")


@pytest.mark.parametrize(
    ("result", "method", "status"),
    [(REDIRECTED, "GET", 302), (REDIRECTED, "POST", 303), (CONNECTED, "GET", 303), (CONNECTED, "POST", 303)],
)
def test_a_redirect_never_repeats_a_body(result: Result, method: str, status: int) -> None:
    assert redirect(result, method) == {
        "statusCode": status,
        "headers": {**HEADERS, "location": "https://app.example.com/x"},
        "cookies": ["a=1", "b=2"],
        "body": "",
    }


def test_every_answer_forbids_caching_sniffing_and_referers() -> None:
    for flow in (
        ending(CONNECTED),
        ending(ASKED),
        raising(Failure(Reason.INTERNAL)),
        raising(OSError()),
    ):
        headers = run(flow)[0]["headers"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert headers["strict-transport-security"].startswith("max-age=")


def test_a_success_is_one_line() -> None:
    response, line, lines = run(ending(CONNECTED))
    assert (response["statusCode"], len(lines)) == (303, 1)
    assert (line.outcome, line.status, line.request_id, line.provider, line.merchant_id) == (
        "connected", 303, "req-1", "acme", "m-1",
    )  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{10}", line.ref)


def test_the_flow_the_page_and_the_line_share_one_reference() -> None:
    seen: list[str] = []

    def flow(visit: Visit, ref: str) -> Result:
        seen.append(ref)
        raise Failure(Reason.CODE_MISSING)

    response, line, _ = run(flow)
    assert [line.ref] == seen
    assert f"<code>{line.ref}</code>" in response["body"]
    assert run(flow)[1].ref != line.ref


def test_a_question_is_a_page() -> None:
    response, line, _ = run(ending(ASKED))
    assert (response["statusCode"], line.outcome, line.status) == (200, "asked", 200)
    assert '<form method="post">' in response["body"]


@pytest.mark.parametrize("reason", list(Reason))
def test_each_failure_is_a_page_and_a_line_with_its_reason_and_status(reason: Reason) -> None:
    failure = Failure(reason, "fixed detail")
    response, line, lines = run(raising(failure))
    assert (response["statusCode"], line.status) == (failure.status, failure.status)
    assert (line.outcome, line.reason, line.detail, len(lines)) == ("failed", reason.value, "fixed detail", 1)


@pytest.mark.parametrize(
    ("path", "provider"), [("/callback/acme", "acme"), ("/callback/unknown", None), ("/x", None)]
)
def test_only_an_enabled_provider_is_named_in_the_line(path: str, provider: str | None) -> None:
    assert run(raising(Failure(Reason.STATE_MISSING)), event(path))[1].provider == provider


def test_the_unexpected_is_a_page_and_a_line_without_the_errors_text() -> None:
    response, line, _ = run(raising(ValueError("canary-secret")))
    assert (response["statusCode"], line.reason, line.detail) == (500, "internal", "ValueError")
    assert line.alarm == "Defect"
    assert re.fullmatch(r"http_api\.py:\d+ > test_http_api\.py:\d+", str(line.at))
    assert "canary" not in f"{response}{line}"


def test_where_keeps_the_innermost_frames_only() -> None:
    def deep(level: int) -> None:
        if level == 0:
            raise KeyError("canary-secret")
        deep(level - 1)

    with pytest.raises(KeyError) as caught:
        deep(9)
    assert where(caught.value).count(" > ") == 3
    assert "canary" not in where(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["headers", "cookies", "requestContext", "rawPath", "rawQueryString", "body", "isBase64Encoded"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_any_event_is_answered(request_: dict[str, Any]) -> None:
    response, line, lines = run(ending(CONNECTED), request_)
    assert (response["statusCode"], len(lines)) == (line.status, 1)


@pytest.mark.parametrize(
    ("headers", "hashes", "welcome"),
    [
        ({}, (), True),
        ({"x-origin-secret": "old"}, ("old", "new"), True),
        ({"x-origin-secret": "new"}, ("old", "new"), True),
        ({"x-origin-secret": "other"}, ("old", "new"), False),
        ({"x-origin-secret": ""}, ("old",), False),
        ({}, ("old",), False),
    ],
)
def test_with_an_origin_secret_only_the_cdn_gets_through(
    headers: dict[str, str], hashes: tuple[str, ...], welcome: bool
) -> None:
    assert came_through(headers, [sha256(secret.encode()).hexdigest() for secret in hashes]) is welcome


def test_who_came_around_the_cdn_reaches_no_flow() -> None:
    lines: list[Line] = []
    flow = raising(AssertionError("reached"))
    refusing = Browser(
        "/callback/", bool, PAGES.question, PAGES.failure, lines.append, lambda _headers: False
    )
    response = respond(event(), flow, refusing)
    assert (response["statusCode"], lines[0].reason) == (403, "origin_unknown")
