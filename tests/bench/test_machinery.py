"""The benchmark's own machinery: what it counts, what it calls over budget, where it writes."""

import http.client
import json
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.aws import Calls, Noted
from tests.bench.provider import Provider
from tests.bench.reads import Reads
from tests.bench.report import BEGIN, END, put_into, report
from tests.bench.results import OURS, YARDSTICK, Results, budgets
from tests.bench.runs import Cost, Percentiles, Within, percentiles
from tests.bench.upkeep import Sweeps, Uninstalled
from tests.contract.certificates import Authority
from tools.sizes import Size

PEER = "Peer"
STEPS = ("authorize", "callback", "refresh", "read")


def cost(calls: dict[str, int] | None = None, posts: int = 0, connections: int = 0) -> Cost:
    return Cost(Calls(Counter(calls or {}), 0), Counter({"/token": posts} if posts else {}), connections)


NOTHING = cost()
GOOD = {
    "authorize": NOTHING,
    "callback": cost(
        {"DynamoDB UpdateItem": 1, "KMS GenerateDataKey": 2, "DynamoDB TransactWriteItems": 1}, 1
    ),
    "refresh": cost({"DynamoDB UpdateItem": 2, "KMS Decrypt": 2}, 1),
    "read": cost({"DynamoDB GetItem": 1}),
}
FAST = Within(Percentiles(0.2, 0.9), Percentiles(0.2, 0.4))


READS = Reads(
    Percentiles(6.0, 9.0),
    Percentiles(5.0, 8.0),
    Calls(Counter({"DynamoDB GetItem": 1, "KMS Decrypt": 1}), 1),
    Calls(Counter({"DynamoDB GetItem": 1}), 1),
    Calls(Counter({"DynamoDB GetItem": 1_000, "KMS Decrypt": 10}), 1_000),
)


def results(**changes: Any) -> Results:
    costs = {(name, step): GOOD[step] for name in (YARDSTICK, OURS, PEER) for step in STEPS}
    swept = Calls(Counter({"DynamoDB Query": 8}), 50)
    good = Results(
        versions={"Python": "3.13"},
        rounds=(15, 30),
        times={"authorize, cold": {YARDSTICK: 50.0, OURS: 75.0, PEER: 600.0}},
        costs=costs | changes.pop("costs", {}),
        cold_start=NOTHING,
        changed_read=cost({"DynamoDB GetItem": 1, "KMS Decrypt": 1}),
        handler=FAST,
        uninstalled=Uninstalled(Calls(Counter({"DynamoDB Query": 1, "DynamoDB UpdateItem": 4}), 3), 3),
        swept=Sweeps(swept, swept),
        reads=READS,
        sizes={OURS: [Size("code", 1_234_567, 345_678, 9), Size("function", 900, 400, 1)]},
    )
    return good._replace(**changes)


def missed(found: Results) -> list[str]:
    return [budget.what for budget in budgets(found) if not budget.holds]


def test_a_run_within_every_budget_misses_none() -> None:
    assert len(budgets(results())) == 12
    assert missed(results()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"times": {"authorize, cold": {YARDSTICK: 50.0, OURS: 200.1}}}, "`authorize`, cold"),
        (
            {"handler": FAST._replace(processor=Percentiles(0.2, 1.0))},
            "`authorize`, warm, inside the handler",
        ),
        ({"cold_start": cost({"SSM GetParameter": 1})}, "`authorize`, cold and warm"),
        ({"changed_read": cost({"DynamoDB GetItem": 1, "KMS Decrypt": 2})}, "token read, the token is new"),
        (
            {"reads": READS._replace(new=Calls(Counter({"DynamoDB GetItem": 2}), 2))},
            "read by the client library, the token is new",
        ),
        (
            {"reads": READS._replace(known=READS.new)},
            "read by the client library, the token is known",
        ),
        (
            {
                "reads": READS._replace(
                    crowd=Calls(Counter({"DynamoDB GetItem": 1_000, "KMS Decrypt": 16}), 0)
                )
            },
            "1,000 reads by 16 threads of 10 connections",
        ),
        (
            {"uninstalled": Uninstalled(Calls(Counter({"DynamoDB Query": 6}), 0), 3)},
            "`uninstall`, 3 merchants found",
        ),
        (
            {
                "swept": Sweeps(
                    Calls(Counter({"DynamoDB Query": 8}), 50), Calls(Counter({"DynamoDB Query": 8}), 51)
                )
            },
            "`sweep`, 50 due of 100 and of 1,000 stored",
        ),
    ],
)
def test_what_is_over_budget_is_named(change: dict[str, Any], what: str) -> None:
    assert missed(results(**change)) == [what]


@pytest.mark.parametrize(
    ("step", "costly", "what"),
    [
        ("authorize", cost({"DynamoDB PutItem": 1}), "`authorize`, cold and warm"),
        ("callback", GOOD["callback"]._replace(connections=1), "`callback`, warm"),
        ("callback", GOOD["callback"]._replace(requests=Counter({"/token": 2})), "`callback`, warm"),
        (
            "callback",
            cost({"DynamoDB UpdateItem": 1, "DynamoDB TransactWriteItems": 1}, 1),
            "`callback`, warm",
        ),
        ("refresh", cost({"DynamoDB UpdateItem": 2, "KMS Decrypt": 3}, 1), "`refresh`, warm"),
        ("refresh", cost({"DynamoDB UpdateItem": 2, "DynamoDB GetItem": 1}, 1), "`refresh`, warm"),
        ("refresh", GOOD["refresh"]._replace(connections=1), "`refresh`, warm"),
        ("read", cost({"DynamoDB GetItem": 1, "KMS Decrypt": 1}), "token read, the token is known"),
    ],
)
def test_a_call_too_many_is_over_budget(step: str, costly: Cost, what: str) -> None:
    assert missed(results(costs={(OURS, step): costly})) == [what]


def test_the_callback_may_read_once_consistently() -> None:
    calls = GOOD["callback"].aws.counts + Counter({"DynamoDB GetItem": 1})
    once = GOOD["callback"]._replace(aws=Calls(calls, 1))
    assert missed(results(costs={(OURS, "callback"): once})) == []


def test_the_report_has_ratios_counts_sizes_and_budgets() -> None:
    text = report(results())
    assert "| authorize, cold | 1.00 | 1.50 | 12.0 |" in text
    assert f"| refresh | {PEER} | 2 DynamoDB UpdateItem, 2 KMS Decrypt | 1 | none |" in text
    assert f"| {OURS}: code | 0.3 MB | 1.2 MB |" in text
    assert "| `authorize`, cold | at most 4 times a 302 | 1.50 times | yes |" in text


def test_a_percentile_is_the_median_of_the_batches() -> None:
    calm, spoilt = [1_000_000] * 100, [1_000_000] * 90 + [90_000_000] * 10
    assert percentiles([calm, spoilt, calm]) == Percentiles(1.0, 1.0)
    assert percentiles([spoilt, spoilt, calm]).p99 == pytest.approx(90.0)


def test_the_document_is_changed_between_its_markers_only(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    put_into(document, "new")
    put_into(document, "newer")
    assert document.read_text() == f"# Before\n\n{BEGIN}\n\nnewer\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("text", ["", f"{BEGIN}", f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_document_without_its_markers_stays_as_it_is(tmp_path: Path, text: str) -> None:
    document = tmp_path / "performance.md"
    document.write_text(text)
    with pytest.raises(ValueError, match=r"performance\.md"):
        put_into(document, "new")
    assert document.read_text() == text


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[tuple[Provider, ssl.SSLContext]]:
    authority = Authority(tmp_path)
    running = Provider(authority.server())
    yield running, ssl.create_default_context(cafile=authority.ca_file)
    running.stop()


def test_the_provider_counts_connections_and_not_requests(provider: tuple[Provider, ssl.SSLContext]) -> None:
    running, trust = provider
    assert [post(running, trust, times=2), post(running, trust, times=1)] == [[200, 200], [200]]
    seen = running.seen()
    assert (seen.connections, seen.requests) == (2, Counter({"/oauth/token": 3}))


def test_the_provider_grants_nothing_without_a_grant(provider: tuple[Provider, ssl.SSLContext]) -> None:
    running, trust = provider
    assert post(running, trust, times=1, body="grant_type=refresh_token") == [400]


def post(
    running: Provider, trust: ssl.SSLContext, times: int, body: str = "grant_type=authorization_code&code=c"
) -> list[int]:
    """Requests on one connection; their statuses."""
    connection = http.client.HTTPSConnection(running.base_url.removeprefix("https://"), context=trust)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    statuses = []
    for _ in range(times):
        connection.request("POST", "/oauth/token", body, headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses


@pytest.mark.parametrize(
    ("method", "target", "answer", "noted"),
    [
        ("POST", "TrentService.Decrypt", {}, ["KMS Decrypt", 0]),
        ("POST", "DynamoDB_20120810.GetItem", {"Item": {}}, ["DynamoDB GetItem", 1]),
        ("POST", "DynamoDB_20120810.GetItem", {}, ["DynamoDB GetItem", 0]),
        ("POST", "DynamoDB_20120810.Query", {"Items": [{}], "ScannedCount": 7}, ["DynamoDB Query", 7]),
        (
            "POST",
            "DynamoDB_20120810.BatchGetItem",
            {"Responses": {"a": [{}, {}], "b": [{}]}},
            ["DynamoDB BatchGetItem", 3],
        ),
        ("PUT", "", {}, ["S3 PutObject", 0]),
    ],
)
def test_calls_are_noted_with_the_rows_they_read(
    method: str, target: str, answer: object, noted: list[object]
) -> None:
    app = Noted(lambda _environ, _start: [json.dumps(answer).encode()])
    ask(app, {"REQUEST_METHOD": method, "PATH_INFO": "/", "HTTP_X_AMZ_TARGET": target})
    assert ask(app, {"REQUEST_METHOD": "DELETE", "PATH_INFO": "/_bench/calls"}) == [noted]
    assert ask(app, {"REQUEST_METHOD": "GET", "PATH_INFO": "/_bench/calls"}) == []


def ask(app: Noted, environ: dict[str, Any]) -> Any:
    return json.loads(b"".join(app(environ, lambda *_: None)))
