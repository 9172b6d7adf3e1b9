"""Whether a page of ours sent a request; what a failure says; and what no value shows of itself."""

import pytest

from mooring.core.errors import ALARMS, STATUS, Failure, Outcome, Reason, TokenCallFailure
from mooring.core.flow import Flow
from mooring.core.ports import HttpFault, HttpRequest, HttpResponse
from mooring.core.tokens import SealedField, TokenSet
from mooring.core.visit import Result, Visit
from tests.contract.samples import a_link
from tests.core.signing import BASE_URL

CANARY = "canary-of-this-test"


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
    assert {*STATUS.values()} <= {202, 400, 401, 403, 404, 405, 409, 413, 500, 502, 503, 504}


def test_a_failure_collects_where_to_go_on_and_what_to_clear() -> None:
    failure = Failure(Reason.CODE_MISSING, "fixed text").returning("https://a.example", "m-1").clearing("one")
    assert failure.clearing("two", "three") is failure
    assert failure.clear_cookies == ("one", "two", "three")
    assert (failure.return_to, str(failure)) == ("https://a.example", "code_missing: fixed text")
    assert str(Failure(Reason.CODE_MISSING)) == "code_missing"


def test_a_failed_token_call_says_who_has_to_act() -> None:
    failure = TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_TIMEOUT)
    assert (failure.outcome, failure.status) == (Outcome.TRANSIENT, 504)


def test_a_token_may_have_been_issued_only_where_that_is_said() -> None:
    assert not TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE).maybe_issued
    assert TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, maybe_issued=True).maybe_issued


def test_a_provider_says_when_to_come_again_or_does_not() -> None:
    assert TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE).retry_after is None
    assert TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, retry_after=7).retry_after == 7


RINGS = {
    Reason.TOKEN_LOST: "TokenLost",
    Reason.IDENTITY_UNAVAILABLE: "TokenKept",
    Reason.ACCOUNT_MISSING: "TokenKept",
    Reason.ACCOUNT_MISMATCH: "TokenDiscarded",
    Reason.UNINSTALLED_MEANWHILE: "TokenDiscarded",
    Reason.TOKEN_SUPERSEDED: "TokenDiscarded",
    Reason.LOST_ROTATION: "LostRotation",
    Reason.REFRESH_IN_DOUBT: "RefreshInDoubt",
    Reason.PROVIDER_MISCONFIGURED: "ProviderMisconfigured",
    Reason.KEY_DENIED: "KeyDenied",
    Reason.SECRET_UNAVAILABLE: "SecretUnavailable",
    Reason.INTERNAL: "Defect",
    Reason.TOKEN_UNREADABLE: "TokenUnreadable",
    Reason.NOTICE_FORGED: "NoticeRefused",
    Reason.NOTICE_TIME: "NoticeRefused",
}


@pytest.mark.parametrize(("reason", "alarm"), RINGS.items())
def test_what_somebody_has_to_hear_of_has_a_metric(reason: Reason, alarm: str) -> None:
    assert Failure(reason).alarm == alarm


def test_no_other_reason_rings() -> None:
    assert {reason for reason in Reason if Failure(reason).alarm} == {*RINGS}
    assert ALARMS == RINGS


def test_a_refusal_that_only_time_can_heal_asks_to_come_again() -> None:
    """A provider's webhook and a service alike try again after a 503, and after nothing else."""
    again = {reason for reason in Reason if Failure(reason).status == 503}
    assert again == {
        Reason.REFRESH_IN_DOUBT,
        Reason.REFRESH_BUSY,
        Reason.REFRESH_PUT_OFF,
        Reason.PROVIDER_PAUSED,
        Reason.PROVIDER_UNAVAILABLE,
        Reason.IDENTITY_UNAVAILABLE,
        Reason.SECRET_UNAVAILABLE,
        Reason.SEALING_UNAVAILABLE,
        Reason.KEY_DENIED,
        Reason.STORAGE_UNAVAILABLE,
        Reason.OUT_OF_TIME,
        Reason.API_UNAVAILABLE,
        Reason.BUS_UNAVAILABLE,
    }


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.NOTICE_FORGED, 401),
        (Reason.NOTICE_TIME, 401),
        (Reason.NOTICE_MALFORMED, 400),
        (Reason.NOTICE_TOO_LARGE, 413),
        (Reason.LOST_ROTATION, 409),
        (Reason.TOKEN_REFUSED, 409),
        (Reason.MESSAGE_MALFORMED, 500),
    ],
)
def test_what_notices_and_dead_tokens_answer(reason: Reason, status: int) -> None:
    assert Failure(reason).status == status


@pytest.mark.parametrize("outcome", Outcome)
def test_a_token_call_rings_when_its_answer_was_lost_whatever_its_reason(outcome: Outcome) -> None:
    reasons = (Reason.PROVIDER_TIMEOUT, Reason.PROVIDER_ANSWER_INVALID, Reason.PROVIDER_UNAVAILABLE)
    expected = "ExchangeInDoubt" if outcome is Outcome.IN_DOUBT else None
    assert {TokenCallFailure(outcome, reason).alarm for reason in reasons} == {expected}


@pytest.mark.parametrize(
    "value",
    [
        TokenSet(CANARY, CANARY, None, None, None, None, {"k": CANARY}),
        SealedField(CANARY.encode(), CANARY.encode()),
        Flow("acme", CANARY, CANARY, 1, CANARY),
        Visit("GET", "acme", CANARY, (CANARY,), {"cookie": CANARY}),
        Result("connected", "acme", "Acme", "m-1", CANARY, None, (CANARY,)),
        HttpRequest("POST", CANARY, {"authorization": CANARY}, CANARY.encode(), ()),
        HttpResponse(200, {"set-cookie": CANARY}, CANARY.encode()),
        a_link()._replace(token=CANARY),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_a_secret_does_not_show_it(value: object) -> None:
    assert CANARY not in repr(value)
    assert type(value).__name__ in repr(value)


def test_what_the_network_did_is_said_in_a_fixed_word() -> None:
    fault = HttpFault("timeout", sent=True)
    assert (str(fault), fault.kind, fault.sent) == ("timeout", "timeout", True)
