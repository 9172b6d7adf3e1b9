"""What the signed API answers, as the caller's errors; a broken answer is never a token."""

import json
import threading
from typing import Any

import pytest
from boto3.session import Session
from botocore.credentials import Credentials
from botocore.exceptions import CredentialRetrievalError

from mooring.client.access_token import AccessToken, Facts
from mooring.client.api import SignedApi
from mooring.client.errors import (
    Disconnected,
    MooringError,
    NeedsReconnect,
    NotAllowed,
    NotConnected,
    SetupError,
    TokenUnavailable,
    Uninstalled,
)
from mooring.core.upkeep import Key, Seen
from tests.client.provider import Answer, ProviderServer

KEY = Key("m-1", "acme", "shop-1")
TOKEN = AccessToken("canary", Facts(KEY, Seen(1, 2), (), None))
ENDED = {"reason": "connection_not_active"}
GOOD = {
    "access_token": "canary",
    "token_type": "Bearer",
    "scopes": ["read"],
    "expires_at": 1_900_000_000,
    "generation": 1,
    "version": 2,
    "placement": {"in": "header", "name": "Authorization", "value": "Bearer canary"},
    "api": {"base_url": "https://api.acme.example/", "hosts": ["api.acme.example"], "rate_limit": None},
}


def api(base_url: str, credentials: Credentials | None = Credentials("id", "secret")) -> SignedApi:  # noqa: B008
    return SignedApi(base_url, "eu-west-1", lambda: credentials)


def answered(provider: ProviderServer, status: int, body: Any) -> SignedApi:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    provider.judge = lambda _: Answer(status, {}, content)
    return api(f"http://{provider.host}/")


def test_a_token_is_read_with_a_signed_request(provider: ProviderServer) -> None:
    given = answered(provider, 200, GOOD | {"warning": "provider_unavailable"}).token(KEY, 90)
    assert (given.token.value, given.token.seen, given.token.scopes) == ("canary", (1, 2), ("read",))
    assert (given.token.expires_at, given.token.warning) == (1_900_000_000, "provider_unavailable")
    assert given.api.hosts == ("api.acme.example",)
    assert "canary" not in repr(given)
    (asked,) = provider.asked
    assert (asked.method, asked.target) == ("GET", "/merchants/m-1/connections/acme/shop-1/token?min_ttl=90")
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=id/")


def test_a_colon_in_a_name_is_sent_as_the_policy_names_it(provider: ProviderServer) -> None:
    answered(provider, 200, GOOD).token(Key("m:1", "acme", "shop:1"), 60)
    assert provider.asked[0].target == "/merchants/m:1/connections/acme/shop:1/token?min_ttl=60"


def test_a_report_and_a_disconnect(provider: ProviderServer) -> None:
    said = {"outcome": "refreshed", "status": "active", "generation": 1, "version": 3, "expires_at": None}
    assert answered(provider, 200, said).report(TOKEN) == ("refreshed", 1, 3)
    answered(provider, 200, {"status": "disconnected"}).disconnect(KEY)
    report, disconnect = provider.asked
    assert (report.method, report.target) == ("POST", "/merchants/m-1/connections/acme/shop-1/unauthorized")
    assert json.loads(report.body) == {"generation": 1, "version": 2}
    assert (disconnect.method, disconnect.target) == ("DELETE", "/merchants/m-1/connections/acme/shop-1")
    with pytest.raises(TokenUnavailable, match="not understood"):
        answered(provider, 200, {"outcome": "refreshed"}).report(TOKEN)


@pytest.mark.parametrize(
    ("status", "problem", "error", "says"),
    [
        (404, {"reason": "connection_not_found"}, NotConnected, "is not connected"),
        (409, ENDED | {"connection_status": "uninstalled"}, Uninstalled, "uninstalled"),
        (409, ENDED | {"connection_status": "disconnected"}, Disconnected, "disconnected"),
        (409, ENDED | {"connection_status": "unheard_of"}, NeedsReconnect, "again"),
        (409, ENDED, NeedsReconnect, "needs a reconnect"),
        (409, {"reason": "grant_refused"}, NeedsReconnect, "because of grant_refused"),
        (409, {"reason": "token_expired"}, TokenUnavailable, "token_expired"),
        (403, {"message": "Forbidden"}, NotAllowed, "docs/reading-tokens.md"),
        (429, {"message": "Too Many Requests"}, TokenUnavailable, "api_unavailable (HTTP 429)"),
        (500, {"message": "Internal Server Error"}, TokenUnavailable, "api_unavailable (HTTP 500)"),
        (503, {"reason": "provider_paused", "ref": "0a1b"}, TokenUnavailable, "paused (HTTP 503, ref 0a1b)"),
        (503, {"reason": "canary word", "ref": "canary ref"}, TokenUnavailable, "api_unavailable (HTTP 503)"),
        (404, {"message": "Not Found"}, TokenUnavailable, "HTTP 404"),
        (302, {}, TokenUnavailable, "HTTP 302"),
        (500, b"<html>canary</html>", TokenUnavailable, "HTTP 500"),
        (500, [], TokenUnavailable, "HTTP 500"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_it_is(
    provider: ProviderServer, status: int, problem: Any, error: type[MooringError], says: str
) -> None:
    with pytest.raises(MooringError) as refused:
        answered(provider, status, problem).token(KEY, 60)
    assert type(refused.value) is error
    assert says in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json canary",
        b"[" * 100_000,
        [],
        {},
        GOOD | {"access_token": None},
        GOOD | {"access_token": ""},
        GOOD | {"access_token": 12},
        GOOD | {"generation": "canary"},
        GOOD | {"version": None},
        GOOD | {"scopes": None},
        GOOD | {"expires_at": "canary"},
        GOOD | {"placement": {}},
    ],
    ids=str,
)
def test_an_answer_that_is_no_token_is_refused(provider: ProviderServer, body: Any) -> None:
    with pytest.raises(TokenUnavailable) as refused:
        answered(provider, 200, body).token(KEY, 60)
    assert "canary" not in str(refused.value)
    assert (
        refused.value.__cause__,
        refused.value.__suppress_context__ or refused.value.__context__ is None,
    ) == (
        None,
        True,
    )


def test_a_redirect_of_the_api_is_not_followed(provider: ProviderServer) -> None:
    provider.answers = [Answer(307, {"Location": f"http://{provider.host}/elsewhere"})]
    with pytest.raises(TokenUnavailable, match="HTTP 307"):
        api(f"http://{provider.host}").token(KEY, 60)
    assert len(provider.asked) == 1


def test_nobody_answers() -> None:
    with pytest.raises(TokenUnavailable, match="api_unavailable") as failed:
        api("http://127.0.0.1:9").token(KEY, 60)
    assert (failed.value.__context__, failed.value.__cause__) == (None, None)


def test_where_the_api_is_must_be_known_and_safe() -> None:
    with pytest.raises(SetupError, match="MOORING_API_URL"):
        api("").token(KEY, 60)
    for url in (
        "http://connect.example.com",
        "ftp://x",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil:1",
        "http://127.0.0.1:80@evil.example",
    ):
        with pytest.raises(SetupError, match="https://"):
            api(url)


def test_credentials_that_are_missing_or_cannot_be_had(provider: ProviderServer) -> None:
    with pytest.raises(SetupError, match="credentials"):
        api(f"http://{provider.host}", None).token(KEY, 60)

    def expired() -> Credentials:
        raise CredentialRetrievalError(provider="sso", error_msg="canary")

    with pytest.raises(TokenUnavailable, match="CredentialRetrievalError") as failed:
        SignedApi(f"http://{provider.host}", "eu-west-1", expired).token(KEY, 60)
    assert "canary" not in str(failed.value)
    assert provider.asked == []


def test_the_session_token_of_a_role_is_signed_along(provider: ProviderServer) -> None:
    session = Session("id", "secret", "a-session-token", region_name="eu-west-1")
    provider.judge = lambda _: Answer(200, {}, json.dumps(GOOD).encode())
    SignedApi(f"http://{provider.host}", "eu-west-1", session.get_credentials).token(KEY, 60)
    assert provider.asked[0].headers["x-amz-security-token"] == "a-session-token"


def test_threads_share_it(provider: ProviderServer) -> None:
    shared, found = answered(provider, 200, GOOD), []
    threads = [
        threading.Thread(target=lambda: found.append(shared.token(KEY, 60).token.value)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["canary"] * 8
