"""A lost answer of a token call rings, whatever cut it off; the loss of a token set is told in time."""

import pytest

from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.ports import HttpFault
from mooring.core.tokens import TokenSet
from mooring.entry.observability import _ALARMING
from mooring.flows.callback import FUNCTION_SECONDS
from mooring.providers.oauth2 import OAuth2
from tests.core.signing import NOW
from tests.fakes.authorization_server import TOKENS, Exchange
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlows
from tests.fakes.http import FakeHttp
from tests.fakes.recovery import FakeRecoveryQueue
from tests.flows.world import Browser, World, refusal
from tests.protocol.shapes import ACME


@pytest.mark.parametrize("kind", ["broken", "timeout", "too_large"])
def test_every_exchange_in_doubt_is_counted(kind: str) -> None:
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(FakeHttp(HttpFault(kind, sent=True))).exchange(ACME, "c", "https://m/cb", "v", "s", NOW)
    assert failed.value.outcome is Outcome.IN_DOUBT
    assert _ALARMING.get(failed.value.reason) == "ExchangeInDoubt"


@pytest.mark.parametrize("kind", ["connect", "timeout"])
def test_a_call_that_was_never_sent_is_not(kind: str) -> None:
    with pytest.raises(TokenCallFailure) as failed:
        OAuth2(FakeHttp(HttpFault(kind, sent=False))).exchange(ACME, "c", "https://m/cb", "v", "s", NOW)
    assert _ALARMING.get(failed.value.reason) is None


def test_a_loss_is_told_before_lambda_ends_the_function() -> None:
    """Every AWS call at its limits (`adapters.aws`: 7 s; the transaction: 3 s of tries and one of 3 s)."""

    world, browser = World(), Browser()

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
