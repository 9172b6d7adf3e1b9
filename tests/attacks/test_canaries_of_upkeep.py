"""A canary in every token, secret and signature of what keeps connections alive: none is found anywhere.

The lines and metrics are those that Powertools writes, at DEBUG; the protocol code is the real one. What is
searched: standard output, every logger, answers of all functions, both queues, exceptions, failed rows.
"""

import hmac
import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any
from uuid import uuid4

import pytest

from mooring.adapters.recovery_queue import refreshed_message
from mooring.adapters.work_messages import message, order_payload
from mooring.core.errors import Failure, Reason
from mooring.core.ports import HttpFault, HttpRequest, HttpResponse
from mooring.core.provider import Provider
from mooring.core.upkeep import Cause, Confirm, Hint, Order
from mooring.entry.http_api import Line
from mooring.entry.observability import Observability
from mooring.entry.service_api import DISCONNECT_ROUTE, REFRESH_ROUTE, TOKEN_ROUTE, UNAUTHORIZED_ROUTE
from mooring.providers.oauth2 import OAuth2
from tests.core.signing import NOW
from tests.entry.deployed import Deployed, batch
from tests.entry.events import event
from tests.fakes.http import FakeHttp
from tests.flows.upkeep_world import DOWN, KEY, PROBED, SEEN, SIGNED, WEBHOOK_SECRET, UpkeepWorld

CANARY = "canary"
ECHO = {"x-echo": "canary-header", "retry-after": "canary-later", "www-authenticate": 'Bearer error="canary"'}
GOOD = HttpResponse(
    200,
    ECHO,
    b'{"access_token":"canary-access-1","refresh_token":"canary-refresh-1","expires_in":3600,"x":"canary-x"}',
)
DUE = Order(KEY, SEEN, Cause.DUE)
QUERY = PROBED._replace(
    id="query", api=PROBED.api._replace(token=PROBED.api.token._replace(where="query", name="access_token"))
)


class Raising:
    """An HTTP client with a defect, whose exception shows the whole request."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Fail."""
        text = f"{request.method} {request.url} {dict(request.headers)} {request.body!r}"
        raise ConnectionError(text)


class Watched:
    """A deployment whose every word is kept."""

    def __init__(self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self.world = UpkeepWorld()
        self.world.providers[QUERY.id] = QUERY
        self.http = FakeHttp()
        self.deployed = self.serving(OAuth2(self.http))
        self._capsys, self._caplog = capsys, caplog
        self._written = ""

    @cached_property
    def observability(self) -> Observability:
        """Made in the test itself, because pytest closes the output of a test's preparation."""
        return Observability("Skipped")

    def serving(self, server: OAuth2) -> Deployed:
        """The deployment with these providers."""
        self.deployed = Deployed(self.world, server=server, emit=self._emit)
        return self.deployed

    def _emit(self, line: Line) -> None:
        self.observability.emit(line)

    def output(self) -> str:
        """Standard output and error, and what any logger said."""
        out, err = self._capsys.readouterr()
        self._written += out + err
        return self._written + self._caplog.text

    def everything(self) -> str:
        """All that left the process, but for tokens that were asked for."""
        world = self.world
        queues = [*map(repr, world.queue.messages), *map(refreshed_message, world.recovery.refreshed)]
        queued = [message(each.work) for each in world.queue.messages]
        rows = [row.connection for row in world.connections.rows.values()]
        output = self.output()
        assert all(f'"ref":"{line.ref}"' in output for line in self.deployed.lines)
        kept = repr([self.deployed.lines, self.deployed.said, queues, queued, rows, world.circuits.circuits])
        return output + kept


@pytest.fixture
def watched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[Watched]:
    name = f"refresh-{uuid4().hex}"
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", name)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Mooring")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    caplog.set_level(logging.DEBUG)
    yield Watched(capsys, caplog)
    logging.getLogger(name).handlers.clear()


def signed_request(route: str, **changes: Any) -> dict[str, Any]:
    names = KEY._asdict()
    path = route.partition(" ")[2].format_map(names)
    headers = {"authorization": "AWS4-HMAC-SHA256 Signature=canary", "x-amz-security-token": "canary-session"}
    request = {"routeKey": route, "rawPath": path, "pathParameters": names, "headers": headers}
    return {**request, "requestContext": {"requestId": "req-1"}, **changes}


ANSWERS: list[tuple[str, list[HttpResponse | HttpFault]]] = [
    ("refreshed", [GOOD]),
    ("grant_refused", [HttpResponse(400, ECHO, b'{"error":"invalid_grant","error_description":"canary"}')]),
    ("provider_misconfigured", [HttpResponse(401, ECHO, b'{"error":"invalid_client","hint":"canary"}')]),
    ("provider_unavailable", [HttpResponse(503, ECHO, b"<html>canary</html>")]),
    ("refresh_in_doubt", [HttpResponse(200, ECHO, b"canary")]),
    ("refresh_in_doubt", [HttpResponse(200, ECHO, b'{"access_token":"canary access"}')]),
    ("refresh_in_doubt", [HttpFault("timeout", sent=True)]),
    ("provider_unavailable", [HttpFault("connect", sent=False)]),
    ("token_lost", []),
]


@pytest.mark.parametrize(("ending", "answers"), ANSWERS, ids=[ending for ending, _ in ANSWERS])
@pytest.mark.parametrize("door", ["queue", "order", "read", "report", "refresh"])
def test_log_01_however_a_refresh_ends(
    watched: Watched, door: str, ending: str, answers: list[HttpResponse | HttpFault]
) -> None:
    watched.http.answers = list(answers)
    watched.world.stands()
    report = json.dumps(SEEN._asdict())
    doors: dict[str, Callable[[], object]] = {
        "queue": lambda: watched.deployed.refresh(batch(message(DUE))),
        "order": lambda: watched.deployed.refresh(json.loads(order_payload(DUE))),
        "read": lambda: watched.deployed.connections(signed_request(TOKEN_ROUTE)),
        "report": lambda: watched.deployed.connections(signed_request(UNAUTHORIZED_ROUTE, body=report)),
        "refresh": lambda: watched.deployed.connections(signed_request(REFRESH_ROUTE)),
    }
    doors[door]()
    assert ending in (watched.deployed.lines[0].reason, watched.deployed.lines[0].outcome)
    assert b"canary-refresh-0" in (watched.http.requests[0].body or b"")
    if (door, ending) == ("read", "refreshed"):
        # The one place where a token goes out: the answer to who may read it.
        assert json.loads(watched.deployed.said.pop()["body"])["access_token"] == "canary-access-1"  # type: ignore[index]
    assert CANARY not in watched.everything()
    assert watched.world.leaks() == []


@pytest.mark.parametrize(
    ("port", "method", "reason"),
    [
        ("leases", "lease", "storage_unavailable"),
        ("leases", "store", "store_delayed"),
        ("sealer", "reuse", "sealing_unavailable"),
        ("sealer", "open", "token_unreadable"),
        ("secrets", "client_secret", "secret_unavailable"),
    ],
)
@pytest.mark.parametrize("defect", [True, False])
def test_log_01_however_our_own_side_fails(
    watched: Watched, port: str, method: str, reason: str, defect: bool
) -> None:
    watched.http.answers = [GOOD]
    watched.world.stands()
    failure = Failure(Reason("storage_unavailable" if port == "leases" else reason))
    getattr(watched.world, port).broken[method] = ValueError("canary-defect") if defect else failure
    watched.deployed.refresh(batch(message(DUE)))
    (line,) = watched.deployed.lines
    assert line.reason in ((reason,) if not defect else ("internal", "token_lost"))
    assert CANARY not in watched.everything()


def test_log_02_an_exception_that_shows_the_request(watched: Watched) -> None:
    deployed = watched.serving(OAuth2(Raising()))
    watched.world.stands()
    for key in (KEY._replace(provider=PROBED.id), KEY._replace(provider=QUERY.id)):
        watched.world.stands(key, refresh=None)
    deployed.refresh(
        batch(message(DUE), message(Hint(PROBED.id, "shop-9")), message(Hint(QUERY.id, "shop-9")))
    )
    assert [line.reason for line in deployed.in_order()] == ["token_lost", "internal", "internal"]
    assert [line.detail for line in deployed.lines] == ["ConnectionError"] * 3
    assert CANARY not in watched.everything()


def test_log_02_what_libraries_say_goes_nowhere(watched: Watched) -> None:
    for name in ("botocore.endpoint", "urllib3.connectionpool", "requests.sessions", "boto3.resources"):
        logging.getLogger(name).error("GET https://x.example/?access_token=canary-url")
    assert CANARY not in watched.output()


@pytest.mark.parametrize("provider", [PROBED, QUERY], ids=lambda provider: provider.id)
@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(200, ECHO, b'{"owner":"canary"}'),
        HttpResponse(401, ECHO, b'{"error":"canary"}'),
        HttpResponse(500, ECHO, b"canary"),
        HttpFault("timeout", sent=True),
    ],
    ids=["live", "refused", "broken", "silent"],
)
def test_log_01_however_a_probe_ends(
    watched: Watched, provider: Provider, answer: HttpResponse | HttpFault
) -> None:
    key = watched.world.stands(KEY._replace(provider=provider.id), refresh=None, unauthorized_count=2)
    watched.http.answers = [answer, answer, answer]
    confirm = Confirm(key, SEEN, NOW - 60, uninstall=True)
    order = Order(key, SEEN, Cause.UNAUTHORIZED)
    watched.deployed.refresh(batch(message(Hint(provider.id, key.account_id))))
    watched.deployed.refresh(batch(message(order)))
    watched.deployed.refresh(batch(message(confirm)))
    request = watched.http.requests[0]
    assert "canary-access-0" in f"{request.url}{dict(request.headers)}"
    assert CANARY not in watched.everything()


@pytest.mark.parametrize(
    "body", [{"type": "gone"}, {"account": "shop-9"}, {"at": "canary"}, "canary-body", [CANARY]]
)
@pytest.mark.parametrize("proof", ["right", "wrong", "none"])
def test_log_01_however_a_notice_ends(watched: Watched, body: Any, proof: str) -> None:
    watched.world.stands(KEY._replace(provider=SIGNED.id))
    whole = {"type": "gone", "account": "shop-9", "at": NOW, "note": "canary-note"}
    raw = json.dumps({**whole, **body} if isinstance(body, dict) else body).encode()
    right = hmac.digest(WEBHOOK_SECRET.encode(), raw, "sha256").hex()
    headers = {"right": {"x-signature": right}, "wrong": {"x-signature": "canary-signature"}, "none": {}}[
        proof
    ]
    changes = {
        "body": b64encode(raw).decode(),
        "isBase64Encoded": True,
        "headers": {**headers, "x": "canary"},
    }
    watched.deployed.uninstall(event("/uninstall/signed", "code=canary", "POST", **changes))
    assert len(watched.deployed.lines) == 1
    everything = watched.everything()
    assert CANARY not in everything.replace("canary-account", "")  # a name, as good as any
    assert right not in everything


def test_log_01_a_disconnect_says_nothing_of_what_it_erased(watched: Watched) -> None:
    watched.world.stands()
    watched.deployed.connections(signed_request(DISCONNECT_ROUTE))
    watched.deployed.connections(signed_request(DISCONNECT_ROUTE, body="canary", rawQueryString="x=canary"))
    assert [line.outcome for line in watched.deployed.lines] == ["disconnected"] * 2
    assert CANARY not in watched.everything()


def test_log_01_a_sweep_that_fails_does_not_say_how(watched: Watched) -> None:
    watched.world.stands()
    watched.world.queue.broken["put"] = DOWN
    with pytest.raises(RuntimeError) as caught:
        watched.deployed.sweep()
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert CANARY not in shown + watched.everything()


def test_the_canaries_are_where_they_would_be_found(watched: Watched) -> None:
    """The search itself is tested: a line that held a token would be found."""
    watched.world.stands()
    watched.observability.logger.info("canary-access-0")
    assert CANARY in watched.everything()
