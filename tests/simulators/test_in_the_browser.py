"""The consent pages in headless Chromium: script, form and way back."""

from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local.simulators.yotpo import STORES
from tests.simulators.drive import CLIENT_ID, REDIRECT_URI, STATE, Driver, Start

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose way back ends in an answer of ours; any complaint on its console fails the test."""
    complaints: list[str] = []

    def landed(route: Route) -> None:
        route.fulfill(body="landed", content_type="text/plain")

    opened = browser.new_page()
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.route(f"{REDIRECT_URI}**", landed)
    yield opened
    opened.close()
    assert complaints == []


def install_url(driver: Driver, application_id: str = CLIENT_ID, state: str = STATE) -> str:
    named = quote(application_id, safe="")
    return f"{driver.base_url}/app/#/install/applications/{named}?state={quote(state, safe='')}"


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_yotpos_script_reads_the_fragment_and_the_store_is_chosen(start: Start, page: Page) -> None:
    driver = start("yotpo")
    page.goto(install_url(driver))
    assert page.locator("input[name=application_id]").input_value() == CLIENT_ID
    assert page.locator("input[name=state]").input_value() == STATE
    assert page.locator("#unreadable").is_hidden()
    page.select_option("select[name=app_key]", label="Brightcart Europe")
    page.click("button[value=approve]")
    page.wait_for_url(f"{REDIRECT_URI}**")
    back = query(page)
    assert back["state"] == [STATE]
    assert STORES[back["app_key"][0]] == "Brightcart Europe"
    assert driver.token(driver.token_body(back["code"][0])).status_code == 200


def test_yotpos_page_follows_another_fragment(start: Start, page: Page) -> None:
    driver = start("yotpo")
    page.goto(install_url(driver, state="one"))
    page.goto(install_url(driver, state="two"))
    assert page.locator("input[name=state]").input_value() == "two"


@pytest.mark.parametrize(
    "fragment", ["", "#/install/applications/", "#/elsewhere/x?state=y", "#/install/applications/%E0"]
)
def test_yotpos_page_says_when_the_fragment_names_no_application(
    start: Start, page: Page, fragment: str
) -> None:
    page.goto(f"{start('yotpo').base_url}/app/{fragment}")
    assert page.locator("#unreadable").is_visible()
    assert page.locator("input[name=application_id]").input_value() == ""


@pytest.mark.parametrize("provider", ["notifyvisitors", "xeno", "whatconverts"])
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_the_form_leads_back(start: Start, page: Page, provider: str, decision: str) -> None:
    driver = start(provider)
    query_string = "&".join(f"{n}={quote(v, safe='')}" for n, v in driver.spec.authorize.items())
    page.goto(f"{driver.base_url}{driver.spec.authorize_path}?{query_string}")
    page.click(f"button[value={decision}]")
    page.wait_for_url(f"{REDIRECT_URI}**")
    assert ("code" in query(page)) is (decision == "approve")
    assert ("error" in query(page)) is (decision == "deny")


def test_xenos_boxes_become_the_scope(start: Start, page: Page) -> None:
    driver = start("xeno")
    page.goto(f"{driver.base_url}/oauth/authorize?client_id={quote(CLIENT_ID)}&scope=widgets+faqs+contacts")
    page.uncheck("input[value=faqs]")
    page.click("button[value=approve]")
    page.wait_for_url(f"{REDIRECT_URI}**")
    body = driver.token_body(query(page)["code"][0])
    body.pop("redirect_uri")
    assert driver.token(body).json()["scope"] == "widgets contacts"


def test_the_way_back_carries_the_providers_origin_as_referer(start: Start, page: Page) -> None:
    driver = start("notifyvisitors")
    page.goto(
        f"{driver.base_url}/api/oauth/authorize?app_client_id={quote(CLIENT_ID)}&app_redirect_uri={REDIRECT_URI}"
    )
    with page.expect_request(f"{REDIRECT_URI}**") as landed:
        page.click("button[value=approve]")
    assert landed.value.all_headers()["referer"] == f"{driver.base_url}/"


def test_a_store_is_disconnected_on_yotpos_own_page(start: Start, page: Page) -> None:
    driver = start("yotpo")
    page.goto(f"{driver.base_url}/app/#/install/applications/x")
    page.get_by_role("link", name="See who has access").click()
    page.wait_for_url(f"{driver.base_url}/admin")
    expect(page.locator(".state.on")).to_have_count(0)
    driver.connect()
    expect(page.locator(".state.on")).to_have_count(1, timeout=8_000)
    page.get_by_role("button", name="Disconnect").click()
    page.wait_for_url(f"{driver.base_url}/admin")
    expect(page.locator(".state.on")).to_have_count(0)
    assert driver.live_tokens() == []


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_settings_page_needs_no_sideways_scrolling(browser: Browser, start: Start, width: int) -> None:
    driver = start("yotpo")
    driver.connect()
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(f"{driver.base_url}/admin")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.close()
