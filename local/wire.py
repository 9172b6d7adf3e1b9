"""The request as it came over the wire, taken from a WSGI environ before any framework decodes it."""

from typing import Any

from local import HOST
from local.request import HttpRequest

_MAX_BODY_BYTES = 10 * 1024 * 1024
_LOOPBACK_NAMES = frozenset({HOST, "localhost"})


class RefusedError(Exception):
    """API Gateway's own answer instead of the function's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def wire_request(environ: dict[str, Any]) -> HttpRequest:
    """The request of an environ that holds `mooring.target` and `mooring.headers` as they were sent.

    Raises:
        RefusedError: it is none that API Gateway would look at.
    """
    target: str = environ["mooring.target"]
    if not target.startswith("/") or not target.isascii() or not target.isprintable():
        raise RefusedError(400, "Bad Request")
    if environ.get("HTTP_HOST", "").partition(":")[0] not in _LOOPBACK_NAMES:
        # As API Gateway answers for a domain that it does not serve; here it also keeps web pages out that
        # point a name of their own at this machine.
        raise RefusedError(403, "Forbidden")
    return HttpRequest(
        method=environ["REQUEST_METHOD"],
        target=target.partition("#")[0],
        headers=environ["mooring.headers"],
        body=_read_body(environ),
        source_ip=environ["REMOTE_ADDR"],
        protocol=environ["SERVER_PROTOCOL"],
    )


def _read_body(environ: dict[str, Any]) -> bytes:
    if environ.get("wsgi.input_terminated"):
        body: bytes = environ["wsgi.input"].read(_MAX_BODY_BYTES + 1)
    else:
        declared = environ.get("CONTENT_LENGTH") or "0"
        if not declared.isdecimal():
            raise RefusedError(400, "Bad Request")
        body = environ["wsgi.input"].read(min(int(declared), _MAX_BODY_BYTES + 1))
    if len(body) > _MAX_BODY_BYTES:
        raise RefusedError(413, "Request Entity Too Large")
    return body
