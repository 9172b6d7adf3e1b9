"""The test controls: what was seen, names only; resetting; planning with care; loopback names only."""

import pytest

from local.simulators import SimulatorConfig
from tests.simulators.drive import CLIENT_SECRET, Driver, Start


def test_calls_name_parameters_and_hold_no_value(driver: Driver) -> None:
    driver.connect()
    token_call = driver.calls()[-1]
    assert token_call == {
        "endpoint": "token",
        "method": "POST",
        "outcome": "issued",
        "parameters": sorted(driver.token_body("x")),
        "began_at": driver.clock.now,
        "at": driver.clock.now,
    }
    text = driver.get("/_sim/calls").text
    assert CLIENT_SECRET not in text
    assert driver.live_tokens()[0]["access_token"] not in text


def test_a_token_in_the_query_is_seen_by_name_alone(start: Start) -> None:
    yotpo = start("yotpo")
    yotpo.get("/v2/store/info", {"access_token": "canary"})
    assert yotpo.calls()[-1]["parameters"] == ["access_token"]
    assert "canary" not in yotpo.get("/_sim/calls").text


def test_reset_forgets_everything(driver: Driver) -> None:
    body = driver.token_body(driver.code())
    driver.connect()
    driver.misbehave("token", "http_500")
    driver.post("/elsewhere", {})
    driver.post("/_sim/reset", {})
    assert driver.calls() == []
    assert driver.live_tokens() == []
    assert driver.get("/_sim/elsewhere").json() == {"count": 0}
    assert driver.refused(driver.token(body))


@pytest.mark.parametrize(
    "wish",
    [
        {"endpoint": "consent", "mode": "http_500"},
        {"endpoint": "token", "mode": "unheard_of"},
        {"endpoint": "token", "mode": "huge", "times": -1},
        {"endpoint": "token", "mode": "huge", "times": "many"},
        {"mode": "huge"},
        ["huge"],
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_words(driver: Driver, wish: object) -> None:
    answer = driver.post("/_sim/misbehave", wish, "json")
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_other_host_names_are_refused(driver: Driver) -> None:
    assert driver.get("/_sim/tokens", Host="evil.example").status_code == 421
    assert driver.get("/_sim/tokens", Host="localhost").status_code == 200


def test_secrets_do_not_stand_in_the_configs_repr() -> None:
    shown = repr(SimulatorConfig("id", "canary-1", "http://127.0.0.1/"))
    assert "canary" not in shown


def test_nothing_is_printed(driver: Driver, capfd: pytest.CaptureFixture[str]) -> None:
    driver.connect()
    driver.get("/nowhere")
    assert capfd.readouterr() == ("", "")
