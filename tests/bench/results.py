"""What one run of the benchmark found, and which of the budgets hold."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.bench.reads import CROWD_CONNECTIONS, CROWD_READS, CROWD_THREADS, Reads
from tests.bench.runs import Cost, Within
from tests.bench.upkeep import Sweeps, Uninstalled
from tools.sizes import Size

YARDSTICK, OURS = "302 only", "Mooring"
COLD_BUDGET = 4.0
WARM_P99_MS = 1.0
_CALLBACK = Counter({"DynamoDB UpdateItem": 1, "KMS GenerateDataKey": 2, "DynamoDB TransactWriteItems": 1})


class Results(NamedTuple):
    """Everything that was measured.

    Attributes:
        versions: of what took part, by name.
        rounds: how many rounds each median is of, cold and warm.
        times: median milliseconds by row of the table, then by contestant.
        costs: of one warm call, by contestant and step.
        cold_start: what a cold `authorize` asked of others.
        changed_read: what the first read of a token that had changed asked of others.
        handler: how long the handler of `authorize` takes, timed inside its process.
        reads: what a service's reads with the client library take, and ask of others.
        sizes: of what each contestant uploads.
    """

    versions: Mapping[str, str]
    rounds: tuple[int, int]
    times: Mapping[str, Mapping[str, float]]
    costs: Mapping[tuple[str, str], Cost]
    cold_start: Cost
    changed_read: Cost
    handler: Within
    uninstalled: Uninstalled
    swept: Sweeps
    reads: Reads
    sizes: Mapping[str, list[Size]]


class Budget(NamedTuple):
    """One line of the budget, what was measured, and whether it holds."""

    what: str
    limit: str
    measured: str
    holds: bool


def budgets(found: Results) -> list[Budget]:
    """Every budget, held or not."""
    readers = (*_read(found), *_library(found))
    return [*_authorize(found), _callback(found), _refresh(found), *readers, *_upkeep(found)]


def told(calls: Mapping[str, int]) -> str:
    """Calls as text: `2 KMS GenerateDataKey, 1 DynamoDB UpdateItem`."""
    return ", ".join(f"{count} {name}" for name, count in sorted(calls.items())) or "none"


def _authorize(found: Results) -> Iterator[Budget]:
    cold = found.times["authorize, cold"]
    ratio = cold[OURS] / cold[YARDSTICK]
    yield Budget(
        "`authorize`, cold",
        f"at most {COLD_BUDGET:.0f} times a 302",
        f"{ratio:.2f} times",
        ratio <= COLD_BUDGET,
    )
    clock, processor = found.handler
    p99 = f"p99 {processor.p99:.2f} ms of processor time"
    yield Budget(
        "`authorize`, warm, inside the handler",
        f"p99 under {WARM_P99_MS:.0f} ms: one billed millisecond",
        f"{p99}; by the clock p50 {clock.p50:.2f} ms, p99 {clock.p99:.2f} ms",
        processor.p99 < WARM_P99_MS,
    )
    asked = found.cold_start.aws.counts + found.costs[OURS, "authorize"].aws.counts
    yield Budget("`authorize`, cold and warm", "no AWS call", told(asked), not asked)


def _callback(found: Results) -> Budget:
    cost = found.costs[OURS, "callback"]
    extra = cost.aws.counts - _CALLBACK
    holds = not _CALLBACK - cost.aws.counts and not extra - Counter({"DynamoDB GetItem": 1})
    return Budget(
        "`callback`, warm",
        "1 conditional update, 2 GenerateDataKey, 1 transaction, at most 1 consistent read; 1 token call; "
        "no new TLS connection",
        _cost(cost),
        holds and cost.requests.total() == 1 and cost.connections == 0,
    )


def _refresh(found: Results) -> Budget:
    cost = found.costs[OURS, "refresh"]
    updates, kms = cost.aws.counts["DynamoDB UpdateItem"], _kms(cost)
    holds = updates == 2 and kms <= 2 and cost.aws.counts.total() == updates + kms
    return Budget(
        "`refresh`, warm",
        "2 updates (lease, tokens), at most 2 KMS calls; 1 token call; no new TLS connection",
        _cost(cost),
        holds and cost.requests.total() == 1 and cost.connections == 0,
    )


def _read(found: Results) -> Iterator[Budget]:
    changed, same = found.changed_read, found.costs[OURS, "read"]
    yield Budget(
        "token read, the token is new",
        "1 GetItem, at most 1 KMS call",
        told(changed.aws.counts),
        _got(changed) and changed.aws.counts.total() == 1 + _kms(changed) <= 2,
    )
    yield Budget(
        "token read, the token is known",
        "1 GetItem, no KMS call",
        told(same.aws.counts),
        _got(same) and same.aws.counts.total() == 1,
    )


def _library(found: Results) -> Iterator[Budget]:
    new, known, crowd = (calls.counts for calls in found.reads[2:])
    yield Budget(
        "read by the client library, the token is new",
        "1 GetItem, at most 1 KMS call",
        told(new),
        new["DynamoDB GetItem"] == 1 and new.total() == 1 + new["KMS Decrypt"] <= 2,
    )
    yield Budget(
        "read by the client library, the token is known",
        "1 GetItem, no KMS call",
        told(known),
        known == {"DynamoDB GetItem": 1},
    )
    gets, opened = crowd["DynamoDB GetItem"], crowd["KMS Decrypt"]
    yield Budget(
        f"{CROWD_READS:,} reads by {CROWD_THREADS} threads of {CROWD_CONNECTIONS} connections",
        f"{CROWD_READS:,} GetItem, {CROWD_CONNECTIONS} KMS calls",
        told(crowd),
        gets == CROWD_READS and opened == CROWD_CONNECTIONS and crowd.total() == gets + opened,
    )


def _upkeep(found: Results) -> Iterator[Budget]:
    calls, holders = found.uninstalled
    writes = sum(count for name, count in calls.counts.items() if name.startswith("DynamoDB "))
    yield Budget(
        f"`uninstall`, {holders} merchants found",
        "2 DynamoDB calls and 1 transition per merchant found",
        told(calls.counts),
        writes <= 2 + holders and calls.counts.total() == writes,
    )
    few, many = found.swept
    yield Budget(
        "`sweep`, 50 due of 100 and of 1,000 stored",
        "calls and rows read grow with what is due, not with what is stored",
        f"{few.counts.total()} calls and {few.rows} rows; {many.counts.total()} calls and {many.rows} rows",
        few == many,
    )


def _got(cost: Cost) -> bool:
    return cost.aws.counts["DynamoDB GetItem"] == 1


def _kms(cost: Cost) -> int:
    return sum(count for name, count in cost.aws.counts.items() if name.startswith("KMS "))


def _cost(cost: Cost) -> str:
    calls, connections = cost.requests.total(), cost.connections
    return f"{told(cost.aws.counts)}; {calls} token call; {connections or 'no'} new TLS connection"
