"""An account that only the browser named: it proves nothing, and stays one segment of a path."""

import contextlib

from mooring.adapters.http import OutboundHttp
from mooring.core.errors import Failure, Reason
from mooring.core.names import is_name
from mooring.core.ports import HttpResponse
from mooring.providers.oauth2 import OAuth2
from tests.contract.socket_server import SocketServer, response
from tests.fakes.http import FakeHttp
from tests.flows.world import Browser, World, refusal
from tests.protocol.shapes import FRAGMENT

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


def test_a_dotted_account_does_not_confirm_itself_at_another_address() -> None:
    server = SocketServer(response(200, TOKEN.body))
    assert FRAGMENT.identity is not None
    call = FRAGMENT.identity.call._replace(url=f"http://{server.host}/v2/{{account_id}}/info")
    provider = FRAGMENT._replace(
        token=FRAGMENT.token._replace(url=f"http://{server.host}/token"),
        identity=FRAGMENT.identity._replace(call=call),
        hosts=(server.host,),
        local=True,
    )
    world, browser, http = World(provider), Browser(), OutboundHttp()
    state = world.start(browser, "fragment")
    query = f"code=c&app_key=..&state={state}"
    failure = refusal(lambda: world.callback(browser, query, "fragment", server=OAuth2(http)))
    http.close()
    server.stop()
    assert not is_name("..")
    assert failure.reason is Reason.ACCOUNT_MALFORMED
    assert server.heads == []
    assert not any(row.connection.account_verified for row in world.connections.rows.values())
