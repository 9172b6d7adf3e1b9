"""What services read: a list, a token; JSON out, problem details for what fails."""

import json
import re
from typing import Any

import pytest

from mooring.core.connection import Connection, ReadableConnection, Status
from mooring.core.errors import Failure, Reason
from mooring.core.provider import Placement, Provider, RateLimit
from mooring.entry.http_api import HEADERS, Line, Response
from mooring.entry.service_api import CONNECTION_ROUTE, LIST_ROUTE, TOKEN_ROUTE, ServicePorts, answer
from mooring.flows.disconnect import DisconnectPorts
from mooring.flows.read import ReadPorts
from mooring.flows.renew import RenewPorts
from tests.core.signing import NOW
from tests.entry.service_contract import check
from tests.fakes.clock import FakeClock
from tests.fakes.connections import FakeConnections
from tests.fakes.endings import FakeEndings
from tests.fakes.flows import FakeFlows
from tests.fakes.refresher import FakeRefresher
from tests.fakes.sealer import FakeSealer
from tests.protocol.shapes import ACME

LIVE = Connection(
    "m:1",
    "acme",
    "shop-9",
    Status.ACTIVE,
    2,
    5,
    ("read",),
    NOW + 600,
    NOW - 9,
    NOW,
    True,
    None,
    {"plan": "gold"},
)
NAMES = {"merchant_id": "m:1", "provider": "acme", "account_id": "shop-9"}
LIST_PATH = "/merchants/m:1/connections"
ONE_PATH = f"{LIST_PATH}/acme/shop-9"
TOKEN_PATH = f"{ONE_PATH}/token"
SHOWN = {
    "merchant_id": "m:1",
    "provider": "acme",
    "account_id": "shop-9",
    "account_verified": True,
    "status": "active",
    "generation": 2,
    "version": 5,
    "scopes": ["read"],
    "expires_at": NOW + 600,
    "expiring_at": None,
    "connected_at": NOW - 9,
    "updated_at": NOW,
    "last_error": None,
    "revocation": None,
    "details": {"plan": "gold"},
}


class Service:
    """The routes on a shelf with one connection that nothing refreshes."""

    def __init__(self) -> None:
        self.sealer, self.refresher = FakeSealer(), FakeRefresher()
        self.connections = FakeConnections(FakeFlows())
        access = self.sealer.prepare("m:1", "acme").seal("access", "shop-9", "at-canary")
        self.connections.rows["m:1", "acme#shop-9"] = ReadableConnection(LIVE, access)
        clock = FakeClock(NOW)
        read = ReadPorts(
            self.connections, self.sealer, self.refresher, lambda _name: False, clock, clock.advance
        )
        renew = RenewPorts(self.connections, self.refresher)
        ending = DisconnectPorts(FakeEndings(self.connections), clock)
        self.providers: dict[str, Provider] = {"acme": ACME}
        self.ports = ServicePorts(
            read, renew, ending, self.providers.__contains__, lambda name: self.providers[name]
        )
        self.lines: list[Line] = []

    def get(self, route: str, path: str, query: str = "", **changes: Any) -> tuple[Response, dict[str, Any]]:
        names = {name: NAMES[name] for name in re.findall(r"{(\w+)}", route)}
        event = {"version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": query,
                 "pathParameters": names,
                 "requestContext": {"requestId": "req-1"}, **changes}  # fmt: skip
        response = answer(event, self.ports, self.lines.append, lambda: 28.0)
        check(route, response)
        return response, json.loads(response["body"])


@pytest.fixture
def service() -> Service:
    return Service()


def test_a_list_has_everything_but_tokens(service: Service) -> None:
    response, body = service.get(LIST_ROUTE, LIST_PATH)
    assert (response["statusCode"], response["headers"]) == (
        200,
        {**HEADERS, "content-type": "application/json"},
    )
    assert body == {"connections": [SHOWN], "next": None}
    assert "open" not in service.sealer.journal
    assert service.lines == [Line("listed", 200, service.lines[0].ref, "req-1", merchant_id="m:1")]


def test_one_connection_is_shown_as_in_the_list(service: Service) -> None:
    response, body = service.get(CONNECTION_ROUTE, ONE_PATH)
    assert (response["statusCode"], body) == (200, SHOWN)
    assert "open" not in service.sealer.journal
    line = service.lines[0]
    assert (line.outcome, line.provider, line.merchant_id, line.account_id) == (
        "shown",
        "acme",
        "m:1",
        "shop-9",
    )


def others(service: Service, **rows: Status) -> None:
    for account, status in rows.items():
        one = LIVE._replace(account_id=account, status=status)
        service.connections.rows["m:1", f"acme#{account}"] = ReadableConnection(one, None)


def test_a_list_in_pages(service: Service) -> None:
    others(service, a=Status.ACTIVE, b=Status.ACTIVE, z=Status.DISCONNECTED)
    found, cursor = [], ""
    while True:
        _, body = service.get(LIST_ROUTE, LIST_PATH, f"limit=2{cursor}")
        found.append([one["account_id"] for one in body["connections"]])
        if body["next"] is None:
            break
        cursor = f"&next={body['next']}"
    assert found == [["a", "b"], ["shop-9", "z"]]


def test_a_list_has_fifty_unless_asked_otherwise(service: Service) -> None:
    others(service, **{f"a{number:03}": Status.ACTIVE for number in range(120)})
    for query, length in (("", 50), ("limit=1", 1), ("limit=100", 100), ("limit=007", 7)):
        assert len(service.get(LIST_ROUTE, LIST_PATH, query)[1]["connections"]) == length


@pytest.mark.parametrize(
    ("query", "accounts"),
    [
        ("provider=acme", ["a", "shop-9", "z"]),
        ("provider=other", []),
        ("status=disconnected", ["z"]),
        ("status=active&provider=acme", ["a", "shop-9"]),
        ("status=uninstalled", []),
        ("something=else", ["a", "shop-9", "z"]),
    ],
)
def test_a_list_can_be_narrowed(service: Service, query: str, accounts: list[str]) -> None:
    others(service, a=Status.ACTIVE, z=Status.DISCONNECTED)
    body = service.get(LIST_ROUTE, LIST_PATH, query)[1]
    assert [one["account_id"] for one in body["connections"]] == accounts


@pytest.mark.parametrize(
    ("query", "reason", "named"),
    [
        ("limit=0", "request_malformed", "the limit"),
        ("limit=101", "request_malformed", "the limit"),
        ("limit=", "request_malformed", "the limit"),
        ("limit=ten", "request_malformed", "the limit"),
        ("limit=1.0", "request_malformed", "the limit"),
        ("limit=-1", "request_malformed", "the limit"),
        ("limit=%D9%A3", "request_malformed", "the limit"),
        ("limit=1000000000000000000000", "request_malformed", "the limit"),
        ("status=", "request_malformed", "the status"),
        ("status=Active", "request_malformed", "the status"),
        ("status=pending_confirmation", "request_malformed", "no listed connection has this status"),
        ("provider=", "request_malformed", "the provider"),
        ("provider=ACME", "request_malformed", "the provider"),
        ("next=", "request_malformed", "next must be"),
        ("next=abc", "request_malformed", "next must be"),
        ("status=active&status=active", "parameter_repeated", "check"),
        ("limit=1&limit=1", "parameter_repeated", "check"),
        ("next=%zz", "request_malformed", "check"),
    ],
)
def test_a_list_that_cannot_be(service: Service, query: str, reason: str, named: str) -> None:
    detail = problem(service, *service.get(LIST_ROUTE, LIST_PATH, query), reason, 400)
    assert detail.lower().startswith(named)
    assert service.connections.journal == []


def test_a_cursor_of_another_merchant_is_refused(service: Service) -> None:
    others(service, a=Status.ACTIVE)
    cursor = service.get(LIST_ROUTE, LIST_PATH, "limit=1")[1]["next"]
    path = "/merchants/m-2/connections"
    response, body = service.get(LIST_ROUTE, path, f"next={cursor}", pathParameters={"merchant_id": "m-2"})
    problem(service, response, body, "request_malformed", 400)


def test_a_token_is_the_only_thing_that_is_secret(service: Service) -> None:
    response, body = service.get(TOKEN_ROUTE, TOKEN_PATH, "min_ttl=599")
    assert response["headers"]["cache-control"] == "no-store"
    assert body == {
        "access_token": "at-canary",
        "token_type": "Bearer",
        "scopes": ["read"],
        "expires_at": NOW + 600,
        "generation": 2,
        "version": 5,
        "placement": {"in": "header", "name": "Authorization", "value": "Bearer at-canary"},
        "api": {"base_url": "https://acme.example/api/", "hosts": ["acme.example"], "rate_limit": None},
    }
    line = service.lines[0]
    assert (line.outcome, line.provider, line.merchant_id, line.account_id) == (
        "read",
        "acme",
        "m:1",
        "shop-9",
    )
    assert "canary" not in repr(service.lines)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Placement("header", "X-Shop-Token", ""), ("header", "X-Shop-Token", "at-canary")),
        (Placement("query", "access_token", ""), ("query", "access_token", "at-canary")),
        (Placement("header", "Authorization", "token "), ("header", "Authorization", "token at-canary")),
    ],
)
def test_a_token_stands_where_the_descriptor_says(
    service: Service, place: Placement, said: tuple[str, ...]
) -> None:
    service.providers["acme"] = ACME._replace(api=ACME.api._replace(token=place))
    body = service.get(TOKEN_ROUTE, TOKEN_PATH)[1]
    assert tuple(body["placement"].values()) == said


@pytest.mark.parametrize(
    ("base", "hosts", "shown"),
    [
        (None, ("b.example", "a.example"), (None, ["a.example", "b.example"])),
        ("https://api.example:8443/{account_id}/v2/", ("acme.example",),
         ("https://api.example:8443/shop-9/v2/", ["acme.example", "api.example:8443"])),
        ("http://127.0.0.1:9/x", (), ("http://127.0.0.1:9/x", ["127.0.0.1:9"])),
    ],
)  # fmt: skip
def test_where_a_token_may_be_sent(
    service: Service, base: str | None, hosts: tuple[str, ...], shown: tuple[str | None, list[str]]
) -> None:
    service.providers["acme"] = ACME._replace(api=ACME.api._replace(base=base), hosts=hosts)
    api = service.get(TOKEN_ROUTE, TOKEN_PATH)[1]["api"]
    assert (api["base_url"], api["hosts"]) == shown


def test_an_account_cannot_change_the_path_of_the_api(service: Service) -> None:
    """Names hold no slash; what they hold is encoded all the same."""
    access = service.sealer.prepare("m:1", "acme").seal("access", "a:b", "at-canary")
    row = ReadableConnection(LIVE._replace(account_id="a:b"), access)
    service.connections.rows["m:1", "acme#a:b"] = row
    base = "https://acme.example/{account_id}/"
    service.providers["acme"] = ACME._replace(api=ACME.api._replace(base=base))
    path = TOKEN_PATH.replace("shop-9", "a:b")
    body = service.get(TOKEN_ROUTE, path, pathParameters={**NAMES, "account_id": "a:b"})[1]
    assert body["api"]["base_url"] == "https://acme.example/a%3Ab/"


def test_the_limit_of_the_api_comes_with_the_token(service: Service) -> None:
    limit = RateLimit(5, 1, "account", "RateLimit-Remaining", None)
    service.providers["acme"] = ACME._replace(api=ACME.api._replace(rate_limit=limit))
    assert service.get(TOKEN_ROUTE, TOKEN_PATH)[1]["api"]["rate_limit"] == {
        "requests": 5,
        "seconds": 1,
        "per": "account",
        "remaining_header": "RateLimit-Remaining",
        "reset_header": None,
    }


def test_a_token_of_a_provider_that_is_not_enabled_any_more(service: Service) -> None:
    """It lives, so it is given; but no descriptor says where it may go."""
    service.providers.clear()
    body = service.get(TOKEN_ROUTE, TOKEN_PATH)[1]
    assert body["warning"] == "provider_unknown"
    assert body["placement"] == {"in": "header", "name": "Authorization", "value": "Bearer at-canary"}
    assert body["api"] == {"base_url": None, "hosts": [], "rate_limit": None}


def test_a_token_warns_of_a_provider_that_fails(service: Service) -> None:
    access = service.connections.rows["m:1", "acme#shop-9"].access
    failing = ReadableConnection(LIVE._replace(last_error="provider_unavailable"), access)
    service.connections.rows["m:1", "acme#shop-9"] = failing
    body = service.get(TOKEN_ROUTE, TOKEN_PATH)[1]
    assert (body["access_token"], body["warning"]) == ("at-canary", "provider_unavailable")
    service.providers.clear()
    assert service.get(TOKEN_ROUTE, TOKEN_PATH)[1]["warning"] == "provider_unavailable"


@pytest.mark.parametrize(("left", "status"), [(61, 200), (60, 409)])
def test_a_minute_is_what_a_token_must_last_unless_asked_otherwise(
    service: Service, left: int, status: int
) -> None:
    access = service.connections.rows["m:1", "acme#shop-9"].access
    row = ReadableConnection(LIVE._replace(expires_at=NOW + left), access)
    service.connections.rows["m:1", "acme#shop-9"] = row
    assert service.get(TOKEN_ROUTE, TOKEN_PATH)[0]["statusCode"] == status


def problem(service: Service, response: Response, body: dict[str, Any], reason: str, status: int) -> str:
    assert (response["statusCode"], body["status"], body["reason"]) == (status, status, reason)
    assert response["headers"]["content-type"] == "application/problem+json"
    assert set(body) - {"connection_status"} == {"type", "title", "status", "detail", "reason", "ref"}
    assert ("connection_status" in body) is (status == 409)
    assert body["title"] == reason.replace("_", " ")
    line = service.lines[-1]
    assert (line.outcome, line.reason, line.status, line.ref) == ("failed", reason, status, body["ref"])
    return str(body["detail"])


@pytest.mark.parametrize(
    ("query", "reason", "status"),
    [
        ("min_ttl=600", "token_expired", 409),
        ("min_ttl=3600", "token_expired", 409),
        ("min_ttl=-1", "request_malformed", 400),
        ("min_ttl=1.5", "request_malformed", 400),
        ("min_ttl=", "request_malformed", 400),
        ("min_ttl=9999999", "request_malformed", 400),
        ("min_ttl=%D9%A3", "request_malformed", 400),
        ("min_ttl=1&min_ttl=2", "parameter_repeated", 400),
        ("min_ttl=%zz", "request_malformed", 400),
    ],
)
def test_a_min_ttl_that_cannot_be(service: Service, query: str, reason: str, status: int) -> None:
    assert problem(service, *service.get(TOKEN_ROUTE, TOKEN_PATH, query), reason, status)
    assert "open" not in service.sealer.journal


@pytest.mark.parametrize(
    "path",
    ["/merchants/m%3A1/connections", "/merchants/m%3a1/connections", "/merchants/m:1/connections/",
    "/x/m:1/connections",
     "/merchants/m-2/connections", "", None],
)  # fmt: skip
def test_a_path_that_is_spelt_otherwise_than_its_names(service: Service, path: Any) -> None:
    detail = problem(service, *service.get(LIST_ROUTE, path), "request_malformed", 400)
    assert detail.startswith("The path must be written without percent-encoding.")
    assert service.connections.journal == []


def test_another_merchant_in_the_path_parameters_than_in_the_path(service: Service) -> None:
    response, body = service.get(LIST_ROUTE, LIST_PATH, pathParameters={"merchant_id": "m-2"})
    problem(service, response, body, "request_malformed", 400)
    assert service.connections.journal == []


@pytest.mark.parametrize(
    "route",
    [
        "DELETE /merchants/{merchant_id}/connections",
        "$default",
        "",
        None,
        "GET /merchants/{x}",
        "{}",
        "GET {0}",
    ],
)
def test_any_other_route(service: Service, route: Any) -> None:
    response, body = service.get(LIST_ROUTE, LIST_PATH, routeKey=route)
    assert problem(service, response, body, "method_not_allowed", 405).startswith("Check the path")


@pytest.mark.parametrize("names", [None, {}, {"merchant_id": None}])
def test_path_parameters_that_are_null(service: Service, names: Any) -> None:
    response, body = service.get(LIST_ROUTE, "/merchants//connections", pathParameters=names)
    problem(service, response, body, "request_malformed", 400)


def test_absent_and_foreign_connections_get_the_same_words(service: Service) -> None:
    answers = []
    for merchant in ("m-2", "m-3"):
        names = {**NAMES, "merchant_id": merchant}
        path = TOKEN_PATH.replace("m:1", merchant)
        response, body = service.get(TOKEN_ROUTE, path, pathParameters=names)
        answers.append(problem(service, response, body, "connection_not_found", 404))
    assert answers[0] == answers[1]


def test_names_that_are_none_never_reach_the_log(service: Service) -> None:
    names = {"merchant_id": 'm\n{"fake":1}', "provider": "../x", "account_id": "a b"}
    path = f"/merchants/{names['merchant_id']}/connections/../x/a b/token"
    response, body = service.get(TOKEN_ROUTE, path, pathParameters=names)
    problem(service, response, body, "connection_not_found", 404)
    line = service.lines[0]
    assert (line.merchant_id, line.provider, line.account_id) == (None, None, None)


def test_a_provider_is_named_in_the_log_only_where_it_is_enabled(service: Service) -> None:
    for provider, logged in (("acme", "acme"), ("nobody", None), ("Acme", None), ("", None)):
        names = {**NAMES, "provider": provider}
        path = f"{LIST_PATH}/{provider}/shop-9/token"
        service.get(TOKEN_ROUTE, path, pathParameters=names)
        assert service.lines[-1].provider == logged
        assert (service.lines[-1].merchant_id, service.lines[-1].account_id) == ("m:1", "shop-9")


def test_a_path_that_names_its_parent_names_nobody(service: Service) -> None:
    names = {**NAMES, "merchant_id": "..", "account_id": "."}
    response, body = service.get(TOKEN_ROUTE, "/merchants/../connections/acme/./token", pathParameters=names)
    problem(service, response, body, "connection_not_found", 404)
    assert (service.lines[0].merchant_id, service.lines[0].account_id) == (None, None)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (Status.NEEDS_RECONNECT, "Send the merchant a link to connect again."),
        (
            Status.UNINSTALLED,
            "The merchant removed the app at the provider. Send a link if they want it back.",
        ),
        (Status.DISCONNECTED, "It was cut off here. Send the merchant a link if they want it back."),
    ],
)
def test_a_connection_that_is_not_active_says_what_it_is_and_what_to_do(
    service: Service, status: Status, advice: str
) -> None:
    access = service.connections.rows["m:1", "acme#shop-9"].access
    service.connections.rows["m:1", "acme#shop-9"] = ReadableConnection(LIVE._replace(status=status), access)
    response, body = service.get(TOKEN_ROUTE, TOKEN_PATH)
    detail = problem(service, response, body, "connection_not_active", 409)
    assert detail == f"Its status is {status.value}. {advice}"
    assert body["connection_status"] == status.value
    assert service.get(CONNECTION_ROUTE, ONE_PATH)[1]["status"] == status.value


def test_a_token_that_does_not_live_so_long_says_that_the_connection_is_active(service: Service) -> None:
    response, body = service.get(TOKEN_ROUTE, TOKEN_PATH, "min_ttl=600")
    problem(service, response, body, "token_expired", 409)
    assert body["connection_status"] == "active"


@pytest.mark.parametrize("reason", [Reason.STORAGE_UNAVAILABLE, Reason.INTERNAL])
def test_our_own_trouble_says_to_try_again(service: Service, reason: Reason) -> None:
    service.connections.broken["read"] = Failure(reason)
    detail = problem(service, *service.get(TOKEN_ROUTE, TOKEN_PATH), reason.value, Failure(reason).status)
    assert detail.startswith("Try again in a few seconds")


def test_where_nothing_refreshes_nobody_is_asked_to(service: Service) -> None:
    problem(service, *service.get(TOKEN_ROUTE, TOKEN_PATH, "min_ttl=600"), "token_expired", 409)
    assert service.refresher.orders == []


def test_a_token_that_does_not_open(service: Service) -> None:
    service.sealer.vault.clear()
    detail = problem(service, *service.get(TOKEN_ROUTE, TOKEN_PATH), "token_unreadable", 500)
    assert "a reconnect replaces it" in detail


def test_the_unexpected_is_a_problem_without_its_text(service: Service) -> None:
    broken = service.ports.read._replace(connections=None)  # type: ignore[arg-type]
    service.ports = service.ports._replace(read=broken)
    response, body = service.get(TOKEN_ROUTE, TOKEN_PATH)
    problem(service, response, body, "internal", 500)
    line = service.lines[0]
    assert (line.detail, line.alarm) == ("AttributeError", "Defect")
    assert re.search(r"read\.py:\d+$", str(line.at))
