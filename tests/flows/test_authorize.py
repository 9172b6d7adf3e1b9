"""`/authorize/{provider}`: what the browser is told, and that nothing is owned or written."""

import re
from secrets import token_urlsafe
from urllib.parse import parse_qsl, urlsplit

import pytest

from mooring.core.errors import Reason
from mooring.core.flow import code_challenge, encode_flow
from mooring.core.provider import Provider
from mooring.core.visit import Visit
from mooring.flows.authorize import AuthorizePorts, authorize
from mooring.providers.authorization_request import authorization_url
from tests.core.signing import NOW, RETURN_TO, policy, signed
from tests.flows.world import Browser, World, refusal, sent
from tests.protocol.shapes import ACME, ALL


@pytest.mark.parametrize("provider", ALL, ids=lambda provider: provider.id)
def test_a_good_link_leads_to_exactly_the_providers_address(
    world: World, browser: Browser, provider: Provider
) -> None:
    link = signed(provider=provider.id)
    result = world.authorize(browser, link, provider.id)
    flow = browser.flows()[0]
    uri = f"https://connect.example.com/callback/{provider.id}"
    assert result.location == authorization_url(provider, flow.state, flow.verifier, uri, provider.scopes)
    assert (result.outcome, result.provider, result.merchant_id) == ("redirected", provider.id, "m-1")
    assert (flow.provider, flow.started_at, flow.link) == (provider.id, NOW, link)
    assert world.untouched()


def test_the_cookie_is_bound_to_this_host_and_out_of_scripts_reach(world: World, browser: Browser) -> None:
    result = world.authorize(browser, signed())
    flow = browser.flows()[0]
    name = re.escape(next(iter(browser.jar)))
    assert len(result.cookies) == 1
    assert re.fullmatch(
        rf"{name}={re.escape(encode_flow(flow))}; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax",
        result.cookies[0],
    )
    assert "domain" not in result.cookies[0].lower()


def test_a_flow_without_a_state_lives_five_minutes(world: World, browser: Browser) -> None:
    result = world.authorize(browser, signed(provider="stateless"), "stateless")
    assert list(browser.jar) == ["__Host-mooring-flow.stateless"]
    assert "; Max-Age=300;" in result.cookies[0]
    assert "state" not in sent(result.location)


def test_state_and_verifier_differ_and_the_verifier_is_in_no_address(world: World, browser: Browser) -> None:
    result = world.authorize(browser, signed(provider="issuer"), "issuer")
    flow = browser.flows()[0]
    parameters = sent(result.location)
    assert flow.state != flow.verifier
    assert flow.verifier not in str(result.location)
    assert parameters["code_challenge"] == code_challenge(flow.verifier)
    assert (parameters["state"], parameters["code_challenge_method"]) == (flow.state, "S256")


def test_a_thousand_starts_give_a_thousand_states_and_verifiers() -> None:
    ports = AuthorizePorts(
        lambda _: ACME, policy(), authorization_url, lambda: float(NOW), lambda: token_urlsafe(32)
    )
    seen: set[str] = set()
    for _ in range(1_000):
        browser = Browser()
        browser.take(authorize(Visit("GET", "acme", f"link={signed()}", (), {}), ports).cookies)
        flow = browser.flows()[0]
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", text) for text in (flow.state, flow.verifier))
        seen |= {flow.state, flow.verifier}
    assert len(seen) == 2_000


def test_the_links_own_scopes_are_asked_for_instead(world: World, browser: Browser) -> None:
    assert sent(world.authorize(browser, signed(scopes=["read"])).location)["scope"] == "read"


@pytest.mark.parametrize("scopes", [["admin"], ["read", "admin"], ["READ"], ["read write"]])
def test_scopes_beyond_the_configured_ones(world: World, browser: Browser, scopes: list[str]) -> None:
    failure = refusal(lambda: world.authorize(browser, signed(scopes=scopes)))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.SCOPES_NOT_ALLOWED, 400, RETURN_TO)
    assert not browser.jar
    assert world.untouched()


EXTRAS = "client_id=evil&redirect_uri=https://evil.example&scope=admin&response_type=token&code_challenge=x&prompt=none"


def test_whatever_else_stands_in_the_query_does_not_reach_the_provider(
    world: World, browser: Browser
) -> None:
    result = world.authorize(browser, signed(), extra=f"&{EXTRAS}&state=fixed&return_to=https://evil.example")
    parameters = dict(parse_qsl(urlsplit(str(result.location)).query))
    assert "evil" not in str(result.location)
    assert parameters == {
        "response_type": "code",
        "client_id": "acme-client",
        "redirect_uri": "https://connect.example.com/callback/acme",
        "scope": "read write",
        "state": browser.flows()[0].state,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"x-forwarded-host": "evil.example", "x-forwarded-proto": "http", "forwarded": "host=evil.example"},
        {"x-original-url": "/callback/acme", "x-rewrite-url": "https://evil.example"},
    ],
)
def test_no_header_has_a_say_in_the_redirect_uri(
    world: World, browser: Browser, headers: dict[str, str]
) -> None:
    result = world.authorize(browser, signed(), headers=headers)
    assert sent(result.location)["redirect_uri"] == "https://connect.example.com/callback/acme"
    assert "Secure" in result.cookies[0]


@pytest.mark.parametrize(
    ("link", "provider", "extra", "reason", "status"),
    [
        (None, "acme", "", Reason.LINK_MISSING, 400),
        ("", "acme", "", Reason.LINK_MISSING, 400),
        ("x.y.z", "acme", "", Reason.LINK_MALFORMED, 400),
        ("x" * 1_001, "acme", "", Reason.LINK_TOO_LONG, 400),
        (signed(exp=NOW + 1, iat=NOW - 9), "nobody", "", Reason.PROVIDER_UNKNOWN, 404),
        (signed(), "", "", Reason.PROVIDER_UNKNOWN, 404),
        (signed(), "named", "", Reason.LINK_PROVIDER, 403),
        (signed(use="manage"), "acme", "", Reason.LINK_USE, 403),
        (signed(iat=NOW - 600, exp=NOW), "acme", "", Reason.LINK_EXPIRED, 403),
        (signed(iat=NOW - 600, exp=NOW - 1), "acme", "", Reason.LINK_EXPIRED, 403),
        (signed(aud="https://other.example"), "acme", "", Reason.LINK_AUDIENCE, 403),
        (signed(return_to="https://evil.example/"), "acme", "", Reason.RETURN_TO_NOT_ALLOWED, 400),
        (signed(), "acme", "&link=x", Reason.PARAMETER_REPEATED, 400),
        (signed(), "acme", "&x=%zz", Reason.REQUEST_MALFORMED, 400),
        (signed(), "acme", "&x=%ff", Reason.REQUEST_MALFORMED, 400),
        (signed(), "acme", "&x=%00", Reason.REQUEST_MALFORMED, 400),
    ],
    ids=lambda part: part.value if isinstance(part, Reason) else "",
)
def test_what_is_refused_leaves_no_cookie_and_no_row(
    world: World, browser: Browser, link: str | None, provider: str, extra: str, reason: Reason, status: int
) -> None:
    failure = refusal(lambda: world.authorize(browser, link, provider, extra=extra))
    assert (failure.reason, failure.status, failure.return_to) == (reason, status, None)
    assert not browser.jar
    assert world.untouched()


def test_an_empty_list_of_origins_lets_no_link_pass(browser: Browser) -> None:
    world = World(origins=())
    assert refusal(lambda: world.authorize(browser, signed())).reason is Reason.RETURN_TO_NOT_ALLOWED
    assert world.untouched()


def test_fifty_tabs_keep_the_four_newest_flows_within_six_kilobytes(world: World, browser: Browser) -> None:
    link = signed(return_to=f"https://app.example.com/{'x' * 300}")
    states = []
    for _ in range(50):
        world.clock.advance(1)
        world.authorize(browser, link)
        states.append(browser.flows()[-1].state)
        assert len(browser.jar) <= 4
        assert sum(len(name) + len(value) for name, value in browser.jar.items()) <= 6_000
    assert [flow.state for flow in browser.flows()] == states[-4:]


def test_a_second_start_at_a_provider_without_state_replaces_the_first(
    world: World, browser: Browser
) -> None:
    first = world.start(browser, "stateless")
    second = world.start(browser, "stateless", jti="jti-2")
    assert [flow.state for flow in browser.flows()] == [second]
    assert first != second
