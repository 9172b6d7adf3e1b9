"""The sample events in `events/`, as API Gateway sends them (HTTP API, payload format 2.0).

    python -m tests.events.samples        writes them again

Their links are genuine, signed with a key that stands here for everyone to read and that no
`mooring.yaml` trusts; they expired an hour after `MADE_AT`.
"""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mooring.core.flow import Flow, cookie_name, encode_flow

FOLDER = Path(__file__).resolve().parents[2] / "events"
HOST = "connect.example.com"
BASE_URL = f"https://{HOST}"
PRODUCT = "https://app.example.com"
MADE_AT = 1_793_523_600
"""2026-11-01 09:00 UTC, in epoch seconds."""
KID = "sample"
KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"the sample key of Mooring's sample events").digest())

type Event = dict[str, Any]

_BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "en-GB,en;q=0.9",
    "host": HOST,
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "x-forwarded-for": "192.0.2.10",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
}
_OWN_FORM = {
    "origin": BASE_URL,
    "sec-fetch-site": "same-origin",
    "content-type": "application/x-www-form-urlencoded",
}
_SERVICE = {
    "accept": "application/json",
    "host": HOST,
    "user-agent": "billing/1.4",
    "x-amz-date": "20261101T090000Z",
    "x-forwarded-for": "198.51.100.7",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
}
_CALLER = {
    "accessKey": "ASIAIOSFODNN7EXAMPLE",
    "accountId": "123456789012",
    "callerId": "AROAIOSFODNN7EXAMPLE:billing",
    "cognitoIdentity": None,
    "principalOrgId": "aws:PrincipalOrgID",
    "userArn": "arn:aws:sts::123456789012:assumed-role/billing/billing",
    "userId": "AROAIOSFODNN7EXAMPLE:billing",
}


def link(provider: str) -> str:
    """A link of merchant m-1 for one provider."""
    claims = {
        "aud": BASE_URL,
        "sub": "m-1",
        "use": "connect",
        "provider": provider,
        "return_to": f"{PRODUCT}/settings/connections",
        "jti": f"sample-{provider}",
        "iat": MADE_AT,
        "exp": MADE_AT + 3_600,
    }
    return jwt.encode(claims, KEY, algorithm="EdDSA", headers={"kid": KID})


def sample_events() -> dict[str, Event]:
    """Every sample event by the name of its file."""
    callback, denied = _flow("yotpo"), _flow("xeno")
    bare = _flow("notifyvisitors")
    yotpo = {"code": "sample-code", "app_key": "sample-store", "state": callback.state}
    refused = {"error": "access_denied", "state": denied.state}
    from_product = {"referer": f"{PRODUCT}/", "sec-fetch-site": "cross-site"}
    from_notifyvisitors = {"referer": "https://analytics.notifyvisitors.com/", "sec-fetch-site": "cross-site"}
    started = {"link": link("xeno")}
    # A greedy route; where the provider adds a slash, it stays in the path.
    slash, code = "/callback/notifyvisitors/", {"code": "sample-code"}
    return {
        "authorize": _browser("GET", "/authorize/xeno", started, from_product),
        "authorize_post": _browser("POST", "/authorize/xeno", started, _OWN_FORM),
        "callback": _browser("GET", "/callback/yotpo", yotpo, {"sec-fetch-site": "cross-site"}, callback),
        "callback_denied": _browser(
            "GET", "/callback/xeno", refused, {"sec-fetch-site": "cross-site"}, denied
        ),
        "callback_trailing_slash": _browser("GET", slash, code, from_notifyvisitors, bare),
        "callback_post": _browser("POST", slash, code, _OWN_FORM, bare),
        "connections_list": _service("", {"merchant_id": "m-1"}),
        "connections_token": _service(
            "/{provider}/{account_id}/token",
            {"merchant_id": "m-1", "provider": "yotpo", "account_id": "sample-store"},
            "min_ttl=300",
        ),
    }


def _flow(provider: str) -> Flow:
    return Flow(provider, _text(f"state {provider}"), _text(f"verifier {provider}"), MADE_AT, link(provider))


def _text(seed: str) -> str:
    return urlsafe_b64encode(sha256(seed.encode()).digest()).rstrip(b"=").decode()


def _browser(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], flow: Flow | None = None
) -> Event:
    name, _, value = path.removeprefix("/").partition("/")
    route = f"{method} /{name}/{{provider{'+' if name == 'callback' else ''}}}"
    event = _event(method, route, path, urlencode(query), {**_BROWSER, **headers}, {"provider": value})
    if flow is not None:
        # Where a provider keeps no state, its one flow is found under the provider's name.
        state = flow.state if "state" in query else None
        event["cookies"] = [f"{cookie_name(flow.provider, state)}={encode_flow(flow)}"]
    return event


def _service(route: str, names: dict[str, str], query: str = "") -> Event:
    key = f"GET /merchants/{{merchant_id}}/connections{route}"
    path = key.removeprefix("GET ").format_map(names)
    event = _event("GET", key, path, query, _SERVICE, names)
    event["requestContext"]["authorizer"] = {"iam": _CALLER}
    return event


def _event(
    method: str, route: str, path: str, query: str, headers: dict[str, str], names: dict[str, str]
) -> Event:
    http = {
        "method": method,
        "path": path,
        "protocol": "HTTP/1.1",
        "sourceIp": headers["x-forwarded-for"],
        "userAgent": headers["user-agent"],
    }
    context = {
        "accountId": "123456789012",
        "apiId": "a1b2c3d4e5",
        "domainName": HOST,
        "domainPrefix": "connect",
        "http": http,
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": route,
        "stage": "$default",
        "time": "01/Nov/2026:09:00:00 +0000",
        "timeEpoch": MADE_AT * 1_000,
    }
    event = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query,
        "headers": dict(sorted(headers.items())),
        "requestContext": context,
        "pathParameters": names,
        "isBase64Encoded": False,
    }
    return event | ({"queryStringParameters": dict(parse_qsl(query))} if query else {})


def text(event: Event) -> str:
    """An event as its file holds it."""
    return json.dumps(event, indent=2) + "\n"


if __name__ == "__main__":
    for name, event in sample_events().items():
        (FOLDER / f"{name}.json").write_text(text(event), encoding="utf-8")
