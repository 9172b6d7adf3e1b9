"""Checks AWS Signature Version 4 on a request, as API Gateway does for routes with AWS_IAM, and Lambda.

The signature is made again with botocore's own signer and compared. Only the `Authorization` header is
read: a signature in the query (a presigned URL) is refused. What the caller may do is another question
(`local/services.py`).
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http.client import HTTPMessage

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.request import HttpRequest

SERVICE = "execute-api"
"""Signing name of HTTP APIs."""

MAX_AGE_SECONDS = 300
"""How far a signature's time may lie from now, before or after."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/,\s]+)/(?P<scope>[^,\s]+), *"
    r"SignedHeaders=(?P<headers>[a-z0-9;_-]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
_ONCE = frozenset({"authorization", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
_SECURITY_TOKEN = "x-amz-security-token"  # noqa: S105 - a header's name
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")


class SignatureRefusedError(Exception):
    """The request is not signed, or not by whom it says; the message says what is wrong, for people."""


def verify(
    request: HttpRequest,
    *,
    credentials: Mapping[str, str],
    region: str,
    service: str = SERVICE,
    now: datetime | None = None,
    session_tokens: Mapping[str, str] | None = None,
) -> str:
    """The access key id that signed the request.

    Args:
        request: what to check.
        credentials: secret access key by access key id.
        region: AWS region in the credential scope.
        service: signing name in it.
        now: with a time zone; the current time when left out.
        session_tokens: session token by access key id, of those keys that are good only together with one.

    Raises:
        SignatureRefusedError: missing, malformed, too old or too new, unknown key, or wrong.
    """
    headers = request.joined_headers()
    names = [name.lower() for name, _ in request.headers]
    if any(names.count(name) > 1 for name in _ONCE):
        raise SignatureRefusedError("a header that says who signed, or when, stands there twice")
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", "").strip())
    if match is None:
        raise SignatureRefusedError("no AWS4-HMAC-SHA256 Authorization header")
    timestamp = headers.get("x-amz-date", "")
    _check_time(timestamp, now or datetime.now(UTC))
    if match["scope"] != f"{timestamp[:8]}/{region}/{service}/aws4_request":
        raise SignatureRefusedError("the credential scope names another day, region or service")
    secret = credentials.get(match["key"])
    if secret is None:
        raise SignatureRefusedError("unknown access key")
    _check_session(headers.get(_SECURITY_TOKEN), (session_tokens or {}).get(match["key"]))
    signed = match["headers"].split(";")
    must_be_signed = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if not must_be_signed <= set(signed) or not set(signed) <= headers.keys():
        raise SignatureRefusedError("host and all x-amz- headers must be signed, and signed headers present")
    digest = hashlib.sha256(request.body).hexdigest()
    if headers.get("x-amz-content-sha256", digest) != digest:
        raise SignatureRefusedError("x-amz-content-sha256 is not the body's hash")
    signer = _Signer(Credentials(match["key"], secret), service, region, digest)
    expected = signer.sign_again(request, headers, signed)
    if not hmac.compare_digest(expected, match["signature"]):
        raise SignatureRefusedError("wrong signature")
    return match["key"]


class _Signer(SigV4Auth):
    """botocore's signer, held to the headers that the client says it signed."""

    def __init__(self, credentials: Credentials, service: str, region: str, digest: str) -> None:
        super().__init__(credentials, service, region)
        self._digest = digest

    def sign_again(self, request: HttpRequest, headers: Mapping[str, str], signed: Iterable[str]) -> str:
        again = AWSRequest(
            method=request.method,
            url=f"http://{headers['host']}{request.target}",
            headers={name: headers[name] for name in signed},
        )
        again.context["timestamp"] = headers["x-amz-date"]
        return str(self.signature(self.string_to_sign(again, self.canonical_request(again)), again))

    def headers_to_sign(self, request: AWSRequest) -> HTTPMessage:
        # botocore leaves some headers out whoever signs; other SDKs sign them.
        chosen = HTTPMessage()
        for name, value in request.headers.items():
            chosen[name.lower()] = value
        return chosen

    def payload(self, request: AWSRequest) -> str:
        del request
        return self._digest


def _check_session(given: str | None, own: str | None) -> None:
    """A key from STS is good only with its session token, and any other key only without one."""
    if not hmac.compare_digest((given or "").encode(), (own or "").encode()):
        raise SignatureRefusedError("the session token is missing, or not that of the access key")


def _check_time(timestamp: str, now: datetime) -> None:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureRefusedError("no x-amz-date header")
    try:
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise SignatureRefusedError("x-amz-date is not a time") from None
    if abs((now - signed_at).total_seconds()) > MAX_AGE_SECONDS:
        raise SignatureRefusedError("the signature is more than five minutes old, or from the future")
