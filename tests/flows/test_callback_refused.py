"""What does not belong to a flow of this browser, or is no answer to it: nothing is spent on it."""

from functools import partial

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.flow import cookie_name, encode_flow
from mooring.core.visit import Visit
from mooring.flows.callback import callback
from tests.core.signing import NOW, RETURN_TO, signed
from tests.flows.world import FUNCTION_SECONDS, REF, Browser, World, refusal, sent


@pytest.mark.parametrize(
    "query", ["", "code=c", "code=c&state=", "code=c&state", "state=&error=access_denied", "error=x"]
)
def test_state_absent_or_empty(world: World, browser: Browser, query: str) -> None:
    world.start(browser)
    failure = refusal(lambda: world.callback(browser, query))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.STATE_MISSING, 400, None)
    assert world.untouched()


def test_an_empty_state_never_equals_an_empty_cookie(world: World, browser: Browser) -> None:
    browser.jar[cookie_name("acme", "")] = f"1~{NOW}~acme~~~{signed()}"
    assert refusal(lambda: world.callback(browser, "code=c&state=")).reason is Reason.STATE_MISSING
    assert world.untouched()


@pytest.mark.parametrize("state", ["x", "é", "%20", "a~b", "x" * 9_000, "../../x", "[]", "state%5B%5D"])
def test_a_state_that_nobody_issued(world: World, browser: Browser, state: str) -> None:
    world.start(browser)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status) == (Reason.STATE_UNKNOWN, 400)
    assert world.untouched()


def test_a_state_in_brackets_is_no_state(world: World, browser: Browser) -> None:
    state = world.start(browser)
    assert refusal(lambda: world.callback(browser, f"code=c&state[]={state}")).reason is Reason.STATE_MISSING


def test_another_browser_is_refused_and_the_owner_still_succeeds(world: World, browser: Browser) -> None:
    state = world.start(browser)
    stranger = Browser()
    assert refusal(lambda: world.callback(stranger, f"code=c&state={state}")).reason is Reason.STATE_UNKNOWN
    world.start(stranger)
    assert refusal(lambda: world.callback(stranger, f"code=c&state={state}")).reason is Reason.STATE_UNKNOWN
    assert world.untouched()
    assert world.callback(browser, f"code=c&state={state}").outcome == "connected"


def test_each_character_of_the_state_counts(world: World, browser: Browser) -> None:
    state = world.start(browser)
    for place, char in enumerate(state):
        changed = state[:place] + ("x" if char != "x" else "y") + state[place + 1 :]
        failure = refusal(partial(world.callback, browser, f"code=c&state={changed}"))
        assert (failure.reason, failure.status) == (Reason.STATE_UNKNOWN, 400)
    assert world.untouched()


def test_a_cookie_whose_flow_has_another_state_than_its_name(world: World, browser: Browser) -> None:
    state = world.start(browser)
    flow = browser.flows()[0]
    browser.jar[cookie_name("acme", "forged")] = encode_flow(flow)
    assert refusal(lambda: world.callback(browser, "code=c&state=forged")).reason is Reason.STATE_UNKNOWN
    browser.jar[cookie_name("acme", state)] = "1~junk"
    assert refusal(lambda: world.callback(browser, f"code=c&state={state}")).reason is Reason.STATE_UNKNOWN
    assert world.untouched()


def test_the_state_of_one_provider_at_another(world: World, browser: Browser) -> None:
    state = world.start(browser, "acme")
    for other in ("named", "issuer", "stateless"):
        query = f"code=c&state={state}&iss=https://acme.example"
        failure = refusal(partial(world.callback, browser, query, other))
        assert (failure.reason, failure.status) == (Reason.STATE_UNKNOWN, 400)
    assert world.untouched()


def test_a_flow_moved_to_another_provider_inside_its_cookie_fails_by_its_link(
    world: World, browser: Browser
) -> None:
    state = world.start(browser, "acme")
    name = cookie_name("named", state)
    browser.jar[name] = encode_flow(browser.flows()[0]._replace(provider="named"))
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, failure.status, failure.clear_cookies) == (Reason.LINK_PROVIDER, 403, (name,))
    assert world.untouched()


def test_a_return_to_changed_inside_the_cookie_breaks_the_links_signature(
    world: World, browser: Browser
) -> None:
    state = world.start(browser)
    flow = browser.flows()[0]
    head, body, signature = flow.link.split(".")
    for link in (f"{head}.{body[:-4]}AAAA.{signature}", "", "x", flow.link + "x"):
        browser.jar[cookie_name("acme", state)] = encode_flow(flow._replace(link=link))
        failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
        assert failure.reason in (Reason.LINK_FORGED, Reason.LINK_MALFORMED, Reason.LINK_MISSING)
    assert world.untouched()


def test_two_cookies_of_the_flows_name(world: World, browser: Browser) -> None:
    state = world.start(browser)
    visit = Visit("GET", "acme", f"code=c&state={state}", [*browser.cookies(), *browser.cookies()], {})
    with pytest.raises(Failure) as refused:
        callback(visit, world.callback_ports(), REF, lambda: float(FUNCTION_SECONDS))
    assert (refused.value.reason, refused.value.status) == (Reason.COOKIE_REPEATED, 400)
    assert refused.value.clear_cookies == (cookie_name("acme", state),)
    assert world.untouched()


@pytest.mark.parametrize(
    ("provider", "age"), [("acme", 600), ("acme", 601), ("acme", -61), ("stateless", 300), ("acme", 10**6)]
)
def test_a_flow_past_its_time_or_from_the_future(
    world: World, browser: Browser, provider: str, age: int
) -> None:
    state = world.start(browser, provider)
    world.clock.advance(age)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", provider))
    assert (failure.reason, failure.status) == (Reason.FLOW_EXPIRED, 400)
    assert browser.jar == {}
    assert world.untouched()


def test_the_last_second_of_a_stateless_flow(world: World, browser: Browser) -> None:
    world.start(browser, "stateless")
    world.clock.advance(299)
    headers = {"referer": "https://acme.example/"}
    assert world.callback(browser, "code=c", "stateless", headers=headers).outcome == "connected"


def test_a_link_ten_minutes_past_its_end(world: World, browser: Browser) -> None:
    state = world.start(browser, exp=NOW + 1, iat=NOW - 9)
    flow = browser.flows()[0]
    world.clock.advance(601)
    browser.jar[cookie_name("acme", state)] = encode_flow(flow._replace(started_at=NOW + 600))
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status) == (Reason.LINK_EXPIRED, 403)
    assert world.untouched()


@pytest.mark.parametrize(
    "extra",
    ["&code=a&code=b", "&code=c&error=x&error=y", "&code=c&iss=a&iss=b", "&code=c&state=x", "&code=c&code="],
)
def test_repeated_parameters(world: World, browser: Browser, extra: str) -> None:
    state = world.start(browser)
    failure = refusal(lambda: world.callback(browser, f"state={state}{extra}"))
    assert (failure.reason, failure.status) == (Reason.PARAMETER_REPEATED, 400)
    assert world.untouched()


def test_a_repeated_parameter_that_is_kept_costs_no_token(world: World, browser: Browser) -> None:
    state = world.start(browser, "fragment")
    query = f"state={state}&code=c&app_key=shop-9&plan=a&plan=b"
    failure = refusal(lambda: world.callback(browser, query, "fragment"))
    assert (failure.reason, failure.return_to) == (Reason.PARAMETER_REPEATED, RETURN_TO)
    assert world.untouched()


@pytest.mark.parametrize(
    "extra", ["&x=%zz", "&code=%ff%fe", "&code=a%00b", "&code=a%0Ab", "&y=" + "x" * 17_000, "&z" * 60]
)
def test_a_query_that_cannot_be_read(world: World, browser: Browser, extra: str) -> None:
    state = world.start(browser)
    failure = refusal(lambda: world.callback(browser, f"state={state}{extra}"))
    assert (failure.reason, failure.status) == (Reason.REQUEST_MALFORMED, 400)
    assert world.untouched()


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("", Reason.CODE_MISSING),
        ("&code=", Reason.CODE_MISSING),
        ("&Code=c", Reason.CODE_MISSING),
        ("&access_token=EVIL&token_type=bearer", Reason.CODE_MISSING),
        ("&code=" + "c" * 4_097, Reason.CODE_MALFORMED),
        ("&code=" + "c" * 10_240, Reason.CODE_MALFORMED),
        ("&code=%C3%A9", Reason.CODE_MALFORMED),
        ("&code=%E2%80%AE", Reason.CODE_MALFORMED),
    ],
    ids=range(8),
)
def test_a_code_absent_or_unlike_a_code(world: World, browser: Browser, extra: str, reason: Reason) -> None:
    state = world.start(browser)
    failure = refusal(lambda: world.callback(browser, f"state={state}{extra}"))
    assert (failure.reason, failure.status, failure.return_to) == (reason, 400, RETURN_TO)
    assert world.untouched()
    assert len(browser.jar) == 1


def test_a_code_of_four_kilobytes_is_still_a_code(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.callback(browser, f"state={state}&code={'c' * 4_096}")
    assert len(world.server.exchanges[0].code) == 4_096


def test_denied_goes_back_with_the_reason_and_clears_the_cookie(world: World, browser: Browser) -> None:
    state = world.start(browser)
    result = world.callback(browser, f"state={state}&error=access_denied&error_description=<script>")
    assert (result.outcome, result.reason) == ("denied", "access_denied")
    assert result.location == f"{RETURN_TO}?status=denied&reason=access_denied&ref={REF}"
    assert browser.jar == {}
    assert world.untouched()


@pytest.mark.parametrize("error", ["server_error", "x", "", "%3Cscript%3E", "ACCESS_DENIED", "e" * 8_192])
def test_any_other_error_is_a_page_that_repeats_none_of_it(
    world: World, browser: Browser, error: str
) -> None:
    state = world.start(browser)
    failure = refusal(
        lambda: world.callback(browser, f"state={state}&error={error}&error_description=canary")
    )
    assert (failure.reason, failure.status, failure.return_to) == (Reason.PROVIDER_ERROR, 502, RETURN_TO)
    assert "canary" not in f"{failure!r}{failure.detail}"
    assert browser.jar == {}
    assert world.untouched()


def test_error_beside_a_code_wins(world: World, browser: Browser) -> None:
    state = world.start(browser)
    assert world.callback(browser, f"state={state}&error=access_denied&code=c").outcome == "denied"
    assert world.untouched()


@pytest.mark.parametrize(
    "iss",
    [None, "", "https://evil.example", "https://acme.example/", "https://ACME.example", "http://acme.example",
     "https://acme.example:443", "https://xn--acme.example", "https://acme.example "],
)  # fmt: skip
def test_an_issuer_absent_or_spelt_otherwise(world: World, browser: Browser, iss: str | None) -> None:
    state = world.start(browser, "issuer")
    for rest in ("code=c", "error=access_denied") if iss is not None else ("code=c",):
        query = f"state={state}&{rest}" + ("" if iss is None else f"&iss={iss}")
        failure = refusal(partial(world.callback, browser, query, "issuer"))
        assert (failure.reason, failure.status) == (Reason.ISSUER_MISMATCH, 400)
    assert world.untouched()


def test_a_denial_without_the_issuer_is_believed_because_nothing_is_exchanged(
    world: World, browser: Browser
) -> None:
    state = world.start(browser, "issuer")
    assert world.callback(browser, f"state={state}&error=access_denied", "issuer").outcome == "denied"
    assert world.untouched()


def test_an_issuer_that_the_descriptor_does_not_name_is_ignored(world: World, browser: Browser) -> None:
    state = world.start(browser)
    assert world.callback(browser, f"state={state}&code=c&iss=https://acme.example").outcome == "connected"


@pytest.mark.parametrize(
    "account", [None, "", "a b", "a/b", "a%23b", "default", "x" * 129, "%C3%A9", "..%2F", ".", "..", "%2E%2E"]
)
def test_an_account_that_is_no_name(world: World, browser: Browser, account: str | None) -> None:
    state = world.start(browser, "fragment")
    query = f"state={state}&code=c" + ("" if account is None else f"&app_key={account}")
    failure = refusal(lambda: world.callback(browser, query, "fragment"))
    assert (failure.reason, failure.status) == (Reason.ACCOUNT_MALFORMED, 400)
    assert world.untouched()


def test_another_account_than_expected_is_refused_before_any_call(world: World, browser: Browser) -> None:
    state = world.start(browser, "fragment", account_id="shop-1")
    failure = refusal(lambda: world.callback(browser, f"state={state}&code=c&app_key=shop-9", "fragment"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.ACCOUNT_MISMATCH, 403, RETURN_TO)
    assert world.untouched()


def test_a_post_to_a_provider_with_state_is_nobodys(world: World, browser: Browser) -> None:
    state = world.start(browser)
    headers = {"sec-fetch-site": "same-origin"}
    failure = refusal(
        lambda: world.callback(browser, f"state={state}&code=c", method="POST", headers=headers)
    )
    assert (failure.reason, failure.status) == (Reason.METHOD_NOT_ALLOWED, 405)
    assert world.untouched()


def test_an_unknown_provider(world: World, browser: Browser) -> None:
    state = world.start(browser)
    failure = refusal(lambda: world.callback(browser, f"state={state}&code=c", "nobody"))
    assert (failure.reason, failure.status) == (Reason.PROVIDER_UNKNOWN, 404)


def test_a_manage_link_in_a_flow_of_its_own_browser_holds(world: World, browser: Browser) -> None:
    state = world.start(browser)
    flow = browser.flows()[0]
    managed = flow._replace(link=signed(use="manage"))
    browser.jar[cookie_name("acme", state)] = encode_flow(managed)
    result = world.callback(browser, f"state={state}&code=c")
    assert sent(result.location)["connection"] == "acme#default"
