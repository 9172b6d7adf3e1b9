"""Whether a page of ours sent a request; and what a failure says."""

import pytest

from mooring.core.errors import ALARMS, STATUS, Failure, Outcome, Reason, TokenCallFailure
from mooring.core.visit import Visit
from tests.core.signing import BASE_URL


def visit(**headers: str) -> Visit:
    return Visit("POST", "acme", "", (), {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "null"}, True),
        ({"sec_fetch_site": "same-site", "origin": BASE_URL}, False),
        ({"sec_fetch_site": "cross-site", "origin": BASE_URL}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"origin": BASE_URL}, True),
        ({"origin": f"{BASE_URL}/"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"sec_fetch_site": "", "origin": BASE_URL}, True),
        ({}, False),
    ],
)
def test_only_a_page_of_our_own_is_the_same_origin(headers: dict[str, str], ours: bool) -> None:
    assert visit(**headers).from_same_origin(BASE_URL) is ours


def test_the_referer_is_known_by_its_origin_alone() -> None:
    assert visit(referer="https://p.example/consent?code=1").referer_origin() == "https://p.example"
    assert visit().referer_origin() == ""


def test_a_reason_without_a_status_of_its_own_is_a_bad_request() -> None:
    assert Failure(Reason.STATE_MISSING).status == 400
    assert Reason.STATE_MISSING not in STATUS


def test_every_status_is_an_http_status_of_a_failure_or_of_an_accepted_one() -> None:
    assert {*STATUS.values()} <= {202, 400, 403, 404, 405, 409, 500, 502, 503, 504}


def test_a_failure_collects_where_to_go_on_and_what_to_clear() -> None:
    failure = Failure(Reason.CODE_MISSING, "fixed text").returning("https://a.example", "m-1").clearing("one")
    assert failure.clearing("two", "three") is failure
    assert failure.clear_cookies == ("one", "two", "three")
    assert (failure.return_to, str(failure)) == ("https://a.example", "code_missing: fixed text")
    assert str(Failure(Reason.CODE_MISSING)) == "code_missing"


def test_a_failed_token_call_says_who_has_to_act() -> None:
    failure = TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_TIMEOUT)
    assert (failure.outcome, failure.status) == (Outcome.TRANSIENT, 504)


@pytest.mark.parametrize(
    ("reason", "alarm"),
    [
        (Reason.TOKEN_LOST, "TokenLost"),
        (Reason.IDENTITY_UNAVAILABLE, "TokenKept"),
        (Reason.ACCOUNT_MISSING, "TokenKept"),
        (Reason.ACCOUNT_MISMATCH, "TokenDiscarded"),
        (Reason.UNINSTALLED_MEANWHILE, "TokenDiscarded"),
    ],
)
def test_what_may_have_cost_a_token_has_a_metric_of_its_own(reason: Reason, alarm: str) -> None:
    assert Failure(reason).alarm == alarm


def test_no_other_reason_rings() -> None:
    assert {reason for reason in Reason if Failure(reason).alarm} == {*ALARMS}
    assert len(ALARMS) == 5


@pytest.mark.parametrize("outcome", Outcome)
def test_a_token_call_rings_when_its_answer_was_lost_whatever_its_reason(outcome: Outcome) -> None:
    reasons = (Reason.PROVIDER_TIMEOUT, Reason.PROVIDER_ANSWER_INVALID, Reason.PROVIDER_UNAVAILABLE)
    expected = "ExchangeInDoubt" if outcome is Outcome.IN_DOUBT else None
    assert {TokenCallFailure(outcome, reason).alarm for reason in reasons} == {expected}
