"""What is peculiar about the simulated Xeno."""

import pytest

from tests.simulators.drive import Driver, Start, landing, without


@pytest.fixture
def xeno(start: Start) -> Driver:
    return start("xeno")


def test_what_was_ticked_is_what_is_granted(xeno: Driver) -> None:
    answer = xeno.connect(granted=["conversations", "widgets"])
    assert answer["scope"] == "widgets conversations"
    assert set(answer) == {"access_token", "scope"}
    assert int(answer["access_token"], 16) > 0
    assert xeno.live_tokens()[0]["scope"] == "widgets conversations"


def test_all_boxes_are_ticked_at_first(xeno: Driver) -> None:
    page = xeno.authorize().text
    assert page.count('type="checkbox"') == page.count("checked") == 4
    assert '<input type="hidden" name="granted" value="widgets">' in page


@pytest.mark.parametrize("granted", [None, "admin", ["widgets", "admin"]])
def test_nothing_ticked_or_more_than_asked_is_refused(xeno: Driver, granted: object) -> None:
    assert xeno.decide(granted=granted).status_code == 400
    assert xeno.last_call() == ("consent", "invalid_scope")


def test_not_more_can_be_granted_than_was_asked(xeno: Driver) -> None:
    assert xeno.decide(scope="widgets", granted=["widgets", "faqs"]).status_code == 400


@pytest.mark.parametrize("scope", ["widgets,faqs", "widget", "widgets  faqs", "widgets widgets"])
def test_scopes_are_separated_by_one_space_and_known(xeno: Driver, scope: str) -> None:
    assert xeno.authorize(xeno.spec.authorize | {"scope": scope}).status_code == 400


def test_standard_parameters_are_tolerated_with_their_standard_values_alone(xeno: Driver) -> None:
    asked = xeno.spec.authorize
    assert xeno.authorize(asked | {"response_type": "code"}).status_code == 200
    assert xeno.authorize(asked | {"response_type": "token"}).status_code == 400
    body = xeno.token_body(xeno.code())
    assert xeno.refused(xeno.token(body | {"grant_type": "refresh_token"}))
    assert not xeno.refused(xeno.token(body | {"grant_type": "authorization_code"}))


def test_a_redirect_uri_is_repeated_exactly_when_it_was_sent(xeno: Driver) -> None:
    sent = xeno.token_body(xeno.code())
    assert xeno.refused(xeno.token(without(sent, "redirect_uri")))
    unsent = xeno.token_body(xeno.code(redirect_uri=None))
    assert xeno.refused(xeno.token(unsent))
    unsent = xeno.token_body(xeno.code(redirect_uri=None))
    assert not xeno.refused(xeno.token(without(unsent, "redirect_uri")))


def test_without_state_none_comes_back(xeno: Driver) -> None:
    assert set(landing(xeno.decide(state=None))) == {"code"}


def test_the_account_is_the_team_of_the_login(xeno: Driver) -> None:
    def team(login: str) -> str:
        token = xeno.connect(login=login)["access_token"]
        uid: str = xeno.get("/api/me", Authorization=f"Bearer {token}").json()["team"]["uid"]
        return uid

    first = team("a@shop.example")
    assert first.startswith("team-")
    assert team("a@shop.example") == first
    assert team("b@shop.example") != first
    assert {t["account"] for t in xeno.live_tokens()} == {first, team("b@shop.example")}
