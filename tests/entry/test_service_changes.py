"""What services ask for: a token that lives, a reported 401, a refresh, an end; and what they must send."""

import json
from base64 import b64encode
from typing import Any

import pytest

from mooring.core.connection import Status
from mooring.core.errors import Failure, Reason
from mooring.core.provider import Probe
from mooring.core.upkeep import Cause, Key, Order
from mooring.entry.http_api import HEADERS, Event, Response
from mooring.entry.service_api import (
    DISCONNECT_ROUTE,
    REFRESH_ROUTE,
    TOKEN_ROUTE,
    UNAUTHORIZED_ROUTE,
)
from tests.core.signing import NOW
from tests.entry.deployed import Deployed
from tests.fakes.refresher import FakeRefresher
from tests.fakes.token_keeper import REFRESHED
from tests.flows.upkeep_world import DOWN, KEY, LIFETIME, LOST, PROBED, SEEN, SILENT, TRANSIENT, provider_of

NEW = REFRESHED._replace(access_token="canary-access-1", expires_at=NOW + LIFETIME)
PROBED_KEY, SILENT_KEY = KEY._replace(provider=PROBED.id), KEY._replace(provider=SILENT.id)
RENEWED = {"outcome", "status", "generation", "version", "expires_at"}
OLD = {"generation": 2, "version": 5}


@pytest.fixture
def deployed() -> Deployed:
    """One connection that has just expired, at a provider that will answer with a new token."""
    deployed = Deployed()
    deployed.world.stands()
    deployed.world.keeper.tokens = NEW
    return deployed


def sent(route: str, key: Key = KEY, body: Any = None, **changes: Any) -> dict[str, Any]:
    """A signed request; a body that is no text is sent as JSON."""
    names = key._asdict()
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": route.partition(" ")[2].format_map(names),
        "rawQueryString": "",
        "pathParameters": names,
        "requestContext": {"requestId": "req-1"},
        "isBase64Encoded": False,
        **({} if text is None else {"body": text}),
        **changes,
    }


def ask(deployed: Deployed, event: Event) -> tuple[Response, dict[str, Any]]:
    """The answer of the API, which is never cached, and its one line besides those of `refresh`."""
    response = deployed.connections(dict(event))
    assert response["headers"] == {**HEADERS, "content-type": response["headers"]["content-type"]}
    assert [line.request_id for line in deployed.lines].count("req-1") == 1
    line = deployed.lines[-1]
    assert (line.request_id, line.status) == ("req-1", response["statusCode"])
    return response, json.loads(response["body"])


def problem(deployed: Deployed, event: Event, reason: str, status: int) -> str:
    response, body = ask(deployed, event)
    assert (response["statusCode"], body["status"], body["reason"]) == (status, status, reason)
    assert response["headers"]["content-type"] == "application/problem+json"
    line = deployed.lines[-1]
    assert (line.outcome, line.reason, line.ref) == ("failed", reason, body["ref"])
    return str(body["detail"])


# a token that lives


def test_a_token_that_would_not_last_is_refreshed_first(deployed: Deployed) -> None:
    _, body = ask(deployed, sent(TOKEN_ROUTE, rawQueryString="min_ttl=300"))
    assert body == {
        "access_token": "canary-access-1",
        "token_type": "Bearer",
        "scopes": ["read"],
        "expires_at": NOW + LIFETIME,
        "generation": 2,
        "version": 6,
        "placement": {"in": "header", "name": "Authorization", "value": "Bearer canary-access-1"},
        "api": {"base_url": "https://acme.example/api/", "hosts": ["acme.example"], "rate_limit": None},
    }
    assert [line.outcome for line in deployed.lines] == ["refreshed", "read"]
    assert "canary" not in repr(deployed.lines)


def test_a_token_that_lives_but_could_not_be_refreshed_comes_with_a_warning(deployed: Deployed) -> None:
    deployed.world.stands(expires_at=NOW + 30)
    deployed.world.keeper.tokens = TRANSIENT
    _, body = ask(deployed, sent(TOKEN_ROUTE))
    assert (body["access_token"], body["warning"]) == ("canary-access-0", "provider_unavailable")


def test_a_dead_token_that_could_not_be_refreshed_is_not_handed_out(deployed: Deployed) -> None:
    deployed.world.keeper.tokens = TRANSIENT
    problem(deployed, sent(TOKEN_ROUTE), "provider_unavailable", 503)


def test_a_new_token_that_is_not_stored_yet_is_no_success(deployed: Deployed) -> None:
    deployed.world.leases.broken["store"] = DOWN
    problem(deployed, sent(TOKEN_ROUTE), "store_delayed", 503)


def test_a_grant_that_the_refresh_finds_gone(deployed: Deployed) -> None:
    deployed.world.keeper.tokens = LOST
    detail = problem(deployed, sent(TOKEN_ROUTE), "connection_not_active", 409)
    assert detail == "Its status is needs_reconnect. Send the merchant a link to connect again."


def test_fifty_readers_of_a_due_token_are_one_refresh(deployed: Deployed) -> None:
    acting = provider_of(deployed.world)
    for _ in range(50):
        assert deployed.connections(sent(TOKEN_ROUTE))["statusCode"] == 200
    assert (acting.calls, deployed.world.row().version) == (1, 6)


# a 401 is reported


@pytest.mark.parametrize("encoded", [False, True])
def test_a_reported_401_refreshes_at_once(deployed: Deployed, encoded: bool) -> None:
    deployed.world.stands(expires_at=NOW + 900)
    text = json.dumps(OLD)
    changes = {"body": b64encode(text.encode()).decode(), "isBase64Encoded": True} if encoded else {}
    response, body = ask(deployed, sent(UNAUTHORIZED_ROUTE, KEY, text) | changes)
    assert (response["statusCode"], set(body)) == (200, RENEWED)
    assert (body["outcome"], body["status"], body["version"]) == ("refreshed", "active", 6)
    assert [line.outcome for line in deployed.lines] == ["refreshed", "refreshed"]
    line = deployed.lines[-1]
    assert (line.provider, line.merchant_id, line.account_id) == ("acme", "m-1", "shop-9")


def test_a_number_is_the_same_however_json_writes_it(deployed: Deployed) -> None:
    _, body = ask(deployed, sent(UNAUTHORIZED_ROUTE, KEY, '{"generation": 2.0, "version": 0.5e1}'))
    assert (body["outcome"], deployed.orders[0].seen) == ("refreshed", SEEN)


@pytest.mark.parametrize("old", [{"generation": 1, "version": 5}, {"generation": 2, "version": 4}])
def test_a_report_about_an_older_token_changes_nothing(deployed: Deployed, old: dict[str, int]) -> None:
    before = deployed.world.snapshot()
    _, body = ask(deployed, sent(UNAUTHORIZED_ROUTE, KEY, old))
    assert (body["outcome"], body["version"]) == ("fresh", 5)
    assert deployed.world.snapshot() == before
    assert not deployed.world.keeper.refreshes


def test_at_most_one_report_in_a_minute_refreshes(deployed: Deployed) -> None:
    acting = provider_of(deployed.world)
    for _ in range(5):
        row = deployed.world.row()
        ask(deployed, sent(UNAUTHORIZED_ROUTE, KEY, {"generation": row.generation, "version": row.version}))
        deployed.lines.clear()
        deployed.world.clock.advance(11)
    assert acting.calls == 1
    deployed.world.clock.advance(10)
    ask(deployed, sent(UNAUTHORIZED_ROUTE, KEY, {"generation": 2, "version": 6}))
    assert acting.calls == 2


def test_three_in_a_row_end_a_token_that_nothing_refreshes_or_probes(deployed: Deployed) -> None:
    deployed.world.stands(SILENT_KEY, refresh=None)
    report = sent(UNAUTHORIZED_ROUTE, SILENT_KEY, OLD)
    for word in ("reported", "skipped", "reported"):
        assert ask(deployed, report)[1]["outcome"] == word
        deployed.lines.clear()
        deployed.world.clock.advance(31)
    deployed.world.clock.advance(60)
    problem(deployed, report, "connection_not_active", 409)
    assert deployed.world.row(SILENT_KEY).status is Status.NEEDS_RECONNECT


def test_what_was_reported_a_quarter_of_an_hour_ago_is_forgotten(deployed: Deployed) -> None:
    deployed.world.stands(SILENT_KEY, refresh=None, unauthorized_count=2, unauthorized_at=NOW - 900)
    assert ask(deployed, sent(UNAUTHORIZED_ROUTE, SILENT_KEY, OLD))[1]["outcome"] == "reported"
    assert deployed.world.rest(SILENT_KEY).unauthorized_count == 1


@pytest.mark.parametrize(
    ("verdict", "status"), [(Probe.LIVE, 200), (Probe.REFUSED, 409), (Probe.UNKNOWN, 200)]
)
def test_where_there_is_a_probe_it_decides(deployed: Deployed, verdict: Probe, status: int) -> None:
    deployed.world.stands(PROBED_KEY, refresh=None, unauthorized_count=2, unauthorized_at=NOW - 60)
    deployed.world.keeper.said = verdict
    response, _ = ask(deployed, sent(UNAUTHORIZED_ROUTE, PROBED_KEY, OLD))
    assert (response["statusCode"], len(deployed.world.keeper.probes)) == (status, 1)


WHOLE = "the whole number that came with the token"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "the body must be JSON"),
        ("", "the body must be JSON"),
        ("{", "the body must be JSON"),
        ("[]", "the body must be JSON"),
        ("null", "the body must be JSON"),
        ("5", "the body must be JSON"),
        ("generation=2&version=5", "the body must be JSON"),
        (json.dumps({**OLD, "x": "y" * 1_024}), "the body must be JSON"),
        ({**OLD, "access_token": "canary"}, "the body must hold generation and version, and nothing else"),
        ({**OLD, "Generation": 2}, "the body must hold generation and version, and nothing else"),
        ("[" * 1_000, "the body must be JSON"),
        ("{}", f"the generation must be {WHOLE}"),
        ({"generation": 2}, f"the version must be {WHOLE}"),
        ({"version": 5}, f"the generation must be {WHOLE}"),
        ({**OLD, "generation": True}, f"the generation must be {WHOLE}"),
        ({**OLD, "version": False}, f"the version must be {WHOLE}"),
        ({**OLD, "version": "5"}, f"the version must be {WHOLE}"),
        ({**OLD, "version": 5.5}, f"the version must be {WHOLE}"),
        ({**OLD, "version": None}, f"the version must be {WHOLE}"),
        ({**OLD, "version": [5]}, f"the version must be {WHOLE}"),
        ({**OLD, "version": 0}, f"the version must be {WHOLE}"),
        ({**OLD, "version": -5}, f"the version must be {WHOLE}"),
        ({**OLD, "version": 10**12}, f"the version must be {WHOLE}"),
        ('{"generation": 2, "version": NaN}', f"the version must be {WHOLE}"),
        ('{"generation": 2, "version": 1e999}', f"the version must be {WHOLE}"),
        ('{"generation": 2, "version": %s}' % ("9" * 900), f"the version must be {WHOLE}"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_report_that_cannot_be(deployed: Deployed, body: Any, said: str) -> None:
    detail = problem(deployed, sent(UNAUTHORIZED_ROUTE, KEY, body), "request_malformed", 400)
    assert "canary" not in f"{detail}{deployed.lines}"
    assert detail.lower().startswith(said.lower())
    assert deployed.world.journal == []


@pytest.mark.parametrize(
    "body", ["%%%", "eyJ9", "\u00e9\u00e9\u00e9\u00e9", b64encode(b"\xff\xfe{}").decode()]
)
def test_a_report_in_broken_base64(deployed: Deployed, body: str) -> None:
    event = sent(UNAUTHORIZED_ROUTE, KEY, body, isBase64Encoded=True)
    problem(deployed, event, "request_malformed", 400)
    assert deployed.world.journal == []


# a refresh is asked for


def test_a_refresh_now(deployed: Deployed) -> None:
    deployed.world.stands(expires_at=NOW + LIFETIME)
    response, body = ask(deployed, sent(REFRESH_ROUTE))
    assert (response["statusCode"], body) == (
        200,
        {
            "outcome": "refreshed",
            "status": "active",
            "generation": 2,
            "version": 6,
            "expires_at": NOW + LIFETIME,
        },
    )
    assert [line.outcome for line in deployed.lines] == ["refreshed", "refreshed"]


def test_the_line_does_not_claim_a_refresh_that_was_none(deployed: Deployed) -> None:
    deployed.world.stands(SILENT_KEY, refresh=None)
    _, body = ask(deployed, sent(REFRESH_ROUTE, SILENT_KEY))
    assert (body["outcome"], body["version"]) == ("skipped", 5)
    assert deployed.lines[-1].outcome == "skipped"


@pytest.mark.parametrize(
    ("row", "reason", "status"),
    [
        ({"lease_owner": "another", "lease_until": NOW + 9}, "refresh_busy", 503),
        ({"attempts": ("one",), "attempt_at": NOW - 9}, "refresh_in_doubt", 503),
        ({"status": Status.UNINSTALLED}, "connection_not_active", 409),
        ({"status": Status.DISCONNECTED}, "connection_not_active", 409),
        ({"status": Status.NEEDS_RECONNECT}, "connection_not_active", 409),
    ],
)
def test_a_refresh_that_cannot_be_now(
    deployed: Deployed, row: dict[str, Any], reason: str, status: int
) -> None:
    deployed.world.stands(**row)
    problem(deployed, sent(REFRESH_ROUTE), reason, status)
    assert not deployed.world.keeper.refreshes


def test_a_pause_after_failures_holds_for_all_but_who_asks_by_hand(deployed: Deployed) -> None:
    deployed.world.stands(retry_at=NOW + 100, failures=3)
    problem(deployed, sent(UNAUTHORIZED_ROUTE, KEY, OLD), "refresh_put_off", 503)
    deployed.lines.clear()
    assert ask(deployed, sent(REFRESH_ROUTE))[1]["outcome"] == "refreshed"


@pytest.mark.parametrize("route", [REFRESH_ROUTE, UNAUTHORIZED_ROUTE])
def test_a_provider_that_fails_says_so(deployed: Deployed, route: str) -> None:
    deployed.world.keeper.tokens = TRANSIENT
    detail = problem(deployed, sent(route, KEY, OLD), "provider_unavailable", 503)
    assert detail.startswith("Try again in a few seconds")


# an end


def test_a_disconnect_erases_at_once_and_may_be_repeated(deployed: Deployed) -> None:
    for outcome in ("disconnected", "skipped"):
        response, body = ask(deployed, sent(DISCONNECT_ROUTE))
        assert (response["statusCode"], body) == (200, {"status": "disconnected"})
        assert deployed.lines.pop().outcome == outcome
        deployed.world.clock.advance(1)
    assert deployed.world.row().status is Status.DISCONNECTED
    assert deployed.world.tokens() == (None, None)
    problem(deployed, sent(TOKEN_ROUTE), "connection_not_active", 409)


@pytest.mark.parametrize("status", [Status.NEEDS_RECONNECT, Status.UNINSTALLED])
def test_a_disconnect_of_what_does_not_work_any_more(deployed: Deployed, status: Status) -> None:
    deployed.world.stands(status=status)
    assert ask(deployed, sent(DISCONNECT_ROUTE))[0]["statusCode"] == 200


def test_a_connection_of_a_provider_that_is_not_enabled_any_more_can_still_be_ended(
    deployed: Deployed,
) -> None:
    gone = deployed.world.stands(KEY._replace(provider="gone"))
    assert ask(deployed, sent(DISCONNECT_ROUTE, gone))[0]["statusCode"] == 200
    assert deployed.lines[-1].provider is None


# all of them


CHANGES = [UNAUTHORIZED_ROUTE, REFRESH_ROUTE, DISCONNECT_ROUTE]


@pytest.mark.parametrize("route", CHANGES)
@pytest.mark.parametrize(
    "key",
    [
        Key("m-2", "acme", "shop-9"),
        Key("m-1", "acme", "shop-8"),
        Key("m-1", "nobody", "shop-9"),
        Key("m-1", "Acme", "shop-9"),
        Key("..", "acme", "shop-9"),
        Key("m-1", "acme", "."),
        Key("@account#acme#shop-9", "acme", "m-1"),
        Key("m 1", "acme", "shop-9"),
        Key("", "", ""),
    ],
)
def test_what_is_not_there_is_not_found_and_changes_nothing(deployed: Deployed, route: str, key: Key) -> None:
    before = deployed.world.snapshot()
    problem(deployed, sent(route, key, OLD), "connection_not_found", 404)
    assert deployed.world.snapshot() == before
    line = deployed.lines[-1]
    assert line.provider == ("acme" if key.provider == "acme" else None)
    assert "@" not in f"{line.merchant_id}"


@pytest.mark.parametrize("route", CHANGES)
@pytest.mark.parametrize("path", ["/merchants/m%2D1/connections/acme/shop-9", "/x", "", None])
def test_a_path_that_is_spelt_otherwise_than_its_names(deployed: Deployed, route: str, path: Any) -> None:
    problem(deployed, sent(route, KEY, OLD, rawPath=path), "request_malformed", 400)
    assert deployed.world.journal == []


@pytest.mark.parametrize(
    ("route", "port", "method"),
    [
        (UNAUTHORIZED_ROUTE, "leases", "lease"),
        (REFRESH_ROUTE, "leases", "lease"),
        (REFRESH_ROUTE, "connections", "read"),
        (DISCONNECT_ROUTE, "endings", "disconnect"),
    ],
)
def test_our_own_trouble_says_to_try_again(deployed: Deployed, route: str, port: str, method: str) -> None:
    getattr(deployed.world, port).broken[method] = DOWN
    problem(deployed, sent(route, KEY, OLD), "storage_unavailable", 503)


@pytest.mark.parametrize("route", [UNAUTHORIZED_ROUTE, REFRESH_ROUTE])
def test_a_connection_of_a_provider_that_is_not_enabled_any_more_is_there_all_the_same(
    deployed: Deployed, route: str
) -> None:
    """404 is for what never was."""
    gone = deployed.world.stands(KEY._replace(provider="gone"))
    problem(deployed, sent(route, gone, OLD), "provider_unknown", 409)
    deployed.lines.clear()
    problem(deployed, sent(TOKEN_ROUTE, gone), "token_expired", 409)


def test_a_refresh_function_that_cannot_be_asked() -> None:
    refresher = FakeRefresher()
    refresher.broken["refresh"] = Failure(Reason.STORAGE_UNAVAILABLE, "TooManyRequestsException")
    deployed = Deployed(refresher=refresher)
    deployed.world.stands()
    problem(deployed, sent(REFRESH_ROUTE), "storage_unavailable", 503)
    deployed.lines.clear()
    problem(deployed, sent(TOKEN_ROUTE), "storage_unavailable", 503)


def test_what_was_seen_travels_with_the_order(deployed: Deployed) -> None:
    for route in (UNAUTHORIZED_ROUTE, REFRESH_ROUTE):
        deployed.connections(sent(route, KEY, OLD))
    assert deployed.orders == [Order(KEY, SEEN, Cause.UNAUTHORIZED), Order(KEY, None, Cause.ASKED)]
    assert deployed.world.row().version == 7
