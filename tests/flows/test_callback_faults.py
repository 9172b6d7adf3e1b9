"""What fails, at each place of the callback: what was spent, what was written, what comes next."""

import pytest

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.ports import BurnState
from tests.core.signing import RETURN_TO
from tests.fakes.authorization_server import TOKENS
from tests.flows.world import Browser, World, refusal


def test_when_the_burn_fails_nothing_was_spent_and_a_reload_succeeds(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.flows.broken["burn"] = Failure(Reason.STORAGE_UNAVAILABLE)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.STORAGE_UNAVAILABLE, 503, RETURN_TO)
    assert (world.server.exchanges, world.flows.flows, len(browser.jar)) == ([], {}, 1)
    world.flows.broken.clear()
    assert world.callback(browser, f"code=c&state={state}").outcome == "connected"


def test_without_data_keys_the_provider_is_not_called(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.sealer.broken["prepare"] = Failure(Reason.SEALING_UNAVAILABLE)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.SEALING_UNAVAILABLE, 503, RETURN_TO)
    burned = world.burned(state)
    assert burned is not None
    assert (burned.state, burned.reason) == (BurnState.FAILED, "sealing_unavailable")
    assert (world.server.exchanges, browser.jar) == ([], {})
    assert world.nothing_connected()


@pytest.mark.parametrize("secret", ["", "  "])
def test_without_a_client_secret_the_provider_is_not_called(
    world: World, browser: Browser, secret: str
) -> None:
    state = world.start(browser)
    world.secrets.values["acme"] = secret
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status) == (Reason.SECRET_UNAVAILABLE, 503)
    burned = world.burned(state)
    assert burned is not None
    assert burned.state is BurnState.FAILED
    assert world.server.exchanges == []
    assert world.nothing_connected()


def test_a_public_client_needs_no_secret(world: World, browser: Browser) -> None:
    world.secrets.outage = True
    state = world.start(browser, "public")
    assert world.callback(browser, f"code=c&state={state}", "public").outcome == "connected"
    assert "client_secret" not in world.journal


def test_a_burn_that_fails_is_what_counts_when_everything_fails(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.flows.broken["burn"] = Failure(Reason.STORAGE_UNAVAILABLE)
    world.sealer.broken["prepare"] = Failure(Reason.SEALING_UNAVAILABLE)
    world.secrets.outage = True
    assert refusal(lambda: world.callback(browser, f"code=c&state={state}")).reason is (
        Reason.STORAGE_UNAVAILABLE
    )
    assert world.server.exchanges == []


FAILED_CALLS = [
    (Outcome.GRANT_LOST, Reason.GRANT_REFUSED, 400, False),
    (Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED, 500, True),
    (Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, 503, False),
    (Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT, 504, False),
    (Outcome.IN_DOUBT, Reason.PROVIDER_ANSWER_INVALID, 502, False),
]


@pytest.mark.parametrize(("outcome", "reason", "status", "forgets"), FAILED_CALLS)
def test_a_failed_token_call_is_noted_and_never_repeated(
    world: World, browser: Browser, outcome: Outcome, reason: Reason, status: int, forgets: bool
) -> None:
    state = world.start(browser)
    world.server.tokens = TokenCallFailure(outcome, reason)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status, failure.return_to) == (reason, status, RETURN_TO)
    burned = world.burned(state)
    assert burned is not None
    assert (burned.state, burned.reason) == (BurnState.FAILED, reason.value)
    assert (len(world.server.exchanges), browser.jar) == (1, {})
    assert world.secrets.forgotten == (["acme"] if forgets else [])
    assert world.nothing_connected()


def test_a_note_that_cannot_be_written_changes_nothing_for_the_merchant(
    world: World, browser: Browser
) -> None:
    state = world.start(browser)
    world.server.tokens = TokenCallFailure(Outcome.GRANT_LOST, Reason.GRANT_REFUSED)
    world.flows.broken["fail"] = Failure(Reason.STORAGE_UNAVAILABLE)
    assert refusal(lambda: world.callback(browser, f"code=c&state={state}")).reason is Reason.GRANT_REFUSED


def test_a_store_that_fails_leaves_the_sealed_token_set_on_the_recovery_queue(
    world: World, browser: Browser
) -> None:
    world.server.tokens = TOKENS._replace(access_token="at-canary", refresh_token="rt-canary")
    state = world.start(browser)
    world.connections.broken["connect"] = Failure(Reason.STORAGE_UNAVAILABLE)
    failure = refusal(lambda: world.callback(browser, f"code=c-canary&state={state}"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.STORE_DELAYED, 202, RETURN_TO)
    (message,) = world.recovery.messages
    assert message[0].merchant_id == "m-1"
    assert world.sealer.open(message[0].tokens.access, "m-1", "acme", "default", "access") == "at-canary"
    assert "canary" not in repr(message)
    assert world.connections.rows == {}
    burned = world.burned(state)
    assert burned is not None
    assert burned.state is BurnState.EXCHANGING  # whoever empties the queue finds the flow open


def test_when_the_queue_fails_too_the_token_is_lost_and_says_so(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.connections.broken["connect"] = Failure(Reason.STORAGE_UNAVAILABLE)
    world.recovery.broken["put"] = Failure(Reason.STORAGE_UNAVAILABLE)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status) == (Reason.TOKEN_LOST, 500)
    burned = world.burned(state)
    assert burned is not None
    assert (burned.state, burned.reason) == (BurnState.FAILED, "token_lost")
    assert world.nothing_connected()


@pytest.mark.parametrize(("late", "wins"), [(-1, False), (0, True), (1, True)])
def test_an_uninstall_after_the_burn_wins_and_one_before_it_does_not(
    world: World, browser: Browser, late: int, wins: bool
) -> None:
    state = world.start(browser, "fragment")
    world.connections.tombstones["fragment", "shop-9"] = int(world.clock()) + late
    query = f"code=c&state={state}&app_key=shop-9"
    if not wins:
        assert world.callback(browser, query, "fragment").outcome == "connected"
        return
    failure = refusal(lambda: world.callback(browser, query, "fragment"))
    assert (failure.reason, failure.status, failure.return_to) == (
        Reason.UNINSTALLED_MEANWHILE,
        409,
        RETURN_TO,
    )
    burned = world.burned(state, provider="fragment")
    assert burned is not None
    assert burned.state is BurnState.FAILED
    assert world.nothing_connected()


def test_a_defect_after_the_token_call_is_a_loss_that_rings(world: World, browser: Browser) -> None:
    state = world.start(browser)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("canary")

    world.connections.connect = broken  # type: ignore[method-assign, assignment]
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.detail, failure.return_to) == (
        Reason.TOKEN_LOST,
        "ZeroDivisionError",
        RETURN_TO,
    )
    assert isinstance(failure.__cause__, ZeroDivisionError)
    assert browser.jar == {}
