"""No call is begun that could not be finished and stored before Lambda ends the function."""

import pytest

from mooring.core.connection import Account
from mooring.core.errors import Failure, Reason
from mooring.core.ports import BurnStatus
from mooring.core.tokens import TokenSet
from mooring.flows import callback as flow
from mooring.providers import oauth2
from tests.core.signing import NOW, RETURN_TO
from tests.fakes.authorization_server import TOKENS, Exchange
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlows
from tests.fakes.recovery import FakeRecoveryQueue
from tests.fakes.secrets import FakeSecrets
from tests.flows.world import FUNCTION_SECONDS, Browser, World, refusal


class SlowSecrets(FakeSecrets):
    """A parameter store that takes its time."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__({"acme": "s", "named": "s"})
        self._clock = clock
        self._seconds = seconds

    def client_secret(self, provider: str) -> str:
        """The secret, late."""
        self._clock.advance(self._seconds)
        return super().client_secret(provider)


@pytest.mark.parametrize(("seconds", "enough"), [(0, True), (4, True), (4.5, False), (5, False), (60, False)])
def test_the_token_call_leaves_time_to_store(
    world: World, browser: Browser, seconds: float, enough: bool
) -> None:
    state = world.start(browser)
    world.secrets = SlowSecrets(world.clock, seconds)
    if enough:
        assert world.callback(browser, f"code=c&state={state}").outcome == "connected"
        return
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert (failure.reason, failure.status, failure.return_to) == (Reason.OUT_OF_TIME, 503, RETURN_TO)
    burned = world.burned(state)
    assert burned is not None
    assert (burned.status, burned.reason) == (BurnStatus.FAILED, "out_of_time")
    assert (world.server.exchanges, browser.jar) == ([], {})
    assert world.nothing_connected()


@pytest.mark.parametrize(("seconds", "enough"), [(0, True), (10, True), (10.5, False)])
def test_the_identity_call_leaves_time_to_store_and_the_token_set_is_kept_until_then(
    world: World, browser: Browser, seconds: float, enough: bool
) -> None:
    def slow(call: Exchange) -> TokenSet:
        world.clock.advance(seconds)
        return TOKENS

    world.server.tokens = slow
    world.server.account = Account("team-7", verified=True)
    state = world.start(browser, "named")
    if not enough:
        failure = refusal(lambda: world.callback(browser, f"code=c&state={state}", "named"))
        assert (failure.reason, world.server.identifications) == (Reason.IDENTITY_UNAVAILABLE, [])
    assert world.callback(browser, f"code=c&state={state}", "named").outcome == "connected"
    assert (len(world.server.exchanges), len(world.server.identifications)) == (1, 1)


def test_an_account_that_needs_no_call_needs_no_time(world: World, browser: Browser) -> None:
    def slow(call: Exchange) -> TokenSet:
        world.clock.advance(20)
        return TOKENS

    world.server.tokens = slow
    state = world.start(browser)
    assert world.callback(browser, f"code=c&state={state}").outcome == "connected"


def test_the_flow_and_the_protocol_agree_on_how_long_a_call_may_take() -> None:
    assert (flow.TOKEN_CALL_SECONDS, flow.IDENTITY_CALL_SECONDS) == (
        oauth2.TOKEN_CALL_SECONDS,
        oauth2.IDENTITY_CALL_SECONDS,
    )
    needed = flow.TOKEN_CALL_SECONDS + flow.STORE_SECONDS + flow.MARGIN_SECONDS
    assert needed == 24
    assert flow.IDENTITY_CALL_SECONDS + flow.STORE_SECONDS + flow.MARGIN_SECONDS == 18
    assert needed < FUNCTION_SECONDS < flow.EXCHANGE_SECONDS


def test_a_loss_is_told_before_lambda_ends_the_function(world: World, browser: Browser) -> None:
    """Every AWS call at its limits (`adapters.aws`: 7 s; the transaction: 3 s of tries and one of 3 s)."""

    class Flows(FakeFlows):
        def fail(self, *_: object) -> None:
            world.clock.advance(7)
            raise Failure(Reason.STORAGE_UNAVAILABLE)

    class Connections(FakeConnections):
        def connect(self, *_: object) -> None:
            world.clock.advance(6)
            raise Failure(Reason.STORAGE_UNAVAILABLE)

    class Recovery(FakeRecoveryQueue):
        def put(self, *_: object) -> None:
            world.clock.advance(7)
            raise Failure(Reason.STORAGE_UNAVAILABLE)

    def slow(_call: Exchange) -> TokenSet:
        world.clock.advance(10)
        return TOKENS

    world.flows, world.recovery, world.server.tokens = Flows(), Recovery(), slow
    world.connections = Connections(world.flows)
    state = world.start(browser)
    failure = refusal(lambda: world.callback(browser, f"code=c&state={state}"))
    assert failure.reason is Reason.TOKEN_LOST
    assert world.clock() - NOW <= FUNCTION_SECONDS
