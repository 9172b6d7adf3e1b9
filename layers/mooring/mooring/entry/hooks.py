"""Webhook requests in, JSON answers out: 2xx only once what the provider said is durable."""

from base64 import b64decode
from collections.abc import Callable
from secrets import token_hex

from mooring.core.errors import ALARMS, Failure, Reason
from mooring.core.upkeep import Answer
from mooring.entry.http_api import Emit, Event, Line, Response, request_id, visit_from, where, where_from
from mooring.entry.problems import answered, problem
from mooring.flows.uninstall import Delivery

_COUNTS = {"uninstalled": (("Uninstalled", 1),)}
"""Outcomes that are counted as what they are, instead of by the function's own metric."""


class Hook:
    """How a webhook route is answered.

    Args:
        prefix: what its paths begin with.
        known: tells enabled providers.
        emit: writes the log line.
        welcome: tells whether a request came the right way.
    """

    def __init__(
        self,
        prefix: str,
        known: Callable[[str], bool],
        emit: Emit,
        welcome: Callable[[dict[str, str]], bool],
    ) -> None:
        self._prefix = prefix
        self._known = known
        self._emit = emit
        self._welcome = welcome

    def respond(self, event: Event, flow: Callable[[Delivery], Answer]) -> Response:
        """Run the flow for one delivery; every ending is a response and one log line."""
        ref, visit = token_hex(5), visit_from(event, self._prefix)
        provider = visit.provider if self._known(visit.provider) else None
        line = Line("failed", 500, ref, request_id(event), provider=provider)
        try:
            if not self._welcome(dict(visit.headers)):
                raise Failure(Reason.ORIGIN_UNKNOWN)
            if visit.method != "POST":
                raise Failure(Reason.METHOD_NOT_ALLOWED)
            answer = flow(Delivery(visit.provider, visit.headers, _body(event)))
            response = answered(200, {"outcome": answer.word})
            line = line._replace(outcome=answer.word, status=200, counts=_COUNTS.get(answer.word, ()))
            line = line._replace(notice_id=answer.notice_id)
        except Failure as failure:
            response = problem(failure, ref)
            line = line._replace(status=response["statusCode"], reason=failure.reason.value)
            line = line._replace(alarm=failure.alarm, detail=failure.detail or None, at=where_from(failure))
        except Exception as error:  # noqa: BLE001 - the last line of defence; no word of the error's text
            response = problem(Failure(Reason.INTERNAL), ref)
            line = line._replace(reason=Reason.INTERNAL.value, detail=type(error).__name__, at=where(error))
            line = line._replace(alarm=ALARMS[Reason.INTERNAL])
        self._emit(line)
        return response


def _body(event: Event) -> bytes:
    body = str(event.get("body") or "")
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return b64decode(body, validate=True)
    except ValueError:  # also where it is not even ASCII
        raise Failure(Reason.NOTICE_MALFORMED, "the gateway's body is not base64") from None
