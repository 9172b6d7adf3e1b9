"""An account id from the callback stays one segment of the path that confirms it."""

from mooring.adapters.http import OutboundHttp
from mooring.core.connection import Account
from mooring.core.names import is_name
from mooring.providers.oauth2 import OAuth2
from tests.contract.socket_server import SocketServer, response
from tests.protocol.shapes import FRAGMENT


def test_a_dotted_account_does_not_confirm_itself_at_another_address() -> None:
    server = SocketServer(response())
    assert FRAGMENT.identity is not None
    call = FRAGMENT.identity.call._replace(url=f"http://{server.host}/v2/{{account_id}}/info")
    identity = FRAGMENT.identity._replace(call=call)
    provider = FRAGMENT._replace(identity=identity, hosts=(server.host,), local=True)
    http = OutboundHttp()
    accepted = is_name("..")
    account = OAuth2(http).identify(provider, "at-1", "..") if accepted else Account("..", verified=False)
    http.close()
    server.stop()
    assert not account.verified, server.heads[0].split(b"\r\n")[0]
