"""The routes that services call: only for those who sign, never a token where none was asked for."""

import json
from typing import Any

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.running import RunningStack
from tests.e2e.story import Merchant


def signed(
    stack: RunningStack, path: str, secret: str | None = None, service: str = "execute-api"
) -> dict[str, str]:
    """The headers of a signed GET."""
    own = stack.info["credentials"]
    credentials = Credentials(own["access_key_id"], secret or own["secret_access_key"])
    request = AWSRequest("GET", f"{stack.base_url}{path}")
    SigV4Auth(credentials, service, stack.info["region"]).add_auth(request)
    return dict(request.headers.items())


def get(stack: RunningStack, path: str, headers: dict[str, str]) -> requests.Response:
    """One GET."""
    return requests.get(f"{stack.base_url}{path}", headers=headers, timeout=20, allow_redirects=False)


def ask(stack: RunningStack, path: str) -> requests.Response:
    """One signed GET."""
    return get(stack, path, signed(stack, path))


def test_only_who_signs_is_answered(stack: RunningStack, merchant: Merchant) -> None:
    account = merchant.connect("xeno").query["connection"][0].partition("#")[2]
    listing = f"/merchants/{merchant.name}/connections"
    token = f"{listing}/xeno/{account}/token"
    lines = len(stack.log_lines("connections"))
    for path in (listing, token):
        for headers in (
            {},
            signed(stack, path, secret="wrong"),
            signed(stack, path, service="s3"),
            signed(stack, "/merchants/somebody-else/connections"),
            {**signed(stack, path), "X-Amz-Date": "20200101T000000Z"},
            {"Authorization": "Bearer anything"},
        ):
            answer = get(stack, path, headers)
            assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert len(stack.log_lines("connections")) == lines, "a refused request reaches no function"
    assert ask(stack, listing).status_code == ask(stack, token).status_code == 200


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


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/xeno/team-none/token", 404, "connection_not_found"),
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
