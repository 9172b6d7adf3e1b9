"""A canary in every secret, all logged at DEBUG: none is found in a line, page, exception or repr."""

import inspect
import logging
from importlib import import_module
from typing import Any

import pytest

from mooring.core.connection import Connection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.flow import Flow
from mooring.core.link import verify_link
from mooring.core.ports import HttpFault, HttpRequest, HttpResponse
from mooring.core.query import parse_query
from mooring.core.tokens import TokenSet
from mooring.core.visit import Result, Visit
from mooring.flows.callback import Arrival
from mooring.flows.read import AccessToken
from mooring.flows.uninstall import Delivery
from tests.attacks.stack import Stack
from tests.core.signing import NOW, policy, signed
from tests.flows.world import Browser
from tests.protocol.shapes import ACME

CANARY = "canary"
ANSWER = (
    b'{"access_token":"canary-access","refresh_token":"canary-refresh","App_access_token":"canary-access",'
    b'"status":"success","expires_in":3600}'
)
GOOD = HttpResponse(200, {"x-echo": "canary-header"}, ANSWER)
NAMED = HttpResponse(200, {}, b'{"team":{"uid":"t-7"},"note":"canary-body"}')
FLAWED: list[tuple[str, str, list[HttpResponse | HttpFault]]] = [
    ("acme", "connected", [GOOD]),
    ("named", "connected", [GOOD, NAMED]),
    ("stateless", "connected", [GOOD]),
    ("issuer", "connected", [GOOD]),
    ("named", "identity_unavailable", [GOOD, HttpFault("timeout", sent=True)]),
    ("named", "account_missing", [GOOD, HttpResponse(200, {}, b'{"error":"canary-body"}')]),
    (
        "acme",
        "grant_refused",
        [HttpResponse(400, {}, b'{"error":"canary-error","error_description":"canary-text"}')],
    ),
    ("acme", "provider_answer_invalid", [HttpResponse(200, {}, b"<html>canary-html</html>")]),
    ("acme", "provider_answer_invalid", [HttpResponse(200, {}, b'{"access_token":"canary access"}')]),
    ("acme", "provider_misconfigured", [HttpResponse(401, {}, b'{"error":"invalid_client"}')]),
    ("acme", "provider_timeout", [HttpFault("timeout", sent=True)]),
    ("acme", "token_lost", []),
]


def canary_stack(*answers: HttpResponse | HttpFault) -> Stack:
    stack = Stack(*(answers or (GOOD,)))
    stack.http.answers = list(answers)
    world = stack.world
    world.secrets.values = dict.fromkeys(world.secrets.values, "canary-secret")
    world.random = lambda: f"canary-random-{next(world._numbers):029d}"  # type: ignore[method-assign]
    return stack


def run(stack: Stack, provider: str, browser: Browser, extra: str = "") -> dict[str, Any]:
    state = stack.started(browser, provider, signed(provider=provider))
    assert browser.flows()[0].verifier.startswith("canary-random-")
    headers = {"referer": "https://acme.example/?code=canary-code"}
    query = f"code=canary-code&state={state}&iss=https://acme.example{extra}"
    return stack.get(f"/callback/{provider}", query, browser, headers=headers)


def shown(response: dict[str, Any]) -> str:
    """Everything that a browser is shown or told, but for its own flow cookie."""
    return f"{response['statusCode']}{response['headers']}{response['body']}"


@pytest.mark.parametrize(
    ("provider", "ending", "answers"), FLAWED, ids=[f"{case[0]}-{case[1]}" for case in FLAWED]
)
def test_flows_that_end_at_the_provider(
    caplog: pytest.LogCaptureFixture, provider: str, ending: str, answers: list[HttpResponse | HttpFault]
) -> None:
    caplog.set_level(logging.DEBUG)
    stack, browser = canary_stack(*answers), Browser()
    response = run(stack, provider, browser)
    assert ending in stack.logs.splitlines()[-1]
    assert CANARY not in shown(response)
    assert CANARY not in stack.logs
    assert CANARY not in caplog.text
    stored = repr((stack.world.connections.stored, stack.world.recovery.messages, stack.world.flows.flows))
    assert CANARY not in stored


@pytest.mark.parametrize(
    ("port", "method", "reason"),
    [("flows", "burn", "storage_unavailable"), ("sealer", "prepare", "sealing_unavailable"),
     ("secrets", "client_secret", "secret_unavailable"), ("connections", "connect", "store_delayed")],
)  # fmt: skip
def test_flows_that_end_on_our_own_side(
    caplog: pytest.LogCaptureFixture, port: str, method: str, reason: str
) -> None:
    caplog.set_level(logging.DEBUG)
    stack, browser = canary_stack(GOOD), Browser()
    getattr(stack.world, port).broken[method] = Failure(
        Reason(reason if port != "connections" else "storage_unavailable")
    )
    response = run(stack, "acme", browser)
    assert f'"reason": "{reason}"' in stack.logs
    assert CANARY not in shown(response) + stack.logs + caplog.text
    assert CANARY not in repr((stack.world.recovery.messages, stack.world.flows.flows))


@pytest.mark.parametrize(
    "extra",
    [
        "&error=canary-error",
        "&code=canary-code-2",
        "&error=access_denied&error_description=canary-text",
        "&x=canary%00",
        "&x=%zzcanary",
    ],
)
def test_flows_that_end_before_the_provider_is_called(extra: str) -> None:
    stack, browser = canary_stack(), Browser()
    response = run(stack, "acme", browser, extra)
    assert stack.http.requests == []
    assert CANARY not in shown(response) + stack.logs


def test_a_link_of_canaries_is_repeated_nowhere() -> None:
    stack, browser = canary_stack(), Browser()
    for link in (
        "canary.canary.canary",
        signed(sub="canary sub"),
        "canary" * 200,
        signed(return_to="https://canary.example"),
    ):
        response = stack.get("/authorize/acme", f"link={link}", browser)
        assert CANARY not in shown(response) + stack.logs


LINK = signed()
FLOW = Flow("acme", "canary-state", "canary-verifier", NOW, LINK)
CONNECTION = Connection("m-1", "acme", "a", Status.ACTIVE, 1, 1, (), None, NOW, NOW, True, None, {})
SECRETIVE = [
    FLOW,
    TokenSet("canary-access", "canary-refresh", (), None, None, None, {}),
    AccessToken("canary-access", CONNECTION),
    HttpRequest("POST", "https://x/?t=canary", {"authorization": "canary"}, b"canary", ()),
    HttpResponse(200, {"x": "canary"}, b"canary"),
    Visit(
        "GET",
        "acme",
        "code=canary&state=canary",
        ["canary=canary"],
        {"cookie": "canary", "referer": "canary"},
    ),
    Result("redirected", "acme", "Acme", "m-1", "https://x/?state=canary", None, ("canary=canary",)),
    Arrival(ACME, FLOW, verify_link(LINK, policy(), NOW), "__Host-x", NOW, "ref", lambda: 0.0),
    parse_query("code=canary"),
    Delivery("signed", {"x-signature": "canary"}, b"canary"),
]


@pytest.mark.parametrize("value", SECRETIVE, ids=lambda value: type(value).__name__)
def test_no_value_shows_its_secret(value: object) -> None:
    for text in (repr(value), str(value), f"{value}", repr([value]), repr(ValueError(value))):
        assert CANARY not in text
        assert LINK not in text


SECRET_FIELDS = {
    "access_token",
    "refresh_token",
    "verifier",
    "query",
    "cookies",
    "headers",
    "body",
    "token",
    "code",
    "location",
}
ROOMS = ["core.connection", "core.flow", "core.link", "core.notice", "core.ports", "core.tokens",
         "core.upkeep", "core.visit",
         "flows.authorize", "flows.callback", "flows.disconnect", "flows.probe", "flows.read",
         "flows.recover", "flows.refresh", "flows.renew", "flows.sweep", "flows.token_sets",
         "flows.uninstall", "flows.work",
         "entry.hooks", "entry.http_api", "entry.service_api", "entry.settings", "entry.worker"]  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_every_value_type_with_a_secret_field_has_a_repr_of_its_own(room: str) -> None:
    module = import_module(f"mooring.{room}")
    types: list[Any] = [
        kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__
    ]
    for kind in types:
        fields = getattr(kind, "_fields", ())
        if SECRET_FIELDS & set(fields):
            plain = {"connection": CONNECTION}
            value = kind._make(CANARY if name in SECRET_FIELDS else plain.get(name, "x") for name in fields)
            assert CANARY not in repr(value), kind
