"""Problem documents (RFC 9457): for each reason what to do next, and never more than fixed words."""

import json

import pytest

from mooring.core.connection import Status
from mooring.core.errors import ConnectionFailure, Failure, Reason
from mooring.entry.http_api import HEADERS
from mooring.entry.problems import answered, problem
from tests.docs.markdown import ROOT

LATER = "Try again in a few seconds; if it persists, tell the operator of Mooring, with the ref."


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_makes_a_document(reason: Reason) -> None:
    response = problem(Failure(reason), "0123456789")
    body = json.loads(response["body"])
    status = 503 if reason is Reason.STORE_DELAYED else Failure(reason).status
    assert body == {
        "type": "about:blank",
        "title": reason.value.replace("_", " "),
        "status": status,
        "detail": body["detail"],
        "reason": reason.value,
        "ref": "0123456789",
    }
    assert body["detail"].endswith(".")
    assert response["statusCode"] == status >= 400
    assert response["headers"] == {**HEADERS, "content-type": "application/problem+json"}


@pytest.mark.parametrize("reason", [reason for reason in Reason if Failure(reason).status >= 503])
def test_what_passes_says_to_try_again(reason: Reason) -> None:
    assert json.loads(problem(Failure(reason), "r")["body"])["detail"] == LATER


@pytest.mark.parametrize(
    "reason",
    [
        Reason.CONNECTION_NOT_ACTIVE,
        Reason.LOST_ROTATION,
        Reason.TOKEN_REFUSED,
        Reason.GRANT_REFUSED,
    ],
)
def test_what_only_the_merchant_can_mend_says_so(reason: Reason) -> None:
    detail = json.loads(problem(Failure(reason), "r")["body"])["detail"]
    assert detail == "Send the merchant a link to connect again."


def test_a_detail_becomes_a_sentence_before_the_advice() -> None:
    failure = Failure(Reason.REQUEST_MALFORMED, "the min_ttl must be whole seconds")
    assert json.loads(problem(failure, "r")["body"])["detail"] == (
        "The min_ttl must be whole seconds. Check the path, the query and the body against docs/http-api.md."
    )
    assert (ROOT / "docs/http-api.md").exists()


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_a_connection_that_cannot_give_it_says_where_it_stands(status: Status) -> None:
    failure = ConnectionFailure(Reason.CONNECTION_NOT_ACTIVE, status, f"its status is {status.value}")
    response = problem(failure, "r")
    body = json.loads(response["body"])
    assert (response["statusCode"], body["connection_status"]) == (409, status.value)
    assert body["detail"].startswith(f"Its status is {status.value}. ")
    assert " link " in body["detail"]


@pytest.mark.parametrize("reason", list(Reason))
def test_of_a_connection_that_is_there_nobody_is_told_that_it_is_not(reason: Reason) -> None:
    body = json.loads(problem(ConnectionFailure(reason, "active"), "r")["body"])
    assert body["status"] == 409 or body["status"] >= 500
    assert (body["status"] >= 500) is (json.loads(problem(Failure(reason), "r")["body"])["status"] >= 500)
    assert body["connection_status"] == "active"


def test_an_answer_is_not_cached() -> None:
    response = answered(200, {"a": [1, None, "\u00e9\u2028"]})
    assert json.loads(response["body"]) == {"a": [1, None, "\u00e9\u2028"]}
    assert response["body"].isascii()
    assert response["headers"]["cache-control"] == "no-store"
    assert response["headers"]["content-type"] == "application/json"
