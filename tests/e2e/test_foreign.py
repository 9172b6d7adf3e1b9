"""A provider that is only a YAML file, at an authorization server that nobody here wrote."""

from urllib.parse import quote

import pytest

from tests.e2e.running import RETURN_TO, RunningStack
from tests.e2e.story import Merchant, check_failure, returned


def test_it_connects_and_the_token_is_the_servers_own(stack: RunningStack, merchant: Merchant) -> None:
    issued, exchanges = len(stack.foreign.access_tokens()), len(stack.foreign.requests("/o/token/"))
    link = stack.cli(
        "link", "--provider", "acme", "--merchant", merchant.name, "--return-to", RETURN_TO
    ).strip()
    start = merchant.browser.open(link)
    assert start.query["code_challenge_method"] == ["S256"]
    back = merchant.consent("acme", start)
    assert back.query["iss"] == [stack.foreign.base_url]
    parameters = returned(merchant.browser.follow(back))
    assert (parameters["connection"], parameters["status"]) == (["acme#default"], ["connected"])
    assert stack.foreign.requests("/o/token/")[exchanges:] == ["POST /o/token/ 200"]
    (token,) = stack.foreign.access_tokens()[issued:]
    assert stack.cli("token", merchant.name, "acme") == f"{token}\n"
    (row,) = merchant.rows()
    assert [scope["S"] for scope in row["scopes"]["L"]] == ["contacts"]
    assert "refresh" in row
    assert 7000 < int(row["expires_at"]["N"]) - int(row["connected_at"]["N"]) <= 7200


def test_a_denial_there_lacks_the_issuer_and_is_taken_all_the_same(
    stack: RunningStack, merchant: Merchant
) -> None:
    """This server leaves `iss` out of its error answers, which RFC 9207 2 does not allow it."""
    exchanges = len(stack.foreign.requests("/o/token/"))
    back = merchant.decide("acme", "deny")
    assert (back.query["error"], "iss" in back.query) == (["access_denied"], False)
    parameters = returned(merchant.browser.follow(back))
    assert (parameters["status"], parameters["reason"]) == (["denied"], ["access_denied"])
    assert len(stack.foreign.requests("/o/token/")) == exchanges
    assert merchant.rows() == []


@pytest.mark.parametrize("change", ["other", "slash", "absent", "empty"])
def test_another_issuer_is_refused_before_the_token_call(
    stack: RunningStack, merchant: Merchant, change: str
) -> None:
    back = merchant.decide("acme")
    exchanges = len(stack.foreign.requests("/o/token/"))
    genuine = f"&iss={quote(stack.foreign.base_url, safe='')}"
    assert genuine in back.location
    forged = {
        "other": "&iss=http%3A%2F%2Fevil.example",
        "slash": f"{genuine}%2F",
        "absent": "",
        "empty": "&iss=",
    }[change]
    page = merchant.browser.open(back.location.replace(genuine, forged), back.initiator)
    check_failure(stack, page, 400, "issuer_mismatch")
    assert len(stack.foreign.requests("/o/token/")) == exchanges
    assert merchant.rows() == []
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]


def test_a_code_without_its_verifier_is_worthless_there(stack: RunningStack, merchant: Merchant) -> None:
    back = merchant.decide("acme")
    jar = merchant.browser.jar(stack.base_url)
    name = next(name for name in jar if name.startswith("__Host-mooring"))
    fields = jar[name].split("~")
    jar[name] = "~".join([*fields[:4], "A" * 43, *fields[5:]])
    check_failure(stack, merchant.browser.follow(back), 400, "grant_refused")
    assert stack.foreign.requests("/o/token/")[-1] == "POST /o/token/ 400"
    assert merchant.rows() == []
