"""An account that only the browser named, and the provider denied, must not pass for the expected one."""

import contextlib

from mooring.core.errors import Failure
from mooring.core.ports import HttpResponse
from mooring.providers.oauth2 import OAuth2
from tests.fakes.http import FakeHttp
from tests.flows.world import Browser, World

TOKEN = HttpResponse(200, {}, b'{"access_token":"at-1"}')
GOOD, DENIED = HttpResponse(200, {}, b"{}"), HttpResponse(401, {}, b"{}")


def test_another_accounts_token_does_not_replace_a_verified_connection() -> None:
    world, server, query = (
        World(),
        OAuth2(FakeHttp(TOKEN, GOOD, TOKEN, DENIED)),
        "code=c&app_key=store-1&state=",
    )
    merchant, attacker = Browser(), Browser()
    state = world.start(merchant, "fragment")
    world.callback(merchant, query + state, "fragment", server=server)
    # A leaked reconnect link for store-1, the attacker's own code, and app_key edited in the address.
    state = world.start(attacker, "fragment", account_id="store-1", jti="jti-2")
    with contextlib.suppress(Failure):
        world.callback(attacker, query + state, "fragment", server=server)
    row = world.connections.rows["m-1", "fragment#store-1"].connection
    assert (row.generation, row.account_verified) == (1, True)
