"""Providers that refuse with HTTP 200: the descriptor says how to see it, and the code alone decides."""

import json
from typing import Any

import pytest

from mooring.core.errors import Outcome, Reason, TokenCallFailure
from mooring.core.ports import HttpResponse
from mooring.core.provider import Provider
from mooring.providers.answers import read_token_set
from tests.protocol.shapes import with_response

NOW = 1_800_000_000
LOST, OURS, LATER = (Outcome.GRANT_LOST, Outcome.MISCONFIGURED, Outcome.TRANSIENT)

FLAG = with_response(
    success=("ok", "true"),
    errors={
        "invalid_refresh_token": "grant_lost",
        "bad_client_secret": "misconfigured",
        "ratelimited": "transient",
    },
)
"""`ok` beside an error word."""
NUMBERED = with_response(
    access_token="data.access_token",
    success=("code", "0"),
    error="code",
    errors={"40105": "grant_lost", "40110": "misconfigured", "50000": "transient"},
)
"""One number tells success and error alike."""
HTTP_LIKE = with_response(
    success=("code", "200"), error="code", errors={"401": "grant_lost", "1e3": "misconfigured"}
)
"""The same, and success is a number that is true."""
TEXT_NUMBERED = with_response(success=("errcode", "0"), error="errcode", errors={"42007": "grant_lost"})
NESTED = with_response(
    error="error.code", errors={"190": "grant_lost", "101": "misconfigured", "4": "transient"}
)
"""An error object instead of an error word."""
STATUS = with_response(success=("status", "success"), errors={"expired": "grant_lost"})
"""`status` beside a message."""


def read(body: dict[str, Any], provider: Provider) -> str:
    return read_token_set(answer(body), provider, NOW, refreshing=True).access_token


def answer(body: dict[str, Any]) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode())


def refused(body: dict[str, Any], provider: Provider) -> TokenCallFailure:
    with pytest.raises(TokenCallFailure) as failed:
        read(body, provider)
    return failed.value


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        (FLAG, {"ok": True, "access_token": "at"}),
        (NUMBERED, {"code": 0, "message": "OK", "data": {"access_token": "at"}}),
        (HTTP_LIKE, {"code": 200, "access_token": "at"}),
        (HTTP_LIKE, {"code": "200", "access_token": "at"}),
        (TEXT_NUMBERED, {"errcode": "0", "access_token": "at"}),
        (TEXT_NUMBERED, {"errcode": 0, "access_token": "at"}),
        (NESTED, {"access_token": "at"}),
        (STATUS, {"status": "success", "access_token": "at"}),
    ],
)
def test_a_success(provider: Provider, body: dict[str, Any]) -> None:
    assert read(body, provider) == "at"


@pytest.mark.parametrize(
    ("provider", "body", "outcome"),
    [
        (FLAG, {"ok": False, "error": "invalid_refresh_token"}, LOST),
        (FLAG, {"ok": False, "error": "bad_client_secret"}, OURS),
        (FLAG, {"ok": False, "error": "ratelimited"}, LATER),
        (FLAG, {"ok": False, "error": "invalid_grant"}, LOST),
        (FLAG, {"ok": False, "error": "brand_new"}, LATER),
        (FLAG, {"ok": False}, LATER),
        (FLAG, {"ok": True, "error": "invalid_refresh_token", "access_token": "at"}, LOST),
        (NUMBERED, {"code": 40105, "message": "OK", "data": {}}, LOST),
        (NUMBERED, {"code": "40105", "data": {}}, LOST),
        (NUMBERED, {"code": 40110}, OURS),
        (NUMBERED, {"code": 50000}, LATER),
        (NUMBERED, {"code": 1}, LATER),
        (NUMBERED, {"code": False}, LATER),
        (NUMBERED, {"data": {}}, LATER),
        (HTTP_LIKE, {"code": 401, "access_token": "at"}, LOST),
        (HTTP_LIKE, {"code": 1_000}, LATER),
        (TEXT_NUMBERED, {"errcode": 42007, "errmsg": "invalid_client"}, LOST),
        (NESTED, {"error": {"code": 190, "message": "invalid_client"}}, LOST),
        (NESTED, {"error": {"code": 101}}, OURS),
        (NESTED, {"error": {"code": 4, "type": "invalid_grant"}}, LATER),
        (NESTED, {"error": {"code": 190}, "access_token": "at"}, LOST),
        (STATUS, {"status": "error", "error": "expired"}, LOST),
        (STATUS, {"status": "error", "message": "invalid_grant"}, LATER),
    ],
    ids=str,
)
def test_a_refusal(provider: Provider, body: dict[str, Any], outcome: Outcome) -> None:
    assert refused(body, provider).outcome is outcome


@pytest.mark.parametrize("error", [{}, {"message": "invalid_grant"}, {"code": None}, "invalid_grant", ["x"]])
def test_without_a_token_there_is_no_success_whatever_the_error_looks_like(error: object) -> None:
    """An error of another shape than the descriptor's is not seen, and nothing is stored or ended for it."""
    failed = refused({"error": error}, NESTED)
    assert (failed.outcome, failed.reason) == (Outcome.IN_DOUBT, Reason.PROVIDER_ANSWER_INVALID)


@pytest.mark.parametrize("provider", [FLAG, NUMBERED, STATUS])
def test_a_refusal_without_a_code_that_holds_out_a_token_is_in_doubt(provider: Provider) -> None:
    body = {"access_token": "at", "data": {"access_token": "at"}, "message": "invalid_grant"}
    assert refused(body, provider).outcome is Outcome.IN_DOUBT


@pytest.mark.parametrize("field", ["message", "error_description", "errmsg", "detail"])
@pytest.mark.parametrize("text", ["invalid_grant", "invalid_client", "expired", "40105", "190"])
def test_no_message_decides(field: str, text: str) -> None:
    for provider, body in (
        (FLAG, {"ok": False, "error": "brand_new"}),
        (NUMBERED, {"code": 7}),
        (NESTED, {"error": {"code": 7, field: text}}),
        (STATUS, {"status": "error"}),
    ):
        failed = refused({**body, field: text}, provider)
        assert (failed.outcome, failed.reason) == (LATER, Reason.PROVIDER_ERROR)
        assert text not in repr(failed)
