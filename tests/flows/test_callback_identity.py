"""The account of a token: learnt after the exchange; kept sealed until then; never exchanged twice."""

import pytest

from mooring.core.connection import Account
from mooring.core.errors import Failure, Reason
from mooring.core.ports import BurnStatus
from mooring.core.tokens import TokenSet
from mooring.flows.token_sets import open_whole, seal_whole
from tests.core.signing import NOW, RETURN_TO
from tests.fakes.authorization_server import TOKENS, Identify
from tests.fakes.sealer import FakeSealer
from tests.flows.world import Browser, World, refusal, sent

UNAVAILABLE = Failure(Reason.IDENTITY_UNAVAILABLE)
WHOLE = TokenSet("at-1", "rt-1", ("read",), NOW + 3_600, NOW + 86_400, None, {"plan": "gold"})


def test_the_token_is_what_the_provider_is_asked_with(world: World, browser: Browser) -> None:
    state = world.start(browser, "fragment")
    world.callback(browser, f"code=c&state={state}&app_key=shop-9", "fragment")
    assert world.server.identifications == [Identify("fragment", TOKENS.access_token, "shop-9")]


def test_an_account_in_the_token_answer_needs_no_further_call(world: World, browser: Browser) -> None:
    world.server.tokens = TOKENS._replace(account_id="shop-9")
    state = world.start(browser)
    world.callback(browser, f"code=c&state={state}")
    assert world.server.identifications == []
    assert world.connections.stored[0].account == Account("shop-9", verified=True)
    assert world.connections.pointers == {("acme", "shop-9"): {"m-1"}}


@pytest.mark.parametrize("reason", [Reason.IDENTITY_UNAVAILABLE, Reason.ACCOUNT_MISSING])
def test_what_cannot_be_told_yet_is_kept_sealed_and_a_reload_resumes(
    world: World, browser: Browser, reason: Reason
) -> None:
    world.server.tokens = WHOLE
    world.server.account = [Failure(reason), Account("team-7", verified=True)]
    state = world.start(browser, "named")
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, failure.return_to, failure.clear_cookies) == (reason, RETURN_TO, ())
    kept = world.burned(state, provider="named")
    assert kept is not None
    assert (kept.status, kept.kept is not None) == (BurnStatus.KEPT, True)
    assert "at-1" not in repr(kept)
    assert world.nothing_connected()
    world.clock.advance(60)
    result = world.callback(browser, f"code=c&state={state}", "named")
    assert sent(result.location)["connection"] == "named#team-7"
    assert len(world.server.exchanges) == 1
    new = world.connections.stored[0]
    assert (new.burned_at, new.connected_at, new.tokens.details) == (NOW, NOW + 60, {"plan": "gold"})
    assert world.sealer.open(new.tokens.access, "m-1", "named", "team-7", "access") == "at-1"


@pytest.mark.parametrize(("lifetime", "late", "due"), [(700, 60, 466), (700, 590, 590), (150, 60, None)])
def test_what_lay_kept_is_refreshed_in_time_all_the_same(
    world: World, browser: Browser, lifetime: int, late: int, due: int | None
) -> None:
    """However little is left of it; only what lives short altogether is left to its readers."""
    world.server.tokens = WHOLE._replace(expires_at=NOW + lifetime, refresh_expires_at=None)
    world.server.account = [UNAVAILABLE, Account("team-7", verified=True)]
    state = world.start(browser, "named")
    refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    world.clock.advance(late)
    world.callback(browser, f"code=c&state={state}", "named")
    assert world.connections.stored[0].due_at == (None if due is None else NOW + due)


def test_it_is_kept_as_often_as_it_takes(world: World, browser: Browser) -> None:
    world.server.account = [UNAVAILABLE, UNAVAILABLE, Account("team-7", verified=True)]
    state = world.start(browser, "named")
    for _ in range(2):
        failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
        assert failure.reason is Reason.IDENTITY_UNAVAILABLE
    assert world.callback(browser, f"code=c&state={state}", "named").outcome == "connected"
    assert (len(world.server.exchanges), len(world.server.identifications)) == (1, 3)


def test_what_is_kept_already_is_not_lost_when_the_table_fails_at_the_next_try(
    world: World, browser: Browser
) -> None:
    world.server.account = [UNAVAILABLE, UNAVAILABLE, Account("team-7", verified=True)]
    state = world.start(browser, "named")
    refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    world.flows.broken["keep"] = Failure(Reason.STORAGE_UNAVAILABLE)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, len(browser.jar)) == (Reason.IDENTITY_UNAVAILABLE, 1)
    assert world.callback(browser, f"code=c&state={state}", "named").outcome == "connected"


def test_a_resumed_flow_has_the_account_and_parameters_of_its_first_return(
    world: World, browser: Browser
) -> None:
    world.server.account = [UNAVAILABLE, Account("shop-9", verified=True)]
    state = world.start(browser, "fragment")
    refusal(lambda: world.callback(browser, f"code=c&state={state}&app_key=shop-9&plan=gold", "fragment"))
    world.callback(browser, f"code=c&state={state}&app_key=shop-EVIL&plan=none", "fragment")
    assert [call.named for call in world.server.identifications] == ["shop-9", "shop-9"]
    new = world.connections.stored[0]
    assert (new.account.account_id, new.tokens.details) == ("shop-9", {"app_key": "shop-9", "plan": "gold"})


def test_kept_without_an_account_of_its_own_it_stays_without_one(world: World, browser: Browser) -> None:
    world.server.account = [UNAVAILABLE, Account("team-7", verified=True)]
    state = world.start(browser, "named")
    for _ in range(2):
        try:
            world.callback(browser, f"code=c&state={state}&app_key=shop-EVIL", "named")
        except Failure:
            continue
    assert [call.named for call in world.server.identifications] == [None, None]


def test_what_cannot_even_be_kept_is_lost_and_says_so(world: World, browser: Browser) -> None:
    world.server.account = UNAVAILABLE
    world.flows.broken["keep"] = Failure(Reason.STORAGE_UNAVAILABLE)
    state = world.start(browser, "named")
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.TOKEN_LOST, 500, RETURN_TO)
    assert browser.jar == {}
    assert world.nothing_connected()


@pytest.mark.parametrize(
    ("fails", "reason"), [("prepare", Reason.SEALING_UNAVAILABLE), ("open", Reason.SEALING_UNAVAILABLE)]
)
def test_a_resumed_flow_that_meets_a_kms_fault_keeps_what_it_kept(
    world: World, browser: Browser, fails: str, reason: Reason
) -> None:
    world.server.account = [UNAVAILABLE, Account("team-7", verified=True)]
    state = world.start(browser, "named")
    refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    world.sealer.broken[fails] = Failure(reason)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, len(browser.jar)) == (reason, 1)
    world.sealer.broken.clear()
    assert world.callback(browser, f"code=c&state={state}", "named").outcome == "connected"
    assert len(world.server.exchanges) == 1


def test_a_kept_token_set_that_does_not_open_any_more_is_lost(world: World, browser: Browser) -> None:
    world.server.account = UNAVAILABLE
    state = world.start(browser, "named")
    refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    world.sealer.vault.clear()
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.TOKEN_LOST, 500, RETURN_TO)
    assert world.nothing_connected()


@pytest.mark.parametrize("resumed", [False, True])
def test_another_account_than_expected_is_not_stored(world: World, browser: Browser, resumed: bool) -> None:
    other = Account("team-8", verified=True)
    world.server.account = [UNAVAILABLE, other] if resumed else other
    state = world.start(browser, "named", account_id="team-7")
    if resumed:
        refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.ACCOUNT_MISMATCH, 403, RETURN_TO)
    assert (len(world.server.exchanges), browser.jar) == (1, {})
    assert world.nothing_connected()
    (asked,) = world.revocations.messages
    assert (asked.key, asked.generation) == (("m-1", "named", "team-8"), 0)
    opened = world.sealer.open(asked.access, *asked.key, "access")
    assert opened == "access-token-of-the-fake"


def test_an_account_that_the_provider_refuses_is_not_kept_for_another_try(
    world: World, browser: Browser
) -> None:
    world.server.account = Failure(Reason.ACCOUNT_MISMATCH)
    state = world.start(browser, "fragment")
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}&app_key=shop-9", "fragment"))
    assert (failure.reason, failure.status, failure.alarm) == (
        Reason.ACCOUNT_MISMATCH,
        403,
        "TokenDiscarded",
    )
    burned = world.burned(state, provider="fragment")
    assert burned is not None
    assert (burned.status, burned.reason, burned.kept) == (BurnStatus.FAILED, "account_mismatch", None)
    assert browser.jar == {}
    assert world.nothing_connected()
    assert world.revocations.messages == [], "nobody knows whose grant it is"


def test_an_account_that_nobody_confirmed_takes_no_verified_ones_place(
    world: World, browser: Browser
) -> None:
    query = "code=c&app_key=shop-9&state="
    world.server.account = [Account("shop-9", verified=True), Account("shop-9", verified=False)]
    world.callback(browser, query + world.start(browser, "fragment"), "fragment")
    row = world.connections.rows["m-1", "fragment#shop-9"]
    state = world.start(browser, "fragment", jti="jti-2")
    failure = refusal(lambda: world.callback(browser, query + state, "fragment"))
    assert (failure.reason, failure.return_to) == (Reason.ACCOUNT_MISMATCH, RETURN_TO)
    assert world.connections.rows == {("m-1", "fragment#shop-9"): row}
    assert world.recovery.messages == []
    burned = world.burned(state, provider="fragment", jti="jti-2")
    assert burned is not None
    assert (burned.status, burned.reason) == (BurnStatus.FAILED, "account_mismatch")
    assert world.revocations.messages == [], "it may be of the very grant that stands there"


def test_the_answer_of_the_provider_counts_more_than_the_return(world: World, browser: Browser) -> None:
    world.server.account = Account("shop-1", verified=True)
    state = world.start(browser, "fragment")
    world.callback(browser, f"code=c&state={state}&app_key=shop-9", "fragment")
    assert world.connections.stored[0].account == Account("shop-1", verified=True)


@pytest.mark.parametrize("tokens", [WHOLE, TOKENS, WHOLE._replace(scopes=(), account_id="a")])
@pytest.mark.parametrize("named", ["shop-9", None])
def test_a_whole_token_set_comes_back_as_it_was(tokens: TokenSet, named: str | None) -> None:
    sealer = FakeSealer()
    kept = seal_whole(tokens, named, sealer.prepare("m-1", "acme"))
    assert open_whole(kept, "m-1", "acme", sealer) == (tokens, named)


def test_a_kept_token_set_moved_to_another_merchant_does_not_open() -> None:
    sealer = FakeSealer()
    kept = seal_whole(WHOLE, None, sealer.prepare("m-1", "acme"))
    assert refusal(lambda: open_whole(kept, "m-2", "acme", sealer)).reason is Reason.TOKEN_LOST
