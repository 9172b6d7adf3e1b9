"""Providers that answer badly: one token call, a page that says so, nothing stored; a second try works."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.adapters.ssm import FORGET_SECONDS
from tests.e2e.running import PROVIDERS, RunningStack
from tests.e2e.story import Merchant, check_failure, returned
from tests.e2e.upkeep import wait_for
from tests.e2e.visitor import Page

INVALID = (502, "provider_answer_invalid")
UNAVAILABLE = (503, "provider_unavailable")
MODES = {
    "error_200": (400, "grant_refused"),
    "html_200": INVALID,
    "empty_token": INVALID,
    "missing_token": INVALID,
    "huge": INVALID,
    "redirect": INVALID,
    "reset": UNAVAILABLE,
    "http_500": UNAVAILABLE,
    "http_503": UNAVAILABLE,
    "http_429": UNAVAILABLE,
    "invalid_client": (500, "provider_misconfigured"),
    "invalid_grant": (400, "grant_refused"),
    "truncated_json": INVALID,
    "wrong_types": INVALID,
    "deep_json": INVALID,
    "gzip_bomb": INVALID,
}
SLOW = (
    ("drip_body", "xeno"),
    ("drip_headers", "whatconverts"),
    ("silence", "yotpo"),
    ("silence", "notifyvisitors"),
)
DEADLINE_SECONDS = 12


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_bad_answer_to_the_token_call(
    stack: RunningStack, merchant: Merchant, provider: str, mode: str
) -> None:
    simulator = stack.simulator(provider)
    back = merchant.decide(provider)
    calls = len(simulator.calls())
    simulator.misbehave(mode)
    page = merchant.browser.follow(back)
    check_failure(stack, page, *MODES[mode])
    assert [call["outcome"] for call in simulator.calls()[calls:]] == [mode]
    assert simulator.followed() == 0
    assert merchant.rows() == []
    assert page.all("set-cookie")[0].partition(";")[0].endswith("=")
    assert merchant.connect(provider).status == 303


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_byte_order_mark_does_no_harm(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    back = merchant.decide(provider)
    stack.simulator(provider).misbehave("bom")
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    assert (
        stack.cli("token", merchant.name, provider).strip()
        == (stack.simulator(provider).tokens()[-1]["access_token"])
    )


def test_slow_answers_end_at_the_deadline(stack: RunningStack, merchant: Merchant) -> None:
    calls = {provider: len(stack.simulator(provider).calls()) for provider in PROVIDERS}
    connections = stack.connections()
    stories = []
    for mode, provider in SLOW:
        tab = merchant.other_browser()
        stories.append((provider, tab, tab.decide(provider)))
        stack.simulator(provider).misbehave(mode)

    def finish(story: tuple[str, Merchant, Page]) -> float:
        _, tab, back = story
        started = time.monotonic()
        check_failure(stack, tab.browser.follow(back), 504, "provider_timeout")
        return time.monotonic() - started

    with ThreadPoolExecutor(len(stories)) as pool:
        seconds = list(pool.map(finish, stories))
    assert max(seconds) < DEADLINE_SECONDS + 3, seconds
    assert min(seconds) > 8, seconds
    assert stack.connections() == connections
    for provider, tab, _ in stories:
        # A dripping provider notes the call once it notices that nobody listens any more.
        deadline = time.monotonic() + 5
        while len(stack.simulator(provider).calls()) == calls[provider] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(stack.simulator(provider).calls()) == calls[provider] + 1
        tab.connect(provider)


def test_a_refused_secret_is_fetched_anew(stack: RunningStack, merchant: Merchant) -> None:
    name = "/mooring/local/xeno/client_secret"
    ssm, good = stack.aws("ssm"), stack.secrets["xeno"]
    merchant.connect("xeno")
    simulator = stack.simulator("xeno")
    back = merchant.decide("xeno")
    simulator.misbehave("invalid_client")
    ssm.put_parameter(Name=name, Value="canary-wrong-secret", Type="SecureString", Overwrite=True)

    def comes_back() -> Page:
        return merchant.browser.follow(merchant.decide("xeno"))

    def refused_for_the_secret() -> Page | None:
        if (page := comes_back()).status == 500:
            return page
        simulator.misbehave("invalid_client")
        comes_back()  # whoever answers forgets its secret, if half a minute has passed since it last did
        return None

    # Each process has a memory of its own, and which one answers is not ours to choose.
    try:
        check_failure(stack, merchant.browser.follow(back), 500, "provider_misconfigured")
        refused = wait_for(refused_for_the_secret, "a fresh secret", 2 * FORGET_SECONDS)
        assert refused is not None
        check_failure(stack, refused, 500, "provider_misconfigured")
        assert simulator.calls()[-1]["outcome"] == "invalid_client"
    finally:
        ssm.put_parameter(Name=name, Value=good, Type="SecureString", Overwrite=True)
    # Refused again and again, it is fetched anew once in half a minute.
    wait_for(lambda: comes_back().status == 303, "the good secret", 2 * FORGET_SECONDS)
    merchant.connect("xeno")


@pytest.mark.parametrize(
    ("mode", "status", "reason"),
    [
        ("http_503", 503, "identity_unavailable"),
        ("reset", 503, "identity_unavailable"),
        ("invalid_client", 503, "identity_unavailable"),
        ("html_200", 502, "account_missing"),
        ("wrong_types", 502, "account_missing"),
        ("huge", 503, "identity_unavailable"),
    ],
)
def test_an_account_that_cannot_be_learnt_is_asked_for_again(
    stack: RunningStack, merchant: Merchant, mode: str, status: int, reason: str
) -> None:
    simulator = stack.simulator("xeno")
    back = merchant.decide("xeno")
    calls = len(simulator.calls())
    simulator.misbehave(mode, "api", 2)
    for _ in range(2):
        page = merchant.browser.follow(back)
        check_failure(stack, page, status, reason)
        assert "Try again" in page.text
    assert merchant.rows() == []
    live = simulator.tokens()[-1]["access_token"]
    assert live.encode() not in repr(stack.rows("flows")).encode()
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    assert len(simulator.calls()) == calls + 1
    assert stack.cli("token", merchant.name, "xeno").strip() == live
