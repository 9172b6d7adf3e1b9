"""An interim answer (1xx) must not leave its final answer behind for whoever uses the connection next."""

import socket

from mooring.adapters.http import OutboundHttp
from mooring.core.ports import HttpFault, HttpRequest
from tests.contract.socket_server import SocketServer, response


def test_no_merchant_gets_the_answer_to_another_ones_token_call() -> None:
    server = SocketServer(response())

    def hint_then_token(connection: socket.socket) -> bool:
        body = b'{"access_token":"for-' + server.bodies[-1] + b'"}'
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        server.pause(0.5)
        return response(200, body)(connection)

    server.answers = [hint_then_token]
    http = OutboundHttp()
    answers = []
    for merchant in (b"merchant-1", b"merchant-2"):
        request = HttpRequest("POST", f"http://{server.host}/token", {}, merchant, (server.host,), local=True)
        try:
            answers.append((merchant, http.send(request).body))
        except HttpFault:
            answers.append((merchant, b""))
    http.close()
    server.stop()
    for merchant, body in answers:
        assert body in (b"", b'{"access_token":"for-' + merchant + b'"}')
