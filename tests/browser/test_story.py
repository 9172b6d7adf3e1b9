"""The first thing a newcomer does: four providers, four clicks, four connections."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from local.simulators.yotpo import STORES
from tests.browser.clicks import NAMES, connect, decide, go_to_consent, open_demo
from tests.e2e.running import PROVIDERS, RunningStack


def test_four_connections_in_one_sitting(page: Page, stack: RunningStack, screenshots: Path) -> None:
    merchant = open_demo(page, stack)
    expect(page.get_by_text("Nothing is connected yet.")).to_be_visible()
    arrivals: list[str] = []
    page.on("request", lambda request: arrivals.append(request.url))
    for provider in PROVIDERS:
        connect(page, stack, provider)
    rows = page.locator("tr[data-connection]")
    expect(rows).to_have_count(4)
    expect(page.locator("tr[data-connection] .state.active")).to_have_count(4)
    expect(page.locator("[data-event]")).to_have_count(4, timeout=60_000)
    expect(page.locator("[data-event]").first).to_contain_text("Connection Established")
    listed = {row.get_attribute("data-connection") or "" for row in rows.all()}
    assert {name.partition("#")[0] for name in listed} == set(PROVIDERS)
    for provider in PROVIDERS:
        token = stack.simulator(provider).tokens()[-1]
        assert f"{provider}#{token['account']}" in listed
        assert token["access_token"] not in page.content()
        assert stack.cli("token", merchant, provider).strip() == token["access_token"]
    # NotifyVisitors adds a slash to the redirect URI.
    slashed = [url for url in arrivals if urlsplit(url).path == "/callback/notifyvisitors/"]
    assert len(slashed) == 1
    for cookie in page.context.cookies(stack.base_url):
        assert cookie["name"].startswith("__Host-mooring-flow.")
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
        assert "~" in cookie["value"]
        assert cookie["value"].startswith("d1~"), "only markers of finished flows are left"
    page.screenshot(path=screenshots / "four-connections.png")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_denying_changes_nothing(page: Page, stack: RunningStack, screenshots: Path, provider: str) -> None:
    merchant = open_demo(page, stack)
    go_to_consent(page, stack, provider)
    page.screenshot(path=screenshots / f"consent-{provider}.png")
    decide(page, stack, "deny")
    expect(page.locator(".banner.quiet")).to_contain_text("was not connected.")
    expect(page.locator("tr[data-connection]")).to_have_count(0)
    assert stack.connections_of(merchant) == []
    page.screenshot(path=screenshots / f"denied-{provider}.png")


def test_two_stores_of_yotpo_and_a_reconnect(page: Page, stack: RunningStack) -> None:
    open_demo(page, stack)
    first, second, *_ = STORES
    for store, generation in ((first, "1"), (second, "1"), (first, "2")):
        go_to_consent(page, stack, "yotpo")
        page.select_option("select[name=app_key]", store)
        decide(page, stack)
        row = page.locator(f"tr[data-connection='yotpo#{store}']")
        expect(row.locator("[data-label=Generation]")).to_have_text(generation)
    expect(page.locator("tr[data-connection]")).to_have_count(2)
    expect(page.locator("#connect-yotpo")).to_have_text("Reconnect Yotpo")


def test_two_tabs_at_once(page: Page, stack: RunningStack) -> None:
    merchant = open_demo(page, stack)
    other = page.context.new_page()
    open_demo(other, stack, merchant)
    go_to_consent(page, stack, "xeno")
    go_to_consent(other, stack, "xeno")
    for tab in (page, other):
        decide(tab, stack)
        expect(tab.locator(".banner.good")).to_contain_text("Xeno is connected.")
    (row,) = stack.connections_of(merchant)
    assert row["generation"]["N"] == "2"


def test_back_and_forward_do_no_harm(page: Page, stack: RunningStack) -> None:
    merchant = open_demo(page, stack)
    connect(page, stack, "whatconverts")
    calls = len(stack.simulator("whatconverts").calls())
    page.go_back()
    page.go_forward()
    expect(page.locator("tr[data-connection]")).to_have_count(1)
    assert len(stack.simulator("whatconverts").calls()) == calls
    (row,) = stack.connections_of(merchant)
    assert row["generation"]["N"] == "1"


def test_a_failure_page_leads_back_to_the_product(page: Page, stack: RunningStack, screenshots: Path) -> None:
    open_demo(page, stack)
    go_to_consent(page, stack, "whatconverts")
    stack.simulator("whatconverts").misbehave("http_503")
    page.click("button[value=approve]")
    expect(page.locator("main[data-page=provider_unavailable]")).to_be_visible()
    expect(page.locator("h1")).to_have_text("WhatConverts did not answer as it should")
    reference = page.locator(".ref code").first.inner_text()
    assert stack.log_line("callback", reference)["reason"] == "provider_unavailable"
    page.screenshot(path=screenshots / "failure.png")
    page.get_by_role("link", name="Back to").click()
    page.wait_for_url(f"{stack.demo_url}/**")
    banner = page.get_by_role("status")
    expect(banner).to_contain_text("could not be connected")
    expect(banner).to_contain_text(reference)
    connect(page, stack, "whatconverts")


def test_almost_done_and_try_again(page: Page, stack: RunningStack, screenshots: Path) -> None:
    open_demo(page, stack)
    go_to_consent(page, stack, "xeno")
    calls = len(stack.simulator("xeno").calls())
    stack.simulator("xeno").misbehave("http_503", "api")
    page.click("button[value=approve]")
    expect(page.locator("main[data-page=identity_unavailable]")).to_be_visible()
    page.screenshot(path=screenshots / "almost-done.png")
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url(f"{stack.demo_url}/**")
    expect(page.locator(".banner.good")).to_contain_text(f"{NAMES['xeno']} is connected.")
    assert len(stack.simulator("xeno").calls()) == calls + 1
