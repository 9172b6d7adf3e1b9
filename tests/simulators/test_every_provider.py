"""One battery for all simulated providers: the story, and every way to get a request wrong."""

import pytest
import requests

from local.simulators import KNOWN, SimulatorConfig, start_simulator
from tests.simulators.drive import REDIRECT_URI, SPECS, STATE, Driver, Start, landing, without

ASKED = [(provider, name) for provider, spec in SPECS.items() for name in spec.authorize]
TOKEN = [(p, name) for p, spec in SPECS.items() for name in (*spec.token, spec.code_name)]
OPTIONAL_ASKED = {("xeno", "state"), ("xeno", "redirect_uri"), ("whatconverts", "state")}
EXTRA = ["response_mode", "code_challenge", "nonce"]


def test_known_names_the_four_and_others_are_refused() -> None:
    assert frozenset({"notifyvisitors", "yotpo", "xeno", "whatconverts"}) == KNOWN
    with pytest.raises(ValueError, match="whatconverts, xeno"):
        start_simulator("shopify", SimulatorConfig("id", "secret", REDIRECT_URI))


def test_the_whole_story_leaves_one_live_token(driver: Driver) -> None:
    page = driver.authorize()
    assert page.status_code == 200
    assert page.text.count("<form") == 1
    assert 'name="decision" value="approve"' in page.text
    assert 'name="decision" value="deny"' in page.text
    assert "olivia@brightcart.example" in page.text
    assert "Simulation" in page.text
    answer = driver.connect()
    (live,) = driver.live_tokens()
    assert live["access_token"] in answer.values()
    assert [(c["endpoint"], c["outcome"]) for c in driver.calls()] == [
        ("authorize", "shown"),
        ("consent", "approved"),
        ("token", "issued"),
    ]


def test_two_tokens_are_never_the_same(driver: Driver) -> None:
    assert driver.connect() != driver.connect()


def test_state_comes_back_as_it_was(driver: Driver) -> None:
    assert landing(driver.decide()).get("state") == (STATE if driver.spec.echoes_state else None)


def test_deny_comes_back_with_access_denied_and_no_code(driver: Driver) -> None:
    back = landing(driver.decide("deny"))
    assert back["error"] == "access_denied"
    assert "code" not in back
    assert back.get("state") == (STATE if driver.spec.echoes_state else None)
    assert driver.last_call() == ("consent", "denied")


@pytest.mark.parametrize(("provider", "name"), ASKED)
def test_authorize_refuses_a_missing_parameter(start: Start, provider: str, name: str) -> None:
    driver = start(provider)
    answer = driver.authorize(without(driver.spec.authorize, name))
    assert answer.status_code == (200 if (provider, name) in OPTIONAL_ASKED else 400)


@pytest.mark.parametrize(("provider", "name"), ASKED)
def test_authorize_refuses_a_repeated_parameter(start: Start, provider: str, name: str) -> None:
    driver = start(provider)
    pairs = [*driver.spec.authorize.items(), (name, driver.spec.authorize[name])]
    assert driver.authorize(pairs).status_code == 400
    assert driver.last_call() == ("authorize", "invalid_request")


@pytest.mark.parametrize(("provider", "name"), [(p, n) for p, n in ASKED if n != "state"])
def test_authorize_refuses_a_wrong_value(start: Start, provider: str, name: str) -> None:
    driver = start(provider)
    answer = driver.authorize(driver.spec.authorize | {name: "https://evil.example/<script>"})
    assert answer.status_code == 400
    assert "<script>" not in answer.text
    assert "Location" not in answer.headers


@pytest.mark.parametrize("extra", EXTRA)
def test_authorize_refuses_a_parameter_the_provider_does_not_know(driver: Driver, extra: str) -> None:
    assert driver.authorize(driver.spec.authorize | {extra: "x"}).status_code == 400


def test_consent_refuses_another_decision_and_another_sites_form(driver: Driver) -> None:
    assert driver.decide("perhaps").status_code == 400
    assert driver.post(driver.spec.consent_path, driver.spec.consent).status_code == 400
    foreign = driver.post(
        driver.spec.consent_path, driver.spec.consent | {"decision": "approve"}, Origin="https://evil.example"
    )
    assert foreign.status_code == 400
    assert driver.last_call() == ("consent", "foreign_form")


def test_consent_checks_the_request_again(driver: Driver) -> None:
    for name in set(driver.spec.consent) - {"state", "granted"}:
        assert driver.decide(**{name: "https://evil.example/"}).status_code == 400
    assert driver.decide(surprise="x").status_code == 400


@pytest.mark.parametrize(("provider", "name"), TOKEN)
def test_token_call_refuses_a_missing_parameter(start: Start, provider: str, name: str) -> None:
    driver = start(provider)
    assert driver.refused(driver.token(without(driver.token_body(driver.code()), name)))
    assert driver.live_tokens() == []


@pytest.mark.parametrize(("provider", "name"), TOKEN)
def test_token_call_refuses_a_wrong_value(start: Start, provider: str, name: str) -> None:
    driver = start(provider)
    assert driver.refused(driver.token(driver.token_body(driver.code()) | {name: "wrong"}))
    assert driver.live_tokens() == []


@pytest.mark.parametrize("extra", ["code_verifier", "surprise"])
def test_token_call_refuses_an_unknown_parameter(driver: Driver, extra: str) -> None:
    assert driver.refused(driver.token(driver.token_body(driver.code()) | {extra: "x"}))
    assert driver.live_tokens() == []


def test_token_call_refuses_parameters_in_the_query_and_basic_authentication(driver: Driver) -> None:
    body = driver.token_body(driver.code())
    assert driver.refused(driver.post(driver.spec.token_path + "?x=1", body, driver.spec.encoding))
    assert driver.refused(driver.token(body, Authorization="Basic aTpz"))
    assert driver.live_tokens() == []


def test_token_call_refuses_other_encodings(driver: Driver) -> None:
    body = driver.token_body(driver.code())
    other = "form" if driver.spec.encoding == "json" else "json"
    if driver.provider != "notifyvisitors":
        assert driver.refused(driver.token(body, other))
    text = requests.post(
        driver.base_url + driver.spec.token_path,
        data="a=b",
        headers={"Content-Type": "text/plain"},
        timeout=10,
    )
    assert driver.refused(text)


def test_wrong_secret_is_invalid_client_and_does_not_spend_the_code(driver: Driver) -> None:
    secret = next(name for name in driver.spec.token if "secret" in name)
    body = driver.token_body(driver.code())
    answer = driver.token(body | {secret: "wrong"})
    assert driver.refused(answer)
    assert driver.last_call() == ("token", "invalid_client")
    assert not driver.refused(driver.token(body))


def test_a_code_works_once(driver: Driver) -> None:
    body = driver.token_body(driver.code())
    assert not driver.refused(driver.token(body))
    assert driver.refused(driver.token(body))
    assert driver.last_call() == ("token", "invalid_grant")
    assert len(driver.live_tokens()) == 1


@pytest.mark.parametrize(("age", "refused"), [(59.9, False), (60, True)])
def test_a_code_lives_sixty_seconds(driver: Driver, age: float, refused: bool) -> None:
    body = driver.token_body(driver.code())
    driver.clock.now += age
    assert driver.refused(driver.token(body)) is refused


def test_the_api_refuses_what_is_not_a_live_token(driver: Driver) -> None:
    assert driver.get(driver.spec.api_path).status_code == 401
    assert driver.get(driver.spec.api_path, Authorization="Bearer wrong").status_code == 401
    assert driver.last_call() == ("api", "unauthorized")


def test_pages_let_nothing_foreign_run_and_are_not_stored(driver: Driver) -> None:
    headers = driver.authorize().headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
