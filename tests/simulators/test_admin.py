"""The providers' own settings pages: who has access, and taking it back."""

from local.simulators.yotpo import STORES
from tests.simulators.drive import Driver, Start, landing

FIRST, SECOND, *_ = STORES
REMOVE = {"yotpo": "Disconnect", "xeno": "Uninstall app"}


def account_of(driver: Driver) -> str:
    account: str = driver.live_tokens()[0]["account"]
    return account


def test_the_start_page_leads_there_and_the_consent_page_too(driver: Driver) -> None:
    assert driver.get("/").headers["Location"] == "/admin"
    assert 'href="/admin"' in driver.authorize().text


def test_what_is_connected_is_shown_and_ends_with_the_button(driver: Driver) -> None:
    assert "●" not in driver.get("/admin").text.partition("<main>")[2]
    driver.connect()
    account = account_of(driver)
    page = driver.get("/admin").text
    assert page.count('class="state on"') == 1
    assert f'name="account" value="{account}"' in page
    assert f">{REMOVE.get(driver.provider, 'Take access back')}</button>" in page
    answer = driver.post("/admin/disconnect", {"account": account})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin")
    assert driver.live_tokens() == driver.get("/_sim/refresh_tokens").json() == []
    assert driver.last_call() == ("disconnect", "disconnected")
    page = driver.get("/admin").text
    assert 'class="state on"' not in page
    assert "Not connected" in page


def test_looking_leaves_no_line_in_the_call_log(driver: Driver) -> None:
    driver.get("/admin")
    assert driver.calls() == []


def test_what_cannot_be_disconnected_is_refused(driver: Driver) -> None:
    driver.connect()
    account = account_of(driver)
    assert driver.post("/admin/disconnect", {"account": "elsewhere"}).status_code == 400
    assert driver.post("/admin/disconnect", {}).status_code == 400
    foreign = driver.post("/admin/disconnect", {"account": account}, Origin="https://evil.example")
    assert foreign.status_code == 400
    assert driver.last_call() == ("disconnect", "foreign_form")
    assert account_of(driver) == account
    assert driver.post("/admin/disconnect", {"account": account}).status_code == 303
    assert driver.post("/admin/disconnect", {"account": account}).status_code == 400


def test_every_store_of_yotpo_is_listed_and_each_is_connected_on_its_own(start: Start) -> None:
    yotpo = start("yotpo")
    yotpo.connect(app_key=SECOND)
    page = yotpo.get("/admin").text
    assert all(name in page and key in page for key, name in STORES.items())
    assert page.count("Not connected") == len(STORES) - 1
    assert f'<input type="hidden" name="account" value="{SECOND}">' in page


def test_a_disconnected_store_can_be_installed_again_at_once(start: Start) -> None:
    yotpo = start("yotpo")
    yotpo.connect(app_key=FIRST)
    yotpo.connect(app_key=SECOND)
    yotpo.post("/admin/disconnect", {"account": SECOND})
    assert f'<option value="{SECOND}" selected>' in yotpo.authorize().text
    assert landing(yotpo.decide(app_key=SECOND))["app_key"] == SECOND
    yotpo.connect(app_key=SECOND)
    assert yotpo.get("/admin").text.count('class="state on"') == 2
    assert f'<option value="{FIRST}" selected>' in yotpo.authorize().text


def test_an_uninstalled_team_of_xeno_is_refused_by_its_api(start: Start) -> None:
    xeno = start("xeno")
    token = xeno.connect(login="a@shop.example")["access_token"]
    other = xeno.connect(login="b@shop.example")["access_token"]
    assert xeno.get("/api/me", Authorization=f"Bearer {token}").status_code == 200
    xeno.post("/admin/disconnect", {"account": xeno.live_tokens()[0]["account"]})
    assert xeno.get("/api/me", Authorization=f"Bearer {token}").status_code == 401
    assert xeno.get("/api/me", Authorization=f"Bearer {other}").status_code == 200
    assert xeno.get("/_sim/notices").json() == []


def test_the_page_runs_its_own_script_alone(driver: Driver) -> None:
    policy = driver.get("/admin").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
