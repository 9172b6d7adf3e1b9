"""What is peculiar about the simulated WhatConverts."""

from typing import Any

import pytest

from tests.simulators.drive import CLIENT_ID, CLIENT_SECRET, Driver, Start, landing, without


@pytest.fixture
def wc(start: Start) -> Driver:
    return start("whatconverts", access_token_seconds=100)


def refresh_body(refresh_token: str) -> dict[str, str]:
    return {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": refresh_token,
    }


def leads(wc: Driver, answer: dict[str, Any]) -> int:
    return wc.get("/api/v1/leads", Authorization=f"Bearer {answer['access_token']}").status_code


def test_the_answer_has_a_refresh_token_and_a_lifetime(wc: Driver) -> None:
    answer = wc.connect()
    assert set(answer) == {"access_token", "refresh_token", "expires_in", "token_type"}
    assert answer["expires_in"] == 100
    (live,) = wc.live_tokens()
    assert (live["scope"], live["expires_at"]) == ("read_leads", wc.clock.now + 100)
    assert live["refresh_token"] == answer["refresh_token"]


def test_the_access_token_expires(wc: Driver) -> None:
    answer = wc.connect()
    assert leads(wc, answer) == 200
    wc.clock.now += 100
    assert leads(wc, answer) == 401
    assert wc.live_tokens() == []


def test_a_refresh_works_after_expiry_and_keeps_the_refresh_token(wc: Driver) -> None:
    first = wc.connect()
    wc.clock.now += 1_000
    second = wc.token(refresh_body(first["refresh_token"])).json()
    assert second["refresh_token"] == first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert leads(wc, second) == 200
    assert wc.last_call() == ("api", "ok")
    assert wc.calls()[-2]["outcome"] == "refreshed"


def test_rotation_ends_the_old_refresh_token(start: Start) -> None:
    wc = start("whatconverts", rotate_refresh_tokens=True)
    first = wc.connect()
    second = wc.token(refresh_body(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert wc.refused(wc.token(refresh_body(first["refresh_token"])))
    assert leads(wc, second) == 200


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
def test_a_refresh_refuses_missing_and_wrong_values(wc: Driver, name: str) -> None:
    body = refresh_body(wc.connect()["refresh_token"])
    assert wc.refused(wc.token(without(body, name)))
    assert wc.refused(wc.token(body | {name: "wrong"}))


def test_a_refresh_with_a_code_and_an_unknown_grant_type_are_refused(wc: Driver) -> None:
    body = refresh_body(wc.connect()["refresh_token"])
    assert wc.refused(wc.token(body | {"code": "x"}))
    assert wc.refused(wc.token(body | {"grant_type": "password"}))
    assert wc.last_call() == ("token", "unsupported_grant_type")


@pytest.mark.parametrize(
    "body", ["[]", '"text"', "{", '{"grant_type": ["authorization_code"]}', "[" * 50_000]
)
def test_a_body_that_is_no_object_of_strings_is_refused(wc: Driver, body: str) -> None:
    answer = wc.post("/oauth/token", body.encode(), **{"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) in {
        (400, "invalid_request"),
        (400, "unsupported_grant_type"),
    }


def test_a_json_name_that_stands_twice_is_refused(wc: Driver) -> None:
    body = '{"grant_type":"authorization_code","grant_type":"authorization_code"}'
    answer = wc.post("/oauth/token", body.encode(), **{"Content-Type": "application/json"})
    assert answer.json()["error"] == "invalid_request"


def test_state_is_echoed_only_where_it_came(wc: Driver) -> None:
    assert set(landing(wc.decide(state=None))) == {"code"}
