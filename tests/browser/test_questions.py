"""The two questions that Mooring asks: after a forced link, and after a return from somewhere unknown."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from local.simulators.server import LoopbackServer
from tests.browser.clicks import NAMES, open_demo
from tests.e2e.running import RunningStack


@pytest.fixture
def bait() -> Iterator[tuple[Flask, str]]:
    """Another site, on another host name than everything else here; its pages are added by the test."""
    app = Flask("bait")
    server = LoopbackServer(app)
    yield app, f"http://localhost:{server.port}"
    server.stop()


def test_a_link_on_another_site_asks_first(
    page: Page, stack: RunningStack, bait: tuple[Flask, str], screenshots: Path
) -> None:
    app, origin = bait
    merchant = f"m-{secrets.token_hex(6)}"
    link = stack.link("xeno", merchant, return_to=f"{stack.demo_url}/?merchant={merchant}")
    app.add_url_rule("/", view_func=lambda: f'<!doctype html><a id="bait" href="{link}">A prize!</a>')
    page.goto(origin)
    page.click("#bait")
    question = page.locator("main[data-page=forced_link]")
    expect(question).to_contain_text("Connect Xeno?")
    assert page.context.cookies(stack.base_url) == [], "nothing has begun"
    page.screenshot(path=screenshots / "forced-link.png")
    question.get_by_role("button").click()
    page.wait_for_url(f"{stack.info['providers']['xeno']}/**")
    page.click("button[value=approve]")
    page.wait_for_url(f"{stack.demo_url}/**")
    expect(page.locator(".banner.good")).to_contain_text("Xeno is connected.")
    assert len(stack.connections_of(merchant)) == 1


def test_another_site_cannot_press_the_button_itself(
    page: Page, stack: RunningStack, bait: tuple[Flask, str]
) -> None:
    app, origin = bait
    link = stack.link("xeno", f"m-{secrets.token_hex(6)}")
    form = f'<!doctype html><form method="post" action="{link}"><button id="bait">A prize!</button></form>'
    app.add_url_rule("/", view_func=lambda: form)
    page.goto(origin)
    page.click("#bait")
    expect(page.locator("main[data-page=cross_site]")).to_be_visible()
    assert page.context.cookies(stack.base_url) == []


def test_our_pages_cannot_be_framed(
    page: Page, stack: RunningStack, bait: tuple[Flask, str], complaints: list[str]
) -> None:
    app, origin = bait
    link = stack.link("xeno", f"m-{secrets.token_hex(6)}")
    app.add_url_rule("/", view_func=lambda: f'<!doctype html><iframe src="{link}"></iframe>')
    page.goto(origin, wait_until="load")
    framed = page.frames[1]
    assert framed.locator("main[data-page]").count() == 0
    assert "frame-ancestors" in complaints.pop()
    assert page.context.cookies(stack.base_url) == []


@pytest.fixture
def silent(playwright: Playwright, chromium: str, tmp_path: Path) -> Iterator[BrowserContext]:
    """A browser whose owner has switched referrers off."""
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    (profile / "Default/Preferences").write_text(json.dumps({"enable_referrers": False}))
    context = playwright.chromium.launch_persistent_context(
        profile, executable_path=chromium, args=["--no-sandbox"], viewport={"width": 1280, "height": 900}
    )
    yield context
    context.close()


def test_a_browser_without_referrers_is_asked_and_finishes(
    silent: BrowserContext, stack: RunningStack, screenshots: Path
) -> None:
    page = silent.new_page()
    page.set_default_timeout(15_000)
    merchant = open_demo(page, stack)
    page.click("#connect-notifyvisitors")
    forced = page.locator("main[data-page=forced_link]")
    expect(forced).to_contain_text("Connect NotifyVisitors?")
    forced.get_by_role("button").click()
    page.wait_for_url(f"{stack.info['providers']['notifyvisitors']}/**")
    page.click("button[value=approve]")
    question = page.locator("main[data-page=confirm_return]")
    expect(question).to_contain_text("Finish connecting NotifyVisitors?")
    page.screenshot(path=screenshots / "confirm-return.png")
    assert stack.connections_of(merchant) == []
    question.get_by_role("button").click()
    page.wait_for_url(f"{stack.demo_url}/**")
    expect(page.locator(".banner.good")).to_contain_text(f"{NAMES['notifyvisitors']} is connected.")
    assert len(stack.connections_of(merchant)) == 1
