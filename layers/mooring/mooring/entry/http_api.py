"""API Gateway HTTP API events (payload format 2.0) in, responses out: browser routes and what all share."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex
from typing import Any, NamedTuple

from mooring.core.errors import ALARMS, STATUS, Failure, Reason
from mooring.core.names import is_provider_id
from mooring.core.visit import Result, Visit

Event = Mapping[str, Any]
Response = dict[str, Any]

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


class Line(NamedTuple):
    """What the one log line of an invocation says. None and empty values are left out.

    `alarm` names a metric that is counted beside it; `counts` names metrics with their values, in
    place of the function's own. Counts do not stand in the log.
    """

    outcome: str
    status: int
    ref: str
    request_id: str
    reason: str | None = None
    provider: str | None = None
    merchant_id: str | None = None
    account_id: str | None = None
    detail: str | None = None
    at: str | None = None
    alarm: str | None = None
    until: int | None = None
    notice_id: str | None = None
    counts: tuple[tuple[str, int], ...] = ()

    def fields(self) -> dict[str, Any]:
        """What the log shows of it."""
        shown = self._asdict()
        del shown["counts"]
        return {name: value for name, value in shown.items() if value not in (None, "")}


Emit = Callable[[Line], None]
RenderFailure = Callable[[Failure, str, str | None], Response]
RenderPage = Callable[[Result], Response]


class Browser(NamedTuple):
    """How a browser route is answered.

    `known` tells enabled providers, `welcome` whether a request came the right way; the rest render
    and log.
    """

    prefix: str
    known: Callable[[str], bool]
    page: RenderPage
    failure: RenderFailure
    emit: Emit
    welcome: Callable[[Mapping[str, str]], bool] = lambda _headers: True


def respond(event: Event, flow: Callable[[Visit, str], Result], browser: Browser) -> Response:
    """Run one flow for one browser request; every ending is a response and one log line."""
    ref = token_hex(5)
    visit = visit_from(event, browser.prefix)
    provider = visit.provider if browser.known(visit.provider) else None
    try:
        if not browser.welcome(visit.headers):
            raise Failure(Reason.ORIGIN_UNKNOWN)
        if visit.method not in ("GET", "POST"):
            raise Failure(Reason.METHOD_NOT_ALLOWED)
        result = flow(visit, ref)
        response = redirect(result, visit.method) if result.location is not None else browser.page(result)
        line = Line(
            result.outcome,
            response["statusCode"],
            ref,
            request_id(event),
            result.reason,
            result.provider,
            result.merchant_id,
        )
    except Failure as failure:
        response = browser.failure(failure, ref, provider)
        line = _failed(failure.reason, ref, event, provider, failure.detail)
        line = line._replace(merchant_id=failure.merchant_id, at=where_from(failure), alarm=failure.alarm)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a page, and no word of the error's text
        response = browser.failure(Failure(Reason.INTERNAL), ref, provider)
        line = _failed(Reason.INTERNAL, ref, event, provider, type(error).__name__)
        line = line._replace(at=where(error), alarm=ALARMS[Reason.INTERNAL])
    browser.emit(line)
    return response


def _failed(reason: Reason, ref: str, event: Event, provider: str | None, detail: str) -> Line:
    status = STATUS.get(reason, 400)
    return Line("failed", status, ref, request_id(event), reason.value, provider, detail=detail or None)


def came_through(headers: Mapping[str, str], hashes: Sequence[str]) -> bool:
    """Whether a request came through the CDN in front, which alone knows the origin secret.

    `hashes` are SHA-256 in hex of the secrets that count (two while one replaces the other);
    without any, everybody is welcome.
    """
    found = sha256(headers.get("x-origin-secret", "").encode()).hexdigest()
    return not hashes or any(compare_digest(found, known) for known in hashes)


def visit_from(event: Event, prefix: str) -> Visit:
    """The browser's request in an event; whatever is null, absent or of another type counts as empty."""
    http = _mapping(_mapping(event.get("requestContext")).get("http"))
    headers = {str(name).lower(): str(value) for name, value in _mapping(event.get("headers")).items()}
    path = str(event.get("rawPath") or "")
    provider = path[len(prefix) :] if path.startswith(prefix) else ""
    provider = provider.removesuffix("/")
    return Visit(
        method=str(http.get("method") or ""),
        provider=provider if is_provider_id(provider) else "",
        query=str(event.get("rawQueryString") or ""),
        cookies=_cookies(event),
        headers=headers,
    )


def _cookies(event: Event) -> Sequence[str]:
    cookies = event.get("cookies")
    return [str(cookie) for cookie in cookies] if isinstance(cookies, list) else []


def request_id(event: Event) -> str:
    """The API's request id, which also stands in the access log."""
    return str(_mapping(event.get("requestContext")).get("requestId") or "")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def redirect(result: Result, method: str) -> Response:
    """A redirect that never repeats a body: 302 to a provider, 303 back to a product or after a POST."""
    status = 302 if result.outcome == "redirected" and method == "GET" else 303
    headers = {**HEADERS, "location": str(result.location)}
    return {"statusCode": status, "headers": headers, "cookies": list(result.cookies), "body": ""}


def where(error: BaseException) -> str:
    """Where an unexpected error arose: file and line of the innermost frames, nothing of its text."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename.rpartition("/")[2]
        frames.append(f"{name}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return " > ".join(frames[-4:])


def where_from(failure: Failure) -> str | None:
    """Where the defect arose that a failure stands for; None where it stands for none."""
    return where(failure.__cause__) if failure.__cause__ else None
