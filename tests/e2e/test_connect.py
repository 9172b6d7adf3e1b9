"""Every provider from the link to a token that its API accepts; denied, twice, in two tabs."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.simulators.xeno import SCOPES
from local.simulators.yotpo import STORES
from tests.e2e.running import PROVIDERS, RETURN_TO, RunningStack
from tests.e2e.story import Merchant, check_failure, returned

FIRST_STORE, SECOND_STORE, *_ = STORES
WITH_STATE = [provider for provider in PROVIDERS if provider != "notifyvisitors"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_merchant_connects_and_reconnects(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    link = ("--provider", provider, "--merchant", merchant.name, "--return-to", RETURN_TO)
    printed = stack.cli("link", *link)
    assert printed.count("\n") == 1
    start = merchant.browser.open(printed.strip())
    back = merchant.browser.follow(merchant.consent(provider, start))
    parameters = returned(back)
    (connection,) = parameters["connection"]
    named, _, account = connection.partition("#")
    assert named == provider
    assert parameters["status"] == ["connected"]
    line = stack.log_line("callback", parameters["ref"][0])
    assert (line["outcome"], line["provider"], line["merchant_id"]) == ("connected", provider, merchant.name)

    (listed,) = json.loads(stack.cli("connections", merchant.name, "--json"))["connections"]
    live = stack.simulator(provider).tokens()[-1]
    assert listed["account_id"] == account == live["account"]
    assert (listed["status"], listed["generation"], listed["version"]) == ("active", 1, 1)
    assert listed["scopes"] == (live["scope"] or "").split()
    assert stack.cli("token", merchant.name, provider) == live["access_token"] + "\n"
    assert stack.simulator(provider).accepts(account, live["access_token"])

    merchant.other_browser().connect(provider, store=account)
    (row,) = merchant.rows()
    assert row["connection"]["S"] == connection
    assert (row["generation"]["N"], row["version"]["N"]) == ("2", "2")
    newest = stack.simulator(provider).tokens()[-1]["access_token"]
    assert newest != live["access_token"]
    assert stack.cli("token", merchant.name, provider, account) == newest + "\n"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_stored(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    page = merchant.connect(provider)
    live = stack.simulator(provider).tokens()[-1]
    (row,) = merchant.rows()
    assert row["connection"]["S"] == page.query["connection"][0]
    assert row["status"]["S"] == "active"
    assert live["access_token"].encode() not in bytes(row["access"]["B"])
    assert len(bytes(row["access_key"]["B"])) > 32, "a wrapped key is longer than a plain one"
    assert ("refresh" in row) is (live["refresh_token"] is not None)
    assert row["account_verified"]["BOOL"] is (provider in ("yotpo", "xeno"))
    if live["expires_at"] is None:
        assert "expires_at" not in row
        # Where a token has no end, the provider is asked now and then whether it still takes it.
        assert ("due_at" in row) is (provider in ("yotpo", "xeno"))
    else:
        assert abs(int(row["expires_at"]["N"]) - live["expires_at"]) <= 2
        assert time.time() + 2000 < int(row["due_at"]["N"]) < live["expires_at"] - 850
    if "due_at" in row:
        assert row["due_shard"]["S"].startswith(f"{provider}#")
        assert int(row["due_at"]["N"]) > time.time() + 2000
    if provider == "yotpo":
        assert row["details"]["M"] == {"app_key": {"S": live["account"]}}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_denial_goes_back_to_the_product_and_writes_nothing(
    stack: RunningStack, merchant: Merchant, provider: str
) -> None:
    flows, calls = stack.rows("flows"), len(stack.simulator(provider).calls())
    back = merchant.browser.follow(merchant.decide(provider, "deny"))
    parameters = returned(back)
    assert (parameters["status"], parameters["reason"]) == (["denied"], ["access_denied"])
    assert "connection" not in parameters
    line = stack.log_line("callback", parameters["ref"][0])
    assert (line["outcome"], line["reason"], line["level"]) == ("denied", "access_denied", "INFO")
    assert merchant.rows() == []
    assert stack.rows("flows") == flows
    assert len(stack.simulator(provider).calls()) == calls
    assert not any(name.startswith("__Host-mooring") for name in merchant.browser.jar(stack.base_url))
    merchant.connect(provider)


@pytest.mark.parametrize("provider", WITH_STATE)
def test_two_tabs_at_once_both_succeed(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    first, second = merchant.start(provider), merchant.start(provider)
    backs = [merchant.consent(provider, page) for page in (first, second)]
    with ThreadPoolExecutor() as pool:
        pages = list(pool.map(merchant.browser.follow, backs))
    assert [returned(page)["status"] for page in pages] == [["connected"]] * 2
    (row,) = merchant.rows()
    assert (row["generation"]["N"], row["version"]["N"]) == ("2", "2")


def test_two_tabs_at_a_provider_without_state_give_one_connection(
    stack: RunningStack, merchant: Merchant
) -> None:
    calls = len(stack.simulator("notifyvisitors").calls())
    first, second = merchant.start("notifyvisitors"), merchant.start("notifyvisitors")
    backs = [merchant.consent("notifyvisitors", page) for page in (first, second)]
    pages = [merchant.browser.follow(back) for back in backs]
    assert [returned(page)["status"] for page in pages] == [["connected"]] * 2
    (row,) = merchant.rows()
    assert row["generation"]["N"] == "1"
    assert len(stack.simulator("notifyvisitors").calls()) == calls + 1


def test_each_yotpo_store_is_a_connection_of_its_own(stack: RunningStack, merchant: Merchant) -> None:
    for store in (FIRST_STORE, SECOND_STORE):
        page = merchant.connect("yotpo", store=store)
        assert page.query["connection"] == [f"yotpo#{store}"]
    live = {token["account"]: token["access_token"] for token in stack.simulator("yotpo").tokens()}
    for store in (FIRST_STORE, SECOND_STORE):
        assert stack.cli("token", merchant.name, "yotpo", store).strip() == live[store]
    advice = stack.cli("token", merchant.name, "yotpo", code=1)
    assert FIRST_STORE in advice
    assert SECOND_STORE in advice


def test_a_link_for_one_account_refuses_another(stack: RunningStack, merchant: Merchant) -> None:
    calls = len(stack.simulator("yotpo").calls())
    page = merchant.browser.follow(merchant.decide("yotpo", store=SECOND_STORE, account_id=FIRST_STORE))
    assert page.status == 403
    assert "<code>account_mismatch</code>" in page.text
    assert merchant.rows() == []
    assert len(stack.simulator("yotpo").calls()) == calls
    assert merchant.connect("yotpo", store=FIRST_STORE, account_id=FIRST_STORE).status == 303


def test_the_scopes_that_were_granted_are_the_ones_stored(stack: RunningStack, merchant: Merchant) -> None:
    consent = merchant.browser.follow(merchant.start("xeno"))
    form = consent.form()
    form.uncheck("granted", "contacts")
    assert merchant.browser.follow(merchant.browser.submit(consent, "approve", form)).status == 303
    (row,) = merchant.rows()
    assert [scope["S"] for scope in row["scopes"]["L"]] == [scope for scope in SCOPES if scope != "contacts"]


def pointers(stack: RunningStack, merchant: Merchant) -> list[str]:
    """What leads from a verified account back to this merchant."""
    found = [row for row in stack.rows("connections") if row["connection"]["S"] == merchant.name]
    return [row["merchant_id"]["S"] for row in found]


def test_a_store_is_confirmed_with_the_new_token(stack: RunningStack, merchant: Merchant) -> None:
    merchant.connect("yotpo")
    assert pointers(stack, merchant) == [f"@account#yotpo#{FIRST_STORE}"]


def test_a_store_that_cannot_be_confirmed_yet_is_asked_for_again(
    stack: RunningStack, merchant: Merchant
) -> None:
    back, calls = merchant.decide("yotpo"), len(stack.simulator("yotpo").calls())
    stack.simulator("yotpo").misbehave("http_503", "api")
    check_failure(stack, merchant.browser.follow(back), 503, "identity_unavailable")
    assert merchant.rows() == []
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    assert len(stack.simulator("yotpo").calls()) == calls + 1


def test_a_store_that_the_provider_says_nothing_about_is_kept_as_unverified(
    stack: RunningStack, merchant: Merchant
) -> None:
    back = merchant.decide("yotpo")
    stack.simulator("yotpo").misbehave("invalid_grant", "api")
    assert returned(merchant.browser.follow(back))["status"] == ["connected"]
    (row,) = merchant.rows()
    assert row["account_verified"]["BOOL"] is False
    assert pointers(stack, merchant) == []


def test_a_token_that_is_not_the_stores_is_not_stored_under_its_name(
    stack: RunningStack, merchant: Merchant
) -> None:
    """The store stands unsigned in the address: here somebody has put another one there."""
    back = merchant.decide("yotpo", store=SECOND_STORE)
    moved = back.location.replace(SECOND_STORE, FIRST_STORE)
    page = merchant.browser.open(moved, back.initiator)
    check_failure(stack, page, 403, "account_mismatch")
    assert merchant.rows() == []
    merchant.connect("yotpo", store=SECOND_STORE)
