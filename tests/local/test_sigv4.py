"""Signatures: made by botocore as a client makes them, then changed in every way that matters."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.request import HttpRequest
from local.sigv4 import SignatureRefusedError, verify
from tests.local.toybox import CREDENTIALS

TARGET = "/merchants/m-1/connections/yotpo/shop%3A1/token?min_ttl=60&b=%20x&b=a"


def signed(
    method: str = "GET",
    target: str = TARGET,
    *,
    body: bytes = b"",
    service: str = "execute-api",
    region: str = "us-east-1",
    secret: str = "toy-key",
    key: str = "AKTOY",
    headers: dict[str, str] | None = None,
    session_token: str | None = None,
) -> HttpRequest:
    """A request as a service would send it."""
    request = AWSRequest(method, f"http://127.0.0.1:8000{target}", headers=headers or {}, data=body)
    SigV4Auth(Credentials(key, secret, session_token), service, region).add_auth(request)
    wire = {**dict(request.headers.items()), "Host": "127.0.0.1:8000", "User-Agent": "not signed"}
    return HttpRequest(method, target, tuple(wire.items()), body)


def check(request: HttpRequest, *, later: float = 0, session_tokens: Mapping[str, str] | None = None) -> str:
    """Verify, `later` seconds from now."""
    now = datetime.now(UTC) + timedelta(seconds=later)
    return verify(
        request, credentials=CREDENTIALS, region="us-east-1", now=now, session_tokens=session_tokens
    )


@pytest.mark.parametrize("later", [0, 290, -290])
def test_a_genuine_signature_names_its_key(later: float) -> None:
    assert check(signed(), later=later) == "AKTOY"


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/", b""),
        ("POST", "/merchants/m-1/connections/a/b/unauthorized", b'{"generation":1}'),
        ("GET", "/merchants/a%20b/connections?x=1&x=2&a=", b""),
        ("DELETE", "/merchants/caf%C3%A9/connections/~-._", b""),
    ],
)
def test_any_request_can_be_signed(method: str, target: str, body: bytes) -> None:
    assert check(signed(method, target, body=body)) == "AKTOY"


def test_headers_that_botocore_does_not_sign_may_be_signed_by_others() -> None:
    genuine = signed(headers={"x-own": "1", "x-amz-content-sha256": _digest(b"")})
    assert check(genuine) == "AKTOY"


@pytest.mark.parametrize("later", [301, -301, 86_400])
def test_old_and_future_signatures_are_refused(later: float) -> None:
    with pytest.raises(SignatureRefusedError, match="five minutes"):
        check(signed(), later=later)


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "other"},
        {"key": "AKOTHER"},
        {"service": "s3"},
        {"region": "eu-west-1"},
    ],
)
def test_wrong_credentials_and_scopes_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SignatureRefusedError):
        check(signed(**wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "DELETE"},
        {"target": TARGET.replace("m-1", "m-2")},
        {"target": TARGET.replace("min_ttl=60", "min_ttl=61")},
        {"target": TARGET + "&c=1"},
        {"target": TARGET.replace("%3A", ":")},
        {"body": b"x"},
    ],
)
def test_what_was_signed_cannot_be_changed(changed: dict[str, object]) -> None:
    genuine = signed()
    parts = {"method": genuine.method, "target": genuine.target, "headers": genuine.headers, "body": b""}
    with pytest.raises(SignatureRefusedError):
        check(HttpRequest(**{**parts, **changed}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", None),
        ("Authorization", "Bearer abc"),
        ("Authorization", "AWS4-HMAC-SHA256 Credential=AKTOY/x, SignedHeaders=host, Signature=00"),
        ("X-Amz-Date", None),
        ("X-Amz-Date", "yesterday"),
        ("X-Amz-Date", "20261399T999999Z"),
        ("Host", "elsewhere.example"),
        ("X-Own", "2"),
        ("X-Own", None),
        ("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),
    ],
)
def test_headers_cannot_be_changed_or_left_out(name: str, value: str | None) -> None:
    genuine = signed(headers={"X-Own": "1"})
    headers = [(key, held) for key, held in genuine.headers if key.lower() != name.lower()]
    if value is not None:
        headers.append((name, value))
    with pytest.raises(SignatureRefusedError):
        check(HttpRequest(genuine.method, genuine.target, tuple(headers)))


def test_a_signature_that_does_not_cover_the_host_is_refused() -> None:
    genuine = signed()
    headers = tuple(
        (key, held.replace("host;", "") if key == "Authorization" else held) for key, held in genuine.headers
    )
    assert headers != genuine.headers
    with pytest.raises(SignatureRefusedError, match="host"):
        check(HttpRequest(genuine.method, genuine.target, headers))


def with_headers(request: HttpRequest, *more: tuple[str, str], without: str = "") -> HttpRequest:
    """The same request with further headers, or less one."""
    kept = [(name, value) for name, value in request.headers if name.lower() != without]
    return HttpRequest(request.method, request.target, (*kept, *more), request.body)


@pytest.mark.parametrize(
    "name", ["Authorization", "X-Amz-Date", "Host", "host", "X-Amz-Content-SHA256", "X-Amz-Security-Token"]
)
def test_a_header_that_tells_who_signed_stands_there_once(name: str) -> None:
    genuine = signed(headers={"x-amz-content-sha256": _digest(b"")}, session_token="of-the-session")
    (value,) = [held for known, held in genuine.headers if known.lower() == name.lower()]
    tokens = {"AKTOY": "of-the-session"}
    check(genuine, session_tokens=tokens)
    for twice in (value, "something else"):
        with pytest.raises(SignatureRefusedError, match="twice"):
            check(with_headers(genuine, (name, twice)), session_tokens=tokens)


def test_other_headers_may_repeat_when_that_is_what_was_signed() -> None:
    """Their values are joined in their order, as the standard says."""
    genuine = signed(headers={"x-own": "1,2"})
    apart = with_headers(genuine, ("X-Own", "1"), ("X-Own", "2"), without="x-own")
    assert check(apart) == "AKTOY"
    with pytest.raises(SignatureRefusedError, match="wrong signature"):
        check(with_headers(genuine, ("X-Own", "2"), ("X-Own", "1"), without="x-own"))


def test_a_session_needs_its_token() -> None:
    tokens = {"AKTOY": "of-the-session"}
    assert check(signed(session_token="of-the-session"), session_tokens=tokens) == "AKTOY"
    for wrong in (signed(), signed(session_token="of-another"), signed(session_token="")):
        with pytest.raises(SignatureRefusedError, match="session token"):
            check(wrong, session_tokens=tokens)


def test_a_key_without_a_session_takes_no_token() -> None:
    with pytest.raises(SignatureRefusedError, match="session token"):
        check(signed(session_token="anything"))


@pytest.mark.parametrize("name", ["X-Amz-Security-Token", "X-Amz-Content-SHA256", "X-Amz-Meta"])
def test_no_header_of_amazons_may_be_left_unsigned(name: str) -> None:
    token = {"AKTOY": "of-the-session"} if name.endswith("Token") else {}
    value = {"X-Amz-Security-Token": "of-the-session", "X-Amz-Content-SHA256": _digest(b"")}.get(name, "x")
    with pytest.raises(SignatureRefusedError, match="must be signed"):
        check(with_headers(signed(), (name, value)), session_tokens=token)


def test_the_bodys_hash_is_checked_whether_a_header_names_it_or_not() -> None:
    body = b'{"generation":1,"version":1}'
    for headers in ({}, {"x-amz-content-sha256": _digest(body)}):
        genuine = signed("POST", "/x", body=body, headers=headers)
        assert check(genuine) == "AKTOY"
        for other in (b"", b'{"generation":1,"version":2}', body + b" "):
            changed = HttpRequest("POST", "/x", genuine.headers, other)
            with pytest.raises(SignatureRefusedError):
                check(changed)


@pytest.mark.parametrize("claimed", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "0" * 64])
def test_a_body_that_is_signed_as_something_else_is_refused(claimed: str) -> None:
    with pytest.raises(SignatureRefusedError, match="hash"):
        check(signed("POST", "/x", body=b"{}", headers={"x-amz-content-sha256": claimed}))


def test_a_signature_in_the_query_is_refused() -> None:
    request = AWSRequest("GET", f"http://127.0.0.1:8000{TARGET}")
    SigV4QueryAuth(Credentials("AKTOY", "toy-key"), "execute-api", "us-east-1").add_auth(request)
    assert request.url is not None
    target = request.url.removeprefix("http://127.0.0.1:8000")
    with pytest.raises(SignatureRefusedError, match="no AWS4-HMAC-SHA256"):
        check(HttpRequest("GET", target, (("Host", "127.0.0.1:8000"),)))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
