"""Providers without a state: bound by cookie, and by where the browser says it comes from."""

import pytest

from mooring.core.errors import Reason
from tests.core.signing import APP, BASE_URL, RETURN_TO
from tests.flows.world import Browser, World, refusal, sent

PROVIDER = {"referer": "https://acme.example/consent?x=1"}
OUR_PAGE = {"sec-fetch-site": "same-origin"}


def test_the_providers_own_page_led_here(world: World, browser: Browser) -> None:
    world.start(browser, "stateless")
    assert world.callback(browser, "code=c", "stateless", headers=PROVIDER).outcome == "connected"
    assert [exchange.code for exchange in world.server.exchanges] == ["c"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"referer": ""},
        {"referer": "about:blank"},
        {"referer": f"{APP}/settings"},
        {"referer": f"{BASE_URL}/x"},
    ],
)
def test_when_nobody_says_or_it_was_the_product_the_merchant_is_asked(
    world: World, browser: Browser, headers: dict[str, str]
) -> None:
    world.start(browser, "stateless")
    result = world.callback(browser, "code=c", "stateless", headers=headers)
    assert (result.outcome, result.page, result.location) == ("asked", "confirm_return", None)
    assert world.untouched()
    assert len(browser.jar) == 1


@pytest.mark.parametrize(
    "referer",
    ["https://evil.example/", "https://acme.example.evil.example/", "http://acme.example/", "https://acme.example:444/",
     "https://sub.acme.example/", "https://ACME.example/"],
)  # fmt: skip
def test_a_foreign_page(world: World, browser: Browser, referer: str) -> None:
    world.start(browser, "stateless")
    failure = refusal(lambda: world.callback(browser, "code=EVIL", "stateless", headers={"referer": referer}))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.REFERER_FOREIGN, 400, RETURN_TO)
    assert world.untouched()
    assert len(browser.jar) == 1


@pytest.mark.parametrize("headers", [OUR_PAGE, {"origin": BASE_URL}])
def test_the_answer_of_our_own_page_finishes(world: World, browser: Browser, headers: dict[str, str]) -> None:
    world.start(browser, "stateless")
    world.callback(browser, "code=c", "stateless")
    result = world.callback(browser, "code=c", "stateless", method="POST", headers=headers)
    assert sent(result.location)["status"] == "connected"
    assert len(world.server.exchanges) == 1


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "null"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, PROVIDER,
     {"sec-fetch-site": "same-site", "origin": BASE_URL}],
)  # fmt: skip
def test_an_answer_from_anywhere_else(world: World, browser: Browser, headers: dict[str, str]) -> None:
    world.start(browser, "stateless")
    failure = refusal(
        lambda: world.callback(browser, "code=EVIL", "stateless", method="POST", headers=headers)
    )
    assert (failure.reason, failure.status) == (Reason.CROSS_SITE, 403)
    assert world.untouched()


def test_without_a_flow_nothing_is_asked(world: World, browser: Browser) -> None:
    failure = refusal(lambda: world.callback(browser, "code=c", "stateless", headers=PROVIDER))
    assert (failure.reason, failure.status) == (Reason.STATE_UNKNOWN, 400)
    assert world.untouched()


def test_a_flow_is_used_once(world: World, browser: Browser) -> None:
    world.start(browser, "stateless")
    jar = dict(browser.jar)
    world.callback(browser, "code=c1", "stateless", headers=PROVIDER)
    world.callback(browser, "code=c2", "stateless", headers=PROVIDER)
    browser.jar = jar
    world.callback(browser, "code=c3", "stateless", headers=PROVIDER)
    assert [exchange.code for exchange in world.server.exchanges] == ["c1"]


def test_a_state_in_the_query_is_not_looked_at(world: World, browser: Browser) -> None:
    world.start(browser, "stateless")
    result = world.callback(browser, "code=c&state=a&state=b", "stateless", headers=PROVIDER)
    assert result.outcome == "connected"


def test_an_error_from_nowhere_is_asked_about_and_from_the_provider_believed(
    world: World, browser: Browser
) -> None:
    world.start(browser, "stateless")
    assert world.callback(browser, "error=access_denied", "stateless").outcome == "asked"
    result = world.callback(browser, "error=access_denied", "stateless", headers=PROVIDER)
    assert (result.outcome, browser.jar) == ("denied", {})
    assert not world.server.exchanges


def test_a_success_without_a_success_field_in_the_return_needs_a_code(world: World, browser: Browser) -> None:
    world.start(browser, "stateless")
    failure = refusal(lambda: world.callback(browser, "status=success", "stateless", headers=PROVIDER))
    assert failure.reason is Reason.CODE_MISSING
    assert world.untouched()
