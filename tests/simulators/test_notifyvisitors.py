"""What is peculiar about the simulated NotifyVisitors."""

import jwt
import pytest

from tests.simulators.drive import CLIENT_SECRET, REDIRECT_URI, Driver, Start


@pytest.fixture
def nv(start: Start) -> Driver:
    return start("notifyvisitors")


@pytest.mark.parametrize("extra", ["state", "response_type", "scope"])
def test_standard_parameters_are_refused_because_the_provider_has_none(nv: Driver, extra: str) -> None:
    assert nv.authorize(nv.spec.authorize | {extra: "code"}).status_code == 400


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_the_way_back_has_a_slash_more_than_the_redirect_uri(nv: Driver, decision: str) -> None:
    location = nv.decide(decision).headers["Location"]
    wanted = {"approve": f"{REDIRECT_URI}/?code=", "deny": f"{REDIRECT_URI}/?error=access_denied"}
    assert location.startswith(wanted[decision])


@pytest.mark.parametrize("encoding", ["form", "json"])
def test_both_encodings_answer_in_the_documented_shape(nv: Driver, encoding: str) -> None:
    answer = nv.token(nv.token_body(nv.code()), encoding).json()
    assert set(answer) == {"status", "message", "App_access_token"}
    assert (answer["status"], answer["message"]) == ("success", "Access token generated.")


def test_the_token_carries_the_client_secret_like_the_sample(nv: Driver) -> None:
    code = nv.code()
    token = nv.token(nv.token_body(code)).json()["App_access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims == {"auth_code": code, "client_secret": CLIENT_SECRET, "timestamp": int(nv.clock.now)}


def test_standard_token_parameters_are_refused(nv: Driver) -> None:
    for extra in ("client_id", "grant_type", "redirect_uri"):
        assert nv.refused(nv.token(nv.token_body(nv.code()) | {extra: "x"}))


def test_a_bearer_token_opens_the_api(nv: Driver) -> None:
    token = nv.connect()["App_access_token"]
    assert nv.get("/api/v1/any/thing", Authorization=f"Bearer {token}").json()["status"] == "success"


def test_live_tokens_have_no_account_of_their_own_and_do_not_expire(nv: Driver) -> None:
    nv.connect()
    (token,) = nv.live_tokens()
    assert (token["account"], token["scope"], token["expires_at"], token["refresh_token"]) == (
        "default",
        None,
        None,
        None,
    )
