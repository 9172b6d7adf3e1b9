"""Who is compared, and how each of them is asked for the same four steps."""

import json
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlsplit

from local.emulator import FunctionSpec
from local.event import http_event
from local.request import HttpRequest
from tests.bench.ground import CLIENT_SECRET, PEERS, PROVIDER, Ground
from tests.bench.provider import TEAM
from tests.bench.staging import BASE_URL, RETURN_TO, link

MERCHANT = "m-1"
STEPS = ("authorize", "callback", "refresh", "read")
_CONNECTION = f"/merchants/{MERCHANT}/connections/{PROVIDER}/default"


class Contestant(Protocol):
    """One of those who are compared."""

    name: str
    specs: dict[str, FunctionSpec]
    """The function behind each step."""

    def event(self, step: str, start: Any) -> bytes:
        """The event of a step; `start` is what `authorize` answered, for the callback."""
        ...

    def wrong(self, step: str, answer: Any) -> bool:
        """Whether an answer is not what the step is to give."""
        ...


class Bare:
    """A Lambda that answers 302 and knows nothing: what a Lambda costs before it does anything."""

    name = "302 only"

    def __init__(self, ground: Ground) -> None:
        spec = FunctionSpec("bare", (PEERS.parent / "bare", ground.build / "ric"), {}, timeout_seconds=5)
        self.specs = dict.fromkeys(STEPS, spec)

    def event(self, _step: str, _start: Any) -> bytes:
        """Any."""
        return _get("/")

    def wrong(self, _step: str, answer: Any) -> bool:
        """Anything but 302."""
        return bool(answer.get("statusCode") != 302)


class Mooring:
    """What ships."""

    name = "Mooring"

    def __init__(self, ground: Ground) -> None:
        self._key = ground.key
        found = ground.functions
        self._tables = ground.client("dynamodb")
        self._table = found["callback"].environment["MOORING_CONNECTIONS_TABLE"]
        self.specs = {
            "authorize": found["authorize"],
            "callback": found["callback"],
            "read": found["connections"],
        }
        if "refresh" in found:
            self.specs["refresh"] = found["refresh"]

    def event(self, step: str, start: Any) -> bytes:
        """The step for one merchant's only connection."""
        match step:
            case "authorize":
                target = f"/authorize/{PROVIDER}?link={link(self._key, PROVIDER)}"
                return _get(target, "GET /authorize/{provider}", provider=PROVIDER)
            case "callback":
                target = f"/callback/{PROVIDER}?code=a-code&state={_state(start)}"
                route = "GET /callback/{provider+}"
                return _get(target, route, cookie=start["cookies"][0], provider=PROVIDER)
            case "read":
                route = "GET /merchants/{merchant_id}/connections/{provider}/{account_id}/token"
                names = {"merchant_id": MERCHANT, "provider": PROVIDER, "account_id": "default"}
                return _get(f"{_CONNECTION}/token", route, **names)
            case _:
                self._grow_old()
                return _order()

    def _grow_old(self) -> None:
        """Its token was issued long ago: whoever reads a new one has no refresh."""
        self._tables.update_item(
            TableName=self._table,
            Key={"merchant_id": {"S": MERCHANT}, "connection": {"S": f"{PROVIDER}#default"}},
            UpdateExpression="SET issued_at = :long_ago",
            ExpressionAttributeValues={":long_ago": {"N": "1"}},
        )

    def wrong(self, step: str, answer: Any) -> bool:
        """Not connected, not refreshed, no token."""
        match step:
            case "callback":
                back = parse_qs(urlsplit(answer.get("headers", {}).get("location", "")).query)
                return back.get("status") != ["connected"]
            case "refresh":
                return bool(answer.get("word") != "refreshed")
            case "read":
                return "access_token" not in answer.get("body", "")
            case _:
                return bool(answer.get("statusCode") != 302)


class Authlib:
    """By hand with Authlib, DynamoDB and KMS."""

    name = "Authlib by hand"

    def __init__(self, ground: Ground) -> None:
        environment = {
            "AUTHORIZE_URL": f"{ground.provider.base_url}/oauth/authorize",
            "CLIENT_ID": "bench",
            "KEY_ID": ground.client("kms").create_key()["KeyMetadata"]["Arn"],
            "REDIRECT_URI": f"{BASE_URL}/callback",
            "RETURN_TO": RETURN_TO,
            "SECRET_NAME": "/bench/client_secret",
            "STATES_TABLE": _table(ground, "bench-states", "state"),
            "TOKENS_TABLE": _table(ground, "bench-tokens", "merchant"),
            "TOKEN_URL": f"{ground.provider.base_url}/oauth/token",
        }
        ground.client("ssm").put_parameter(
            Name=environment["SECRET_NAME"], Value=CLIENT_SECRET, Type="SecureString"
        )
        self.specs = {step: ground.peer("authlib", f"app.{step}", environment) for step in STEPS}

    def event(self, step: str, start: Any) -> bytes:
        """The step for one merchant."""
        match step:
            case "authorize":
                return _get(f"/authorize?merchant={MERCHANT}")
            case "callback":
                return _get(f"/callback?code=a-code&state={_state(start)}", cookie=start["cookies"][0])
            case "read":
                return _get(f"/token?merchant={MERCHANT}")
            case _:
                return json.dumps({"merchant": MERCHANT}).encode()

    def wrong(self, step: str, answer: Any) -> bool:
        """Another status than the step's."""
        return bool(answer.get("statusCode") != {"authorize": 302, "callback": 303}.get(step, 200))


class Slack:
    """Slack Bolt's flow for Lambda."""

    name = "Slack Bolt"

    def __init__(self, ground: Ground) -> None:
        for bucket in ("bench-states", "bench-installations"):
            ground.client("s3").create_bucket(Bucket=bucket)
        environment = {
            "AUTHORIZE_URL": f"{ground.provider.base_url}/oauth/v2/authorize",
            "REDIRECT_URI": f"{BASE_URL}/slack/oauth_redirect",
            "SLACK_API": f"{ground.provider.base_url}/api/",
            "SLACK_CLIENT_ID": "bench",
            "SLACK_CLIENT_SECRET": CLIENT_SECRET,
            "SLACK_INSTALLATION_S3_BUCKET_NAME": "bench-installations",
            "SLACK_SCOPES": "commands",
            "SLACK_STATE_S3_BUCKET_NAME": "bench-states",
        }
        handlers = {"authorize": "install", "callback": "install", "refresh": "refresh", "read": "read"}
        self.specs = {
            step: ground.peer("slack", f"app.{name}", environment) for step, name in handlers.items()
        }

    def event(self, step: str, start: Any) -> bytes:
        """The step for one workspace."""
        match step:
            case "authorize":
                return _get("/slack/install")
            case "callback":
                cookie = start["headers"]["set-cookie"]
                return _get(f"/slack/oauth_redirect?code=a-code&state={_state(start)}", cookie=cookie)
            case "read":
                return _get(f"/token?team={TEAM}")
            case _:
                return json.dumps({"team": TEAM}).encode()

    def wrong(self, step: str, answer: Any) -> bool:
        """Another status than the step's; Bolt shows a page after the callback."""
        return bool(answer.get("statusCode") != (302 if step == "authorize" else 200))


def contestants(ground: Ground) -> list[Contestant]:
    """All of them, the yardstick first."""
    return [Bare(ground), Mooring(ground), Authlib(ground), Slack(ground)]


def _get(target: str, route: str = "GET /", cookie: str = "", **parameters: str) -> bytes:
    headers = [("host", BASE_URL.partition("://")[2]), ("sec-fetch-site", "none")]
    if cookie:
        headers.append(("cookie", cookie.partition(";")[0]))
    quoted = {name: quote(value) for name, value in parameters.items()}
    event = http_event(HttpRequest("GET", target, headers), route_key=route, path_parameters=quoted)
    return json.dumps(event).encode()


def _order() -> bytes:
    from mooring.adapters.work_messages import order_payload
    from mooring.core.upkeep import Cause, Key, Order

    return order_payload(Order(Key(MERCHANT, PROVIDER, "default"), None, Cause.READ))


def _state(start: Any) -> str:
    """The state in the address to which `authorize` sends the browser."""
    headers = {name.lower(): value for name, value in start["headers"].items()}
    location: str = headers["location"]
    return parse_qs(urlsplit(location).query)["state"][0]


def _table(ground: Ground, name: str, key: str) -> str:
    ground.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
    )
    return name
