"""Callbacks refused before anything is spent: no token call, nothing written, and the flow lives on."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.e2e.running import PROVIDERS, RunningStack
from tests.e2e.story import Merchant, check_failure, returned
from tests.e2e.visitor import TYPED, Initiator, Page, Visitor

Change = Callable[[dict[str, str]], str]


def query(page: Page) -> dict[str, str]:
    """The parameters with which the provider sends the browser back."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.location).query).items()}


def without(name: str) -> Change:
    """The query without a parameter."""
    return lambda found: urlencode({key: value for key, value in found.items() if key != name})


def with_raw(name: str, raw: str) -> Change:
    """The query with a parameter whose value is sent as it is."""
    return lambda found: f"{without(name)(found)}&{name}={raw}"


def and_raw(raw: str) -> Change:
    """The whole query, and something more."""
    return lambda found: f"{urlencode(found)}&{raw}"


ANYWHERE: dict[str, tuple[Change, int, str]] = {
    "no code": (without("code"), 400, "code_missing"),
    "empty code": (with_raw("code", ""), 400, "code_missing"),
    "code twice": (and_raw("code=another"), 400, "parameter_repeated"),
    "10 kB code": (with_raw("code", "a" * 10_000), 400, "code_malformed"),
    "NUL in code": (with_raw("code", "ab%00cd"), 400, "request_malformed"),
    "code not UTF-8": (with_raw("code", "%ff%fe"), 400, "request_malformed"),
    "code not ASCII": (with_raw("code", "%C3%A9"), 400, "code_malformed"),
    "broken percent": (and_raw("x=%g1"), 400, "request_malformed"),
    "iss twice": (and_raw("iss=a&iss=b"), 400, "parameter_repeated"),
    "error twice": (and_raw("error=a&error=b"), 400, "parameter_repeated"),
    "60 parameters": (and_raw("&".join(f"p{n}=1" for n in range(60))), 400, "request_malformed"),
}
WITH_STATE: dict[str, tuple[Change, int, str]] = {
    "no state": (without("state"), 400, "state_missing"),
    "empty state": (with_raw("state", ""), 400, "state_missing"),
    "foreign state": (with_raw("state", "A" * 43), 400, "state_unknown"),
    "state twice": (and_raw("state=b"), 400, "parameter_repeated"),
    "an error without its state": (lambda _: "error=access_denied", 400, "state_missing"),
    "an error with a foreign state": (lambda _: "error=access_denied&state=x", 400, "state_unknown"),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_refused_before_anything_is_spent(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    back = merchant.decide(provider)
    simulator, found = stack.simulator(provider), query(back)
    calls, flows, connections = len(simulator.calls()), stack.rows("flows"), stack.connections()
    address = back.location.partition("?")[0]
    cases = ANYWHERE if provider == "notifyvisitors" else ANYWHERE | WITH_STATE
    for name, (change, status, reason) in cases.items():
        page = merchant.browser.open(f"{address}?{change(found)}", back.initiator)
        assert f"<code>{reason}</code>" in page.text, f"{name}: {page.status} {page.text[-600:]}"
        check_failure(stack, page, status, reason)
        assert page.all("set-cookie") == [], name
    assert len(simulator.calls()) == calls
    assert stack.rows("flows") == flows
    assert stack.connections() == connections
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_another_browser_cannot_finish_it(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    back = merchant.decide(provider)
    calls, flows = len(stack.simulator(provider).calls()), stack.rows("flows")
    stranger = Visitor(merchant.seen)
    check_failure(stack, stranger.follow(back), 400, "state_unknown")
    # A flow of the stranger's own does not help either: its state is another one.
    other = Merchant(stack, merchant.seen)
    other.browser.follow(other.start(provider))
    if provider != "notifyvisitors":
        check_failure(stack, other.browser.follow(back), 400, "state_unknown")
    assert len(stack.simulator(provider).calls()) == calls
    assert stack.rows("flows") == flows
    assert other.rows() == []
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]


def test_a_cookie_that_stands_there_twice(stack: RunningStack, merchant: Merchant) -> None:
    back = merchant.decide("xeno")
    jar = merchant.browser.jar(stack.base_url)
    (name,) = jar
    value = jar.pop(name)
    page = merchant.browser.open(back.location, back.initiator, Cookie=f"{name}=1~tossed; {name}={value}")
    check_failure(stack, page, 400, "cookie_repeated")
    assert page.all("set-cookie")[0].startswith(f"{name}=; Max-Age=0")
    assert merchant.rows() == []


@pytest.mark.parametrize("change", ["drop a field", "other state", "garbage", "empty"])
def test_a_cookie_that_was_changed(stack: RunningStack, merchant: Merchant, change: str) -> None:
    back = merchant.decide("xeno")
    jar = merchant.browser.jar(stack.base_url)
    (name,) = jar
    fields = jar[name].split("~")
    changed = {
        "drop a field": fields[:-1],
        "other state": [*fields[:3], "x" * 43, *fields[4:]],
        "garbage": ["%00", "\u00ff"],
        "empty": [""],
    }
    jar[name] = "~".join(changed[change])
    check_failure(stack, merchant.browser.follow(back), 400, "state_unknown")
    assert merchant.rows() == []


def test_a_flow_is_bound_to_its_provider(stack: RunningStack, merchant: Merchant) -> None:
    back = merchant.decide("xeno")
    moved = back.location.replace("/callback/xeno", "/callback/whatconverts")
    check_failure(stack, merchant.browser.open(moved, back.initiator), 400, "state_unknown")
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]


def test_one_slash_at_the_end_is_taken_off_and_nothing_else(stack: RunningStack, merchant: Merchant) -> None:
    back = merchant.decide("whatconverts")
    address, _, rest = back.location.partition("?")
    for tail, status, reason in (
        ("//", 404, "provider_unknown"),
        ("/x", 404, "provider_unknown"),
        ("/%2f", 404, "provider_unknown"),
    ):
        check_failure(stack, merchant.browser.open(f"{address}{tail}?{rest}", back.initiator), status, reason)
    page = merchant.browser.open(f"{address}/?{rest}", back.initiator)
    assert returned(page)["status"] == ["connected"]


def test_a_post_is_only_for_questions(stack: RunningStack, merchant: Merchant) -> None:
    back = merchant.decide("xeno")
    page = merchant.browser.request("POST", back.location, initiator=Initiator(back.location))
    check_failure(stack, page, 405, "method_not_allowed")
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]


def test_another_error_of_the_provider_is_a_page_without_its_words(
    stack: RunningStack, merchant: Merchant
) -> None:
    back = merchant.decide("xeno", "deny")
    words = "error=server_error&error_description=%3Cb%3ECall+0900%3C%2Fb%3E"
    address = back.location.replace("error=access_denied", words)
    page = merchant.browser.open(address, back.initiator)
    check_failure(stack, page, 502, "provider_error")
    assert "0900" not in page.text
    assert "Back to" in page.text
    assert merchant.rows() == []


def test_without_a_state_the_way_back_must_come_from_the_provider(
    stack: RunningStack, merchant: Merchant
) -> None:
    back = merchant.decide("notifyvisitors")
    calls, flows = len(stack.simulator("notifyvisitors").calls()), stack.rows("flows")
    foreign = merchant.browser.open(back.location, Initiator("http://evil.example/"))
    check_failure(stack, foreign, 400, "referer_foreign")
    asked = merchant.browser.open(back.location, TYPED)
    assert asked.status == 200
    assert 'data-page="confirm_return"' in asked.text
    forced = merchant.browser.request(
        "POST",
        back.location,
        initiator=Initiator("http://evil.example/"),
        headers={"Origin": "http://evil.example"},
    )
    check_failure(stack, forced, 403, "cross_site")
    assert len(stack.simulator("notifyvisitors").calls()) == calls
    assert stack.rows("flows") == flows
    assert returned(merchant.browser.submit(asked))["status"] == ["connected"]
