"""What fails, at each place of the callback: what was spent, what was written, what comes next."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from mooring.core.connection import Account
from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.ports import BurnStatus
from mooring.core.tokens import SealedField
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
    assert (burned.status, burned.reason) == (BurnStatus.FAILED, "sealing_unavailable")
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
    assert burned.status is BurnStatus.FAILED
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
    assert (burned.status, burned.reason) == (BurnStatus.FAILED, reason.value)
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
    assert burned.status is BurnStatus.EXCHANGING  # whoever empties the queue finds the flow open


def test_when_the_queue_fails_too_the_token_is_lost_and_says_so(world: World, browser: Browser) -> None:
    state = world.start(browser)
    world.connections.broken["connect"] = Failure(Reason.STORAGE_UNAVAILABLE)
    world.recovery.broken["put"] = Failure(Reason.STORAGE_UNAVAILABLE)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status, failure.alarm) == (Reason.TOKEN_LOST, 500, "TokenLost")
    assert (failure.return_to, browser.jar) == (RETURN_TO, {})
    assert world.nothing_connected()


@pytest.mark.parametrize("queue", [True, False])
def test_a_store_that_fails_notes_nothing_because_no_time_is_left_for_it(
    world: World, browser: Browser, queue: bool
) -> None:
    state = world.start(browser)
    world.connections.broken["connect"] = Failure(Reason.STORAGE_UNAVAILABLE)
    if not queue:
        world.recovery.broken["put"] = Failure(Reason.STORAGE_UNAVAILABLE)
    refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert "fail" not in world.journal
    burned = world.burned(state)
    assert burned is not None
    assert (burned.status, burned.reason) == (BurnStatus.EXCHANGING, "")


@pytest.mark.parametrize(("late", "wins"), [(-1, False), (0, True), (1, True)])
def test_an_uninstall_after_the_burn_wins_and_one_before_it_does_not(
    world: World, browser: Browser, late: int, wins: bool
) -> None:
    world.server.account = Account("shop-9", verified=True)
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
    (asked,) = world.revocations.messages
    assert (asked.key, asked.generation) == (("m-1", "fragment", "shop-9"), 0)
    burned = world.burned(state, provider="fragment")
    assert burned is not None
    assert burned.status is BurnStatus.FAILED
    assert world.nothing_connected()


class NoSeal:
    """Data keys that break when they are used."""

    def seal(self, *_: str) -> SealedField:
        """Break."""
        raise ZeroDivisionError("canary")


def broken(*_: object) -> NoReturn:
    """Stands for a defect of ours."""
    raise ZeroDivisionError("canary")


def break_exchange(world: World) -> None:
    world.server.tokens = broken


def break_identify(world: World) -> None:
    world.server.account = broken


def break_seal(world: World) -> None:
    world.sealer.prepare = lambda *_: NoSeal()  # type: ignore[method-assign, assignment]


def break_connect(world: World) -> None:
    world.connections.broken["connect"] = ZeroDivisionError("canary")


def break_queue(world: World) -> None:
    world.connections.broken["connect"] = Failure(Reason.STORAGE_UNAVAILABLE)
    world.recovery.broken["put"] = ZeroDivisionError("canary")


def break_keep(world: World) -> None:
    world.server.account = Failure(Reason.IDENTITY_UNAVAILABLE)
    world.flows.broken["keep"] = ZeroDivisionError("canary")


def break_seal_whole(world: World) -> None:
    world.server.account = Failure(Reason.IDENTITY_UNAVAILABLE)
    break_seal(world)


@pytest.mark.parametrize(
    "break_",
    [break_exchange, break_identify, break_seal, break_connect, break_queue, break_keep, break_seal_whole],
)
def test_a_defect_from_the_token_call_on_is_a_loss_that_rings(
    world: World, browser: Browser, break_: Callable[[World], None]
) -> None:
    state = world.start(browser, "named")
    break_(world)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
    assert (failure.reason, failure.alarm, failure.detail, failure.return_to) == (
        Reason.TOKEN_LOST,
        "TokenLost",
        "ZeroDivisionError",
        RETURN_TO,
    )
    assert isinstance(failure.__cause__, ZeroDivisionError)
    assert browser.jar == {}
    assert len(world.server.exchanges) == 1
    assert world.nothing_connected()


def test_a_process_that_dies_in_its_token_call_is_no_failure_to_answer(
    world: World, browser: Browser
) -> None:
    def dying(_call: object) -> NoReturn:
        raise KeyboardInterrupt

    state = world.start(browser)
    world.server.tokens = dying
    with pytest.raises(KeyboardInterrupt):
        world.callback(browser, f"code=c&state={state}")
    burned = world.burned(state)
    assert burned is not None
    assert burned.status is BurnStatus.EXCHANGING
