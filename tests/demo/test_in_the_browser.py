"""The demo's page in headless Chromium: it follows what Mooring lists, and works without its script."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local.demo import Demo
from local.demo.words import left_words
from tests.demo.fake_mooring import FakeMooring, connection
from tests.demo.test_demo import told

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; its `complaints` fail the test that asks for them."""
    opened = browser.new_page()
    yield opened
    opened.close()


def test_a_new_connection_appears_by_itself_and_the_focus_stays(
    page: Page, demo: Demo, mooring: FakeMooring
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(demo.url)
    page.focus("#connect-yotpo")
    expect(page.get_by_text("Nothing is connected yet.")).to_be_visible()
    with page.expect_response("**/connections.json"):
        pass
    mooring.show([connection("yotpo", "store-1")])
    expect(page.locator("[data-connection='yotpo#store-1']")).to_be_visible(timeout=8_000)
    expect(page.locator("#connect-yotpo")).to_have_text("Reconnect Yotpo")
    expect(page.locator("#connect-yotpo")).to_be_focused()
    expect(page.locator("#news")).to_have_text("The connections have changed.")
    assert complaints == []


def test_an_event_appears_by_itself(page: Page, demo: Demo) -> None:
    said: list[dict[str, object]] = []
    demo.listen(lambda: said)
    page.goto(demo.url)
    expect(page.locator("[data-event]")).to_have_count(0)
    with page.expect_response("**/connections.json"):
        pass
    said.append(told("Connection Established"))
    expect(page.locator("[data-event]")).to_contain_text("Connection Established · Yotpo", timeout=8_000)
    said.append(told("Connection Expiring", 2))
    expect(page.locator("[data-event]").first).to_contain_text("in time", timeout=8_000)


def test_a_renewal_is_seen_and_the_time_left_counts_down(
    page: Page, demo: Demo, mooring: FakeMooring
) -> None:
    now = int(time.time())
    mooring.show([connection("whatconverts", expires_at=now + 40), connection("xeno", "team-1")])
    page.goto(demo.url)
    row = page.locator("[data-connection='whatconverts#default']")
    first = row.locator(".left").inner_text()
    assert re.fullmatch(r"3\d s", first)
    expect(row.locator(".left")).not_to_have_text(first, timeout=4_000)
    mooring.show([connection("whatconverts", expires_at=now + 280, version=2), connection("xeno", "team-1")])
    expect(row.locator(".version.grown")).to_have_text("2", timeout=8_000)
    assert re.fullmatch(r"4 min \d+ s", row.locator(".left").inner_text())
    other = page.locator("[data-connection='xeno#team-1']")
    expect(other.locator(".version.grown")).to_have_count(0)
    expect(other.locator(".left")).to_have_text("no end")


def test_the_script_says_what_the_server_says(page: Page, demo: Demo) -> None:
    page.goto(demo.url)
    for seconds in (0, 1, 59, 60, 61, 3_599, 3_600, 86_399, 86_400, 200_000):
        assert page.evaluate(f"leftWords({seconds})") == left_words(seconds)


def test_a_change_before_the_first_look_is_not_missed(page: Page, demo: Demo, mooring: FakeMooring) -> None:
    def change_meanwhile(route: Route) -> None:
        mooring.show([connection("yotpo", "store-1")])
        route.continue_()

    page.route("**/static/demo.js", change_meanwhile)
    page.goto(demo.url)
    expect(page.locator("[data-connection='yotpo#store-1']")).to_be_visible(timeout=8_000)


def test_disconnect_and_connect_again(page: Page, demo: Demo, mooring: FakeMooring) -> None:
    mooring.show([connection("yotpo", "store-1"), connection("yotpo", "store-2")])
    page.goto(f"{demo.url}/?merchant=m-2")
    page.get_by_role("button", name="Disconnect Yotpo store-2").click()
    expect(page.get_by_role("status")).to_contain_text("Yotpo is disconnected.")
    assert ("DELETE", "/merchants/m-2/connections/yotpo/store-2") in [call[:2] for call in mooring.calls]
    mooring.show([connection("yotpo", "store-1"), connection("yotpo", "store-2", status="disconnected")])
    page.get_by_role("button", name="Connect again Yotpo store-2").click(timeout=8_000)
    page.wait_for_url(f"{mooring.base_url}/authorize/yotpo?link=*")


def test_trouble_appears_and_goes_by_itself(page: Page, demo: Demo, mooring: FakeMooring) -> None:
    page.goto(demo.url)
    with page.expect_response("**/connections.json"):
        pass
    mooring.status = 500
    expect(page.get_by_text("The connections cannot be shown.")).to_be_visible(timeout=8_000)
    mooring.status = 200
    expect(page.get_by_text("Nothing is connected yet.")).to_be_visible(timeout=8_000)


def test_a_demo_that_stopped_says_so(page: Page, demo: Demo) -> None:
    page.goto(demo.url)
    expect(page.locator("#offline")).to_be_hidden()
    demo.stop()
    expect(page.locator("#offline")).to_be_visible(timeout=8_000)


def test_the_page_works_without_scripts_and_the_button_leads_to_mooring(
    browser: Browser, demo: Demo, mooring: FakeMooring
) -> None:
    mooring.show([connection("xeno", "team-1")])
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{demo.url}/?merchant=m-2")
    expect(page.locator("[data-connection='xeno#team-1']")).to_be_visible()
    page.get_by_role("button", name="Connect Yotpo", exact=True).click()
    page.wait_for_url(f"{mooring.base_url}/authorize/yotpo?link=*")
    # Not simply the last one: the browser asks for an icon as well, when it likes.
    headers = next(headers for path, headers in mooring.seen if path.startswith("/authorize/yotpo?link="))
    assert headers["Referer"] == f"{demo.url}/"
    context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_needs_sideways_scrolling(
    browser: Browser, demo: Demo, mooring: FakeMooring, width: int
) -> None:
    mooring.show(
        [
            connection("yotpo", "a" * 40, status="needs_reconnect", last_error="provider_misconfigured"),
            connection("xeno", "team-1", scopes=["widgets", "conversations"], expires_at=int(time.time())),
        ]
    )
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(f"{demo.url}/?status=connected&connection=yotpo%23{'a' * 40}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
