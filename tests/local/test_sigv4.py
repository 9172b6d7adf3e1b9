"""Signatures: made by botocore as a client makes them, then changed in every way that matters."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
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
) -> HttpRequest:
    """A request as a service would send it."""
    request = AWSRequest(method, f"http://127.0.0.1:8000{target}", headers=headers or {}, data=body)
    SigV4Auth(Credentials(key, secret), service, region).add_auth(request)
    wire = {**dict(request.headers.items()), "Host": "127.0.0.1:8000", "User-Agent": "not signed"}
    return HttpRequest(method, target, tuple(wire.items()), body)


def check(request: HttpRequest, *, later: float = 0) -> str:
    """Verify, `later` seconds from now."""
    now = datetime.now(UTC) + timedelta(seconds=later)
    return verify(request, credentials=CREDENTIALS, region="us-east-1", now=now)


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


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
