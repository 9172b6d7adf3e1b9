"""The event that API Gateway's HTTP APIs make of a request, payload format 2.0.

Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
and for what it leaves open, what people captured from real APIs: `rawPath` and path parameters arrive
percent-decoded, `rawQueryString` as sent; the Cookie header only as `cookies`; a body is base64 unless its
type is text, JSON, XML or JavaScript (so a form is base64, and so is a body without a type).
"""

import base64
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from local.request import HttpRequest
from local.template import ACCOUNT

#: Headers of one connection, which API Gateway does not pass on; cookies have a field of their own.
_LEFT_OUT = frozenset({"connection", "cookie", "expect", "keep-alive", "te", "transfer-encoding", "upgrade"})
_TEXT_TYPES = frozenset({"application/json", "application/javascript", "application/xml"})


def http_event(
    request: HttpRequest,
    *,
    route_key: str,
    path_parameters: Mapping[str, str],
    caller: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """The event for one request.

    Args:
        request: as it came.
        route_key: method and path of the route, for example `GET /callback/{provider+}`.
        path_parameters: percent-encoded values by name, without the plus sign of a greedy one.
        caller: access key id of a caller that signed the request.
        now: with a time zone; the current time when left out.
    """
    headers = request.joined_headers()
    cookies = [
        cookie.strip()
        for name, value in request.headers
        if name.lower() == "cookie"
        for cookie in value.split(";")
        if cookie.strip()
    ]
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": unquote(request.path),
        "rawQueryString": request.query,
        "headers": _headers(request, headers),
        "requestContext": _context(request, headers, route_key, caller, now or datetime.now(UTC)),
        "isBase64Encoded": False,
    }
    # Absent things are absent, not empty.
    if cookies:
        event["cookies"] = cookies
    if query := _query_parameters(request.query):
        event["queryStringParameters"] = query
    if path_parameters:
        event["pathParameters"] = {name: unquote(value) for name, value in path_parameters.items()}
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request.body, headers.get("content-type", ""))
    return event


def _headers(request: HttpRequest, headers: Mapping[str, str]) -> dict[str, str]:
    port = headers.get("host", "").partition(":")[2] or "80"
    came_from = headers.get("x-forwarded-for")
    return {
        **{name: value for name, value in headers.items() if name not in _LEFT_OUT},
        "x-amzn-trace-id": f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}",
        "x-forwarded-for": f"{came_from}, {request.source_ip}" if came_from else request.source_ip,
        "x-forwarded-port": port,
        "x-forwarded-proto": "http",
    }


def _context(
    request: HttpRequest, headers: Mapping[str, str], route_key: str, caller: str | None, now: datetime
) -> dict[str, Any]:
    domain = headers.get("host", "").partition(":")[0]
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": "local",
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": unquote(request.path),
            "protocol": request.protocol,
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": secrets.token_urlsafe(11) + "=",
        "routeKey": route_key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    if caller is not None:
        context["authorizer"] = {
            "iam": {
                "accessKey": caller,
                "accountId": ACCOUNT,
                "callerId": caller,
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": f"arn:aws:iam::{ACCOUNT}:user/{caller}",
                "userId": caller,
            }
        }
    return context


def _query_parameters(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in _TEXT_TYPES:
        return body.decode("utf-8", "replace"), False
    return base64.b64encode(body).decode(), True
