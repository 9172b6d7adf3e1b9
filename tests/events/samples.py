"""The sample events in `events/`, as AWS hands them to the functions.

    python -m tests.events.samples        writes them again

Requests come from an HTTP API (payload format 2.0), batches from the queues and the stream of the local
stack, orders from `connections`, and a schedule sends what its target's input says. Their links are genuine,
signed with a key that stands here for everyone to read and that no `mooring.yaml` trusts; they expired an
hour after `MADE_AT`. What looks sealed is sealed with nothing.
"""

import json
from base64 import urlsafe_b64encode
from hashlib import md5, sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import NAMESPACE_URL, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local import REGION
from local.template import ACCOUNT
from mooring.adapters import recovery_queue, revocation_queue, work_messages
from mooring.core.connection import Account, NewConnection
from mooring.core.flow import Flow, cookie_name, encode_flow
from mooring.core.link import Link
from mooring.core.revocation import Revocation
from mooring.core.tokens import SealedField, SealedTokens
from mooring.core.upkeep import (
    Cause,
    Confirm,
    FreshTokens,
    Hint,
    Key,
    Order,
    Refreshed,
    Search,
    Seen,
    Work,
)
from tests.events import stream_samples

FOLDER = Path(__file__).resolve().parents[2] / "events"
HOST = "connect.example.com"
BASE_URL = f"https://{HOST}"
PRODUCT = "https://app.example.com"
MADE_AT = 1_793_523_600
"""2026-11-01 09:00 UTC, in epoch seconds."""
KID = "sample"
KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"the sample key of Mooring's sample events").digest())

type Event = dict[str, Any]

_ONE = "/{provider}/{account_id}"

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
    "accountId": ACCOUNT,
    "callerId": "AROAIOSFODNN7EXAMPLE:billing",
    "cognitoIdentity": None,
    "principalOrgId": "aws:PrincipalOrgID",
    "userArn": "arn:aws:sts::123456789012:assumed-role/billing/billing",
    "userId": "AROAIOSFODNN7EXAMPLE:billing",
}

_PROVIDER = {
    "content-type": "application/json",
    "host": HOST,
    "user-agent": "Yotpo-Webhooks",
    "webhookmessageid": "4f6c1a52-9d1e-4f0e-8f6b-0d8d8c1c7a11",
    "webhookmessageidpertarget": "6b3b7c0e-2b52-4a0b-9a53-3b6f4c7a9d20",
    "x-forwarded-for": "203.0.113.20",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
    "x-yotpo-webhooks-event-type": "integrations.applications.disconnected.v3",
    "x-yotpo-webhooks-tenant-id": "sample-yotpo-application-id",
    "x-yotpo-webhooks-tenant-type": "application",
}
"""What Yotpo sends with the notice that a store removed the app; no signature is among it."""

STORE = Key("m-1", "yotpo", "sample-store")
PROFILE = Key("m-1", "whatconverts", "default")
UNSTORED = Key("m-unstored", "yotpo", "sample-unstored")
"""A merchant of the samples' own: a recovered connection is really stored, also in a running local stack."""

WORK: tuple[Work, ...] = (
    Order(PROFILE, Seen(1, 1), Cause.DUE),
    Hint(STORE.provider, STORE.account_id),
    Confirm(STORE, Seen(1, 1), MADE_AT - 31, uninstall=True),
    Search("xeno", "sample-team", MADE_AT - 60),
)
"""One message of each kind that the refresh queue carries."""


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
        "connections_list": _service("GET", "", {"merchant_id": "m-1"}, "status=active&limit=20"),
        "connections_one": _service("GET", _ONE, STORE._asdict()),
        "connections_token": _service("GET", f"{_ONE}/token", STORE._asdict(), "min_ttl=300"),
        "connections_unauthorized": _service(
            "POST", f"{_ONE}/unauthorized", STORE._asdict(), body='{"generation": 1, "version": 1}'
        ),
        "connections_refresh": _service("POST", f"{_ONE}/refresh", PROFILE._asdict()),
        "connections_disconnect": _service("DELETE", _ONE, STORE._asdict()),
        "uninstall": _notice({"app_key": "sample-store", "application_id": "sample-yotpo-application-id"}),
        "refresh": _batch("refresh", [work_messages.message(work) for work in WORK]),
        "refresh_recovery": _batch("recovery", [_unstored_exchange(), _unstored_refresh()]),
        "refresh_order": json.loads(
            work_messages.order_payload(Order(PROFILE, Seen(1, 1), Cause.UNAUTHORIZED))
        ),
        "sweep": {},
        "announce": stream_samples.batch(MADE_AT, STORE, PROFILE),
        "revoke": _batch("revoke", [_unwanted(STORE, None), _unwanted(PROFILE, _sealed("refresh"))]),
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


def _service(method: str, route: str, names: dict[str, str], query: str = "", body: str = "") -> Event:
    path = f"/merchants/{{merchant_id}}/connections{route}"
    headers = _SERVICE | ({"content-type": "application/json"} if body else {})
    event = _event(method, f"{method} {path}", path.format_map(names), query, headers, names)
    event["requestContext"]["authorizer"] = {"iam": _CALLER}
    return event | ({"body": body} if body else {})


def _notice(body: dict[str, str]) -> Event:
    path, names = "/uninstall/yotpo", {"provider": "yotpo"}
    event = _event("POST", "POST /uninstall/{provider}", path, "", _PROVIDER, names)
    return event | {"body": json.dumps(body)}


def _batch(queue: str, bodies: list[str]) -> Event:
    return {"Records": [_record(queue, body) for body in bodies]}


def _record(queue: str, body: str) -> Event:
    sent = str(MADE_AT * 1_000)
    return {
        "messageId": str(uuid5(NAMESPACE_URL, body)),
        "receiptHandle": f"AQEB{_text(body)}",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": "AROAIOSFODNN7EXAMPLE:mooring-local-sweep",
            "ApproximateFirstReceiveTimestamp": sent,
        },
        "messageAttributes": {},
        "md5OfBody": md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:mooring-local-{queue}",
        "awsRegion": REGION,
    }


def _unstored_exchange() -> str:
    """What a callback queued that could not store its connection."""
    tokens = SealedTokens(_sealed("access"), None, (), None, None, {"app_key": UNSTORED.account_id})
    new = NewConnection(
        UNSTORED.merchant_id,
        UNSTORED.provider,
        Account(UNSTORED.account_id, verified=True),
        tokens,
        MADE_AT,
        MADE_AT - 2,
        None,
    )
    asked = Link(
        "", UNSTORED.merchant_id, "connect", UNSTORED.provider, "", "sample-unstored", MADE_AT - 60,
        MADE_AT + 540, None, None, False,
    )  # fmt: skip
    return recovery_queue.message(new, asked, sha256(b"the state of the sample").hexdigest())


def _unstored_refresh() -> str:
    """What a refresh queued that could not store its tokens."""
    fresh = FreshTokens(
        access=_sealed("access"),
        refresh=_sealed("refresh"),
        scopes=None,
        expires_at=MADE_AT + 3_600,
        refresh_expires_at=None,
        details={},
        issued_at=MADE_AT,
        due_at=MADE_AT + 2_700,
        previous_until=None,
    )
    return recovery_queue.refreshed_message(Refreshed(PROFILE, Seen(1, 1), "sample-attempt", fresh))


def _unwanted(key: Key, refresh: SealedField | None) -> str:
    """What was queued when a connection was cut off."""
    return revocation_queue.message(Revocation(key, 1, _sealed("access"), refresh))


def _sealed(name: str) -> SealedField:
    return SealedField(sha256(f"sample {name}".encode()).digest(), sha256(f"{name} key".encode()).digest())


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
        "accountId": ACCOUNT,
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
