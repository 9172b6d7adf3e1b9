"""A flow that ends well: one token call, one connection, and a way back that tells nothing secret."""

import pytest

from mooring.core.connection import Account, Status
from mooring.core.flow import state_hash
from mooring.core.ports import BurnStatus
from mooring.core.provider import Provider
from mooring.core.tokens import TokenSet
from tests.core.signing import APP, NOW, RETURN_TO, signed
from tests.fakes.authorization_server import TOKENS, Exchange
from tests.fakes.flows import FakeFlow
from tests.flows.world import REF, Browser, World, refusal, sent
from tests.protocol.shapes import ACME, ALL

COMING_BACK: dict[str, tuple[str, dict[str, str], str]] = {
    "acme": ("", {}, "default"),
    "stateless": ("", {"referer": "https://acme.example/consent"}, "default"),
    "fragment": ("&app_key=shop-9", {}, "shop-9"),
    "issuer": ("&iss=https%3A%2F%2Facme.example", {}, "default"),
    "named": ("", {}, "default"),
    "public": ("", {}, "default"),
}


@pytest.mark.parametrize("provider", ALL, ids=lambda provider: provider.id)
def test_a_provider_of_every_shape_is_connected(world: World, browser: Browser, provider: Provider) -> None:
    extra, headers, account = COMING_BACK[provider.id]
    state = world.start(browser, provider.id)
    verifier = browser.flows()[0].verifier
    back = f"code=c0de{extra}" + (f"&state={state}" if provider.authorize.state else "")
    result = world.callback(browser, back, provider.id, headers=headers)
    assert (result.outcome, result.provider, result.merchant_id) == ("connected", provider.id, "m-1")
    assert result.location == (f"{RETURN_TO}?connection={provider.id}%23{account}&status=connected&ref={REF}")
    secret = "" if provider.id == "public" else f"secret-of-{provider.id}"
    assert world.server.exchanges == [
        Exchange(
            provider.id, "c0de", f"https://connect.example.com/callback/{provider.id}", verifier, secret, NOW
        )
    ]
    connection = world.connections.rows["m-1", f"{provider.id}#{account}"].connection
    assert (connection.status, connection.generation, connection.version) == (Status.ACTIVE, 1, 1)
    assert connection.scopes == provider.scopes


def test_the_state_is_burned_and_keys_and_secret_are_in_hand_before_the_token_call(
    world: World, browser: Browser
) -> None:
    state = world.start(browser)
    world.callback(browser, f"code=c&state={state}")
    assert sorted(world.journal[:3]) == ["burn", "client_secret", "prepare"]
    assert world.journal[3:] == ["exchange", "identify", "connect"]


def test_the_burn_is_seen_by_the_provider_as_done(world: World, browser: Browser) -> None:
    state = world.start(browser)
    seen: list[FakeFlow | None] = []

    def answer(call: Exchange) -> TokenSet:
        seen.append(world.burned(state))
        return TOKENS

    world.server.tokens = answer
    world.callback(browser, f"code=c&state={state}")
    assert [flow.burned_at for flow in seen if flow] == [NOW]
    done = world.burned(state)
    assert done is not None
    assert (done.status, done.account_id) == (BurnStatus.DONE, "default")


def test_both_tokens_are_stored_sealed_for_their_account(world: World, browser: Browser) -> None:
    world.server.tokens = TOKENS._replace(
        access_token="at-1",
        refresh_token="rt-1",
        scopes=("read",),
        expires_at=NOW + 3_600,
        account_id="shop-9",
    )
    state = world.start(browser)
    world.callback(browser, f"code=c&state={state}")
    new = world.connections.stored[0]
    assert new.account == Account("shop-9", verified=True)
    assert (new.connected_at, new.burned_at, new.due_at) == (NOW, NOW, NOW + 2_700)
    assert (new.tokens.scopes, new.tokens.expires_at) == (("read",), NOW + 3_600)
    assert world.sealer.open(new.tokens.access, "m-1", "acme", "shop-9", "access") == "at-1"
    assert new.tokens.refresh is not None
    assert world.sealer.open(new.tokens.refresh, "m-1", "acme", "shop-9", "refresh") == "rt-1"


def test_scopes_that_the_answer_does_not_name_are_those_asked_for(world: World, browser: Browser) -> None:
    state = world.start(browser, scopes=["read"])
    world.callback(browser, f"code=c&state={state}")
    assert world.connections.stored[0].tokens.scopes == ("read",)


def test_an_answer_that_grants_no_scope_at_all_is_stored_as_such(world: World, browser: Browser) -> None:
    world.server.tokens = TOKENS._replace(scopes=())
    state = world.start(browser)
    world.callback(browser, f"code=c&state={state}")
    assert world.connections.stored[0].tokens.scopes == ()


def test_extra_parameters_are_kept_cut_and_the_answers_own_details_win(
    world: World, browser: Browser
) -> None:
    world.server.tokens = TOKENS._replace(details={"plan": "from-answer"})
    state = world.start(browser, "fragment")
    world.callback(browser, f"code=c&state={state}&app_key=shop-9&plan=gold&other=x", "fragment")
    assert world.connections.stored[0].tokens.details == {"app_key": "shop-9", "plan": "from-answer"}
    state = world.start(browser, "fragment", jti="jti-2")
    world.server.tokens = TOKENS
    world.callback(browser, f"code=c&state={state}&app_key=shop-9&plan={'g' * 900}", "fragment")
    assert world.connections.stored[1].tokens.details == {"app_key": "shop-9", "plan": "g" * 512}


def test_a_reconnect_counts_one_generation_up(world: World, browser: Browser) -> None:
    for jti in ("jti-1", "jti-2"):
        state = world.start(browser, jti=jti)
        world.callback(browser, f"code=c&state={state}")
    assert world.connections.rows["m-1", "acme#default"].connection.generation == 2


def test_two_tabs_both_succeed_in_either_order(world: World, browser: Browser) -> None:
    link = signed()
    world.authorize(browser, link)
    world.authorize(browser, link)
    first, second = (flow.state for flow in browser.flows())
    assert world.callback(browser, f"code=c2&state={second}").outcome == "connected"
    assert world.callback(browser, f"code=c1&state={first}").outcome == "connected"
    assert [exchange.code for exchange in world.server.exchanges] == ["c2", "c1"]


def test_return_to_keeps_its_own_query_and_fragment_byte_for_byte(world: World, browser: Browser) -> None:
    return_to = f"{APP}/a%2Fb?x=1&y=%20+~#/tab?z=%C3%A9"
    state = world.start(browser, return_to=return_to)
    location = str(world.callback(browser, f"code=c0de&state={state}").location)
    before, _, fragment = return_to.partition("#")
    assert location == f"{before}&connection=acme%23default&status=connected&ref={REF}#{fragment}"


def test_the_way_back_carries_no_code_state_token_or_verifier(world: World, browser: Browser) -> None:
    state = world.start(browser, "issuer")
    verifier = browser.flows()[0].verifier
    result = world.callback(browser, f"code=c0de&state={state}&iss=https://acme.example", "issuer")
    assert not any(
        secret in str(result.location) for secret in ("c0de", state, verifier, TOKENS.access_token)
    )
    assert set(sent(result.location)) == {"connection", "status", "ref"}


def test_the_cookie_becomes_a_marker_without_a_verifier(world: World, browser: Browser) -> None:
    state = world.start(browser)
    verifier = browser.flows()[0].verifier
    world.clock.advance(100)
    result = world.callback(browser, f"code=c&state={state}")
    marker = browser.flows()[0]
    assert (marker.account, marker.verifier, marker.state) == ("default", "", state)
    assert verifier not in result.cookies[0]
    assert "; Max-Age=500;" in result.cookies[0]


@pytest.mark.parametrize("age", [-60, 0, 599])
def test_a_flow_lives_to_its_last_second_and_survives_a_clock_a_minute_behind(
    world: World, browser: Browser, age: int
) -> None:
    state = world.start(browser)
    world.clock.advance(age)
    assert world.callback(browser, f"code=c&state={state}").outcome == "connected"


def test_a_link_that_expired_on_the_way_still_holds_for_ten_minutes(world: World, browser: Browser) -> None:
    state = world.start(browser, iat=NOW - 3_000, exp=NOW + 1)
    world.clock.advance(599)
    assert world.callback(browser, f"code=c&state={state}").outcome == "connected"


def test_the_account_expected_on_a_reconnect(world: World, browser: Browser) -> None:
    state = world.start(browser, "fragment", account_id="shop-9")
    assert world.callback(browser, f"code=c&state={state}&app_key=shop-9", "fragment").outcome == "connected"


def test_tokens_in_the_query_are_ignored(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.callback(browser, f"code=c&state={state}&access_token=EVIL&token_type=bearer")
    stored = world.connections.stored[0].tokens.access
    assert world.sealer.open(stored, "m-1", "acme", "default", "access") == TOKENS.access_token


def test_ten_flows_from_one_link_and_no_eleventh(world: World, browser: Browser) -> None:
    for attempt in range(10):
        state = world.start(browser)
        assert world.callback(browser, f"code=c{attempt}&state={state}").outcome == "connected"
    stranger = Browser()
    eleventh = world.start(stranger)
    failure = refusal(lambda: world.callback(stranger, f"code=c&state={eleventh}"))
    assert (failure.reason.value, failure.status, failure.return_to) == ("link_exhausted", 403, RETURN_TO)
    assert (len(world.server.exchanges), stranger.jar) == (10, {})


def test_merchants_may_have_the_same_account_id_at_two_providers(world: World, browser: Browser) -> None:
    for provider, extra in (("acme", ""), ("named", "")):
        state = world.start(browser, provider, jti=f"jti-{provider}")
        world.server.account = Account("42", verified=True)
        world.callback(browser, f"code=c&state={state}{extra}", provider)
    assert sorted(key for _, key in world.connections.rows) == ["acme#42", "named#42"]


def test_the_burned_row_names_the_state_only_by_its_hash(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.callback(browser, f"code=c&state={state}")
    assert list(world.flows.flows) == [("m-1", "jti-1")]
    assert list(world.flows.flows["m-1", "jti-1"]) == [state_hash(state)]
    assert ACME.id in {key.partition("#")[0] for _, key in world.connections.rows}
