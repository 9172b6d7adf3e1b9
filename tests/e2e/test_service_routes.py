"""The routes that services call: only for those who sign, never a token where none was asked for."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mooring.core.upkeep import Key
from tests.e2e.running import RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant


def signed(
    stack: RunningStack,
    path: str,
    secret: str | None = None,
    service: str = "execute-api",
    session_token: str | None = None,
) -> dict[str, str]:
    """The headers of a signed GET."""
    own = stack.info["credentials"]
    credentials = Credentials(own["access_key_id"], secret or own["secret_access_key"], session_token)
    request = AWSRequest("GET", f"{stack.base_url}{path}")
    SigV4Auth(credentials, service, stack.info["region"]).add_auth(request)
    return dict(request.headers.items())


class SignedEarlier(SigV4Auth):
    """A genuine signature, made some time ago (or in the future)."""

    def __init__(self, stack: RunningStack, seconds: int) -> None:
        own = stack.info["credentials"]
        credentials = Credentials(own["access_key_id"], own["secret_access_key"])
        super().__init__(credentials, "execute-api", stack.info["region"])
        self._at = datetime.now(UTC) - timedelta(seconds=seconds)

    def headers(self, url: str) -> dict[str, str]:
        """Those of a GET."""
        request = AWSRequest("GET", url)
        stamp = self._at.strftime("%Y%m%dT%H%M%SZ")
        request.context["timestamp"] = request.headers["X-Amz-Date"] = stamp
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        names = self.signed_headers(self.headers_to_sign(request))
        scope = f"Credential={self.scope(request)}, SignedHeaders={names}, Signature={signature}"
        return {"X-Amz-Date": stamp, "Authorization": f"AWS4-HMAC-SHA256 {scope}"}


def get(stack: RunningStack, path: str, headers: dict[str, str]) -> requests.Response:
    """One GET."""
    return requests.get(f"{stack.base_url}{path}", headers=headers, timeout=20, allow_redirects=False)


def ask(stack: RunningStack, path: str) -> requests.Response:
    """One signed GET."""
    return get(stack, path, signed(stack, path))


def test_only_who_signs_is_answered(stack: RunningStack, merchant: Merchant) -> None:
    account = merchant.connect("xeno").query["connection"][0].partition("#")[2]
    listing = f"/merchants/{merchant.name}/connections"
    one = f"{listing}/xeno/{account}"
    token = f"{one}/token"
    lines = len(stack.log_lines("connections"))
    for path in (listing, one, token):
        for headers in (
            {},
            signed(stack, path, session_token="of no session"),
            SignedEarlier(stack, 310).headers(f"{stack.base_url}{path}"),
            SignedEarlier(stack, -400).headers(f"{stack.base_url}{path}"),
            signed(stack, path, secret="wrong"),
            signed(stack, path, service="s3"),
            signed(stack, "/merchants/somebody-else/connections"),
            {**signed(stack, path), "X-Amz-Date": "20200101T000000Z"},
            {"Authorization": "Bearer anything"},
        ):
            answer = get(stack, path, headers)
            assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert len(stack.log_lines("connections")) == lines, "a refused request reaches no function"
    for path in (listing, one, token):
        assert ask(stack, path).status_code == 200
        recent = SignedEarlier(stack, 120).headers(f"{stack.base_url}{path}")
        assert get(stack, path, recent).status_code == 200


def test_the_list_has_no_token_and_the_token_route_has_it(stack: RunningStack, merchant: Merchant) -> None:
    for provider in ("whatconverts", "xeno"):
        merchant.connect(provider)
    answer = ask(stack, f"/merchants/{merchant.name}/connections")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["next"] is None
    listed = {entry["provider"]: entry for entry in answer.json()["connections"]}
    assert list(listed) == ["whatconverts", "xeno"]
    for provider, entry in listed.items():
        live = stack.simulator(provider).tokens()[-1]
        assert live["access_token"] not in answer.text
        assert not {"access_token", "access", "refresh", "access_key"} & entry.keys()
        path = f"/merchants/{merchant.name}/connections/{provider}/{entry['account_id']}/token"
        given = ask(stack, path).json()
        assert given["access_token"] == live["access_token"]
        assert "refresh_token" not in given
        assert live["refresh_token"] is None or live["refresh_token"] not in json.dumps(given)


def test_a_list_comes_in_pages_and_one_connection_alone(stack: RunningStack, merchant: Merchant) -> None:
    for provider in ("whatconverts", "xeno", "yotpo"):
        merchant.connect(provider)
    path, found, cursor = f"/merchants/{merchant.name}/connections", [], ""
    while True:
        page = ask(stack, f"{path}?limit=2{cursor}").json()
        assert len(page["connections"]) <= 2
        found += page["connections"]
        if page["next"] is None:
            break
        cursor = f"&next={page['next']}"
    assert [one["provider"] for one in found] == ["whatconverts", "xeno", "yotpo"]
    for one in found:
        alone = ask(stack, f"{path}/{one['provider']}/{one['account_id']}")
        assert (alone.json(), alone.headers["cache-control"]) == (one, "no-store")
    assert ask(stack, f"{path}?provider=xeno&status=active").json()["connections"] == [found[1]]
    assert ask(stack, f"{path}?status=disconnected").json() == {"connections": [], "next": None}
    refused = ask(stack, f"/merchants/{merchant.name}-2/connections?limit=2{cursor}")
    assert (refused.status_code, refused.json()["reason"]) == (400, "request_malformed")


def test_a_token_comes_with_where_it_stands_and_where_it_may_go(
    stack: RunningStack, merchant: Merchant
) -> None:
    for provider, name, prefix in (("xeno", "Authorization", "Bearer "), ("yotpo", "X-Yotpo-Token", "")):
        account = merchant.connect(provider).query["connection"][0].partition("#")[2]
        given = ask(stack, f"/merchants/{merchant.name}/connections/{provider}/{account}/token").json()
        stack.given_out.add(given["access_token"])
        value = prefix + given["access_token"]
        assert given["placement"] == {"in": "header", "name": name, "value": value}
        api, simulator = given["api"], stack.info["providers"][provider]
        assert api["base_url"].startswith(f"{simulator}/")
        assert api["hosts"] == [simulator.partition("//")[2]]
        assert provider != "yotpo" or f"/{account}/" in api["base_url"]
        assert "warning" not in given


def test_a_connection_that_was_cut_off_says_so(stack: RunningStack, merchant: Merchant) -> None:
    merchant.connect("whatconverts")
    key = Key(merchant.name, "whatconverts", "default")
    service = Service(stack)
    assert service.disconnect(key).ok
    for answer in (service.token(key), service.refresh(key)):
        problem = answer.json()
        assert (answer.status_code, problem["reason"]) == (409, "connection_not_active")
        assert problem["connection_status"] == "disconnected"
        assert "link" in problem["detail"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/xeno/team-none/token", 404, "connection_not_found"),
        ("/xeno/team-none", 404, "connection_not_found"),
        ("?limit=0", 400, "request_malformed"),
        ("?next=somewhere", 400, "request_malformed"),
        ("?status=active&status=active", 400, "parameter_repeated"),
        ("/nobody/default/token", 404, "connection_not_found"),
        ("/whatconverts/default/token?min_ttl=soon", 400, "request_malformed"),
        ("/whatconverts/default/token?min_ttl=1&min_ttl=2", 400, "parameter_repeated"),
    ],
)
def test_a_failure_is_a_problem_document(
    stack: RunningStack, merchant: Merchant, path: str, status: int, reason: str
) -> None:
    merchant.connect("whatconverts")
    answer = ask(stack, f"/merchants/{merchant.name}/connections{path}")
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["reason"]) == (status, status, reason)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert stack.log_line("connections", problem["ref"])["reason"] == reason


def test_nobody_reads_another_merchants_connection(stack: RunningStack, merchant: Merchant) -> None:
    merchant.connect("whatconverts")
    other = f"{merchant.name}-other"
    assert ask(stack, f"/merchants/{other}/connections").json()["connections"] == []
    answer = ask(stack, f"/merchants/{other}/connections/whatconverts/default/token")
    assert answer.json()["reason"] == "connection_not_found"
