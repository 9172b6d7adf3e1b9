"""What a provider may do at a refresh: rotate, allow a grace, end a family, omit, dawdle, lose its answer."""

import threading
import time
from typing import Any

import pytest
import requests

from tests.simulators.drive import CLIENT_ID, CLIENT_SECRET, Driver, Start


@pytest.fixture
def wc(start: Start) -> Driver:
    return start("whatconverts", access_token_seconds=100)


def options(driver: Driver, **wish: Any) -> requests.Response:
    return driver.post("/_sim/options", wish, "json")


def refresh(driver: Driver, refresh_token: str) -> requests.Response:
    body = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": refresh_token,
    }
    return driver.token(body)


def accepted(driver: Driver) -> list[str]:
    """The refresh tokens that the provider says it would take."""
    return [one["refresh_token"] for one in driver.get("/_sim/refresh_tokens").json()]


def leads(driver: Driver, answer: dict[str, Any]) -> int:
    return driver.get("/api/v1/leads", Authorization=f"Bearer {answer['access_token']}").status_code


def test_without_rotation_the_refresh_token_stays(wc: Driver) -> None:
    first = wc.connect()
    for _ in range(3):
        assert refresh(wc, first["refresh_token"]).json()["refresh_token"] == first["refresh_token"]
    assert accepted(wc) == [first["refresh_token"]]


def test_with_rotation_every_refresh_token_works_once(wc: Driver) -> None:
    options(wc, rotation="always")
    first = wc.connect()
    second = refresh(wc, first["refresh_token"]).json()
    assert accepted(wc) == [second["refresh_token"]] != [first["refresh_token"]]
    assert refresh(wc, first["refresh_token"]).json()["error"] == "invalid_grant"
    assert wc.last_call() == ("token", "reused")
    assert not wc.refused(refresh(wc, second["refresh_token"]))


def test_reuse_can_end_the_family_and_no_other(wc: Driver) -> None:
    options(wc, rotation="always", reuse="revoke_family")
    other, first = wc.connect(), wc.connect()
    second = refresh(wc, first["refresh_token"]).json()
    assert wc.refused(refresh(wc, first["refresh_token"]))
    assert wc.refused(refresh(wc, second["refresh_token"]))
    assert wc.last_call() == ("token", "invalid_grant")
    assert [leads(wc, answer) for answer in (first, second, other)] == [401, 401, 200]
    assert accepted(wc) == [other["refresh_token"]]


def test_the_replaced_one_works_within_its_grace(wc: Driver) -> None:
    options(wc, rotation="always", reuse="revoke_family", grace_seconds=30)
    first = wc.connect()
    second = refresh(wc, first["refresh_token"]).json()
    assert accepted(wc) == [first["refresh_token"], second["refresh_token"]]
    assert wc.get("/_sim/refresh_tokens").json()[0]["until"] == wc.clock.now + 30
    wc.clock.now += 29
    again = refresh(wc, first["refresh_token"]).json()
    assert again["refresh_token"] == second["refresh_token"]
    assert again["access_token"] != second["access_token"]
    wc.clock.now += 1
    assert accepted(wc) == [second["refresh_token"]]
    assert wc.refused(refresh(wc, first["refresh_token"]))
    assert accepted(wc) == []


def test_only_the_latest_replaced_one_has_a_grace(wc: Driver) -> None:
    options(wc, rotation="always", grace_seconds=30)
    first = wc.connect()
    second = refresh(wc, first["refresh_token"]).json()
    third = refresh(wc, second["refresh_token"]).json()
    assert wc.refused(refresh(wc, first["refresh_token"]))
    assert accepted(wc) == [second["refresh_token"], third["refresh_token"]]


def test_an_answer_may_leave_the_refresh_token_out_and_then_nothing_rotates(wc: Driver) -> None:
    options(wc, rotation="always", send_refresh_token=False)
    first = wc.connect()
    assert first["refresh_token"]
    answer = refresh(wc, first["refresh_token"]).json()
    assert set(answer) == {"access_token", "expires_in", "token_type"}
    assert accepted(wc) == [first["refresh_token"]]


@pytest.mark.parametrize(("ends", "status"), [(False, 200), (True, 401)])
def test_an_earlier_access_token_lives_on_or_ends(wc: Driver, ends: bool, status: int) -> None:
    options(wc, ends_access_token=ends)
    first, other = wc.connect(), wc.connect()
    second = refresh(wc, first["refresh_token"]).json()
    assert [leads(wc, answer) for answer in (first, second, other)] == [status, 200, 200]


def test_the_tokens_that_are_shown_are_the_ones_that_work(wc: Driver) -> None:
    options(wc, rotation="always")
    first = wc.connect()
    second = refresh(wc, first["refresh_token"]).json()
    shown = {one["access_token"]: one["refresh_token"] for one in wc.live_tokens()}
    assert shown == {first["access_token"]: None, second["access_token"]: second["refresh_token"]}
    wc.clock.now += 100
    assert wc.live_tokens() == []
    assert accepted(wc) == [second["refresh_token"]]


def test_the_life_of_new_tokens_can_be_changed(wc: Driver) -> None:
    options(wc, access_token_seconds=7)
    assert wc.connect()["expires_in"] == 7
    assert wc.live_tokens()[0]["expires_at"] == wc.clock.now + 7


def test_an_answer_that_is_lost_has_rotated_all_the_same(wc: Driver) -> None:
    options(wc, rotation="always")
    first = wc.connect()
    wc.misbehave("token", "lost")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        refresh(wc, first["refresh_token"])
    assert wc.last_call() == ("token", "refreshed")
    (current,) = accepted(wc)
    assert current != first["refresh_token"]
    assert wc.refused(refresh(wc, first["refresh_token"]))


@pytest.mark.parametrize(("name", "issued_early"), [("delay_before_seconds", 1), ("delay_after_seconds", 2)])
def test_a_slow_token_endpoint_waits_before_or_after_its_work(
    wc: Driver, name: str, issued_early: int
) -> None:
    first = wc.connect()
    options(wc, **{name: 0.6})
    began = time.monotonic()
    slow = threading.Thread(target=refresh, args=(wc, first["refresh_token"]))
    slow.start()
    time.sleep(0.3)
    assert len(wc.live_tokens()) == issued_early
    slow.join()
    assert time.monotonic() - began >= 0.6
    assert len(wc.live_tokens()) == 2


def test_of_many_at_once_one_wins_where_tokens_rotate(wc: Driver) -> None:
    options(wc, rotation="always")
    first = wc.connect()
    threads = [threading.Thread(target=refresh, args=(wc, first["refresh_token"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = [call["outcome"] for call in wc.calls() if call["endpoint"] == "token"]
    assert sorted(outcomes) == ["issued", "refreshed", *["reused"] * 7]


def test_one_grant_can_be_revoked_by_either_of_its_tokens(wc: Driver) -> None:
    first, second, third = wc.connect(), wc.connect(), wc.connect()
    by_refresh = wc.post("/_sim/revoke", {"token": first["refresh_token"]}, "json").json()
    by_access = wc.post("/_sim/revoke", {"token": second["access_token"]}, "json").json()
    assert by_refresh == by_access == {"ok": True, "access_tokens": 1, "families": 1}
    assert [leads(wc, answer) for answer in (first, second, third)] == [401, 401, 200]
    assert accepted(wc) == [third["refresh_token"]]
    nothing = wc.post("/_sim/revoke", {"token": first["refresh_token"]}, "json").json()
    assert (nothing["access_tokens"], nothing["families"]) == (0, 0)


@pytest.mark.parametrize(
    "wish",
    [
        {"rotation": "sometimes"},
        {"reuse": True},
        {"grace_seconds": -1},
        {"grace_seconds": "5"},
        {"access_token_seconds": 0},
        {"access_token_seconds": True},
        {"send_refresh_token": 1},
        {"delay_after_seconds": 61},
        {"surprise": 1},
        ["rotation"],
    ],
)
def test_options_that_make_no_sense_are_refused_and_change_nothing(wc: Driver, wish: object) -> None:
    before = wc.get("/_sim/options").json()
    answer = wc.post("/_sim/options", wish, "json")
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert wc.get("/_sim/options").json() == before


def test_options_that_mean_nothing_at_a_provider_are_refused_there(start: Start) -> None:
    xeno = start("xeno")
    assert options(xeno, rotation="always").status_code == 400
    assert options(xeno, delay_before_seconds=0).status_code == 200
    assert set(xeno.get("/_sim/options").json()) == {"delay_before_seconds", "delay_after_seconds"}


def test_reset_brings_the_first_behaviour_back(start: Start) -> None:
    wc = start("whatconverts", rotate_refresh_tokens=True, access_token_seconds=240)
    before = wc.get("/_sim/options").json()
    assert (before["rotation"], before["access_token_seconds"]) == ("always", 240)
    options(wc, rotation="never", access_token_seconds=5, grace_seconds=9)
    wc.post("/_sim/reset", {})
    assert wc.get("/_sim/options").json() == before
    assert accepted(wc) == []
