"""What follows by arithmetic from settings: paces, limits and money. docs/scale.md states each formula."""

from functools import cache
from math import ceil
from typing import NamedTuple

from mooring.adapters.work_queue import BATCH as SEND_BATCH
from mooring.adapters.work_queue import WORKERS as SENDERS
from mooring.core.provider import Provider
from mooring.core.schedule import EARLY_SECONDS, due_at
from mooring.flows.sweep import BATCH, FIRING_SECONDS, MARGIN_SECONDS, PAGE
from mooring.providers.compiled import provider
from mooring.providers.compiler import load_project
from tools.simulate import assumptions as given
from tools.simulate.settings import ROOT, Settings

LIFETIME = 3_600
"""Seconds that the simulated tokens live."""
IDLE_DAYS = 30
"""For so long a simulated refresh token may lie unused."""
_NONE = "no setting today; proposed"


class Spread(NamedTuple):
    """When a token that was issued at 0 falls due: between `first` and `last`, evenly; both in seconds."""

    first: int
    last: int

    @property
    def mean(self) -> float:
        """Seconds from one refresh to the next, when nothing is late."""
        return (self.first + self.last) / 2


class Limit(NamedTuple):
    """Something that ends growth: at so many refreshes a second, and which setting moves it."""

    name: str
    per_second: float
    moved_by: str


@cache
def simulated_provider(policy: str = "eager") -> Provider:
    """A provider with tokens of an hour and refresh tokens that rotate, of that refresh policy."""
    project = load_project(
        config=ROOT / "mooring.yaml", catalog=ROOT / "layers/mooring/mooring/providers/catalog"
    )
    name = next(name for name in project.config.providers if project.descriptors[name].refresh)
    found = provider(project.descriptors[name], project.config.providers[name])
    refresh = found.refresh
    return found._replace(
        refresh_policy=policy, refresh=refresh and refresh._replace(rotation="always", idle_days=IDLE_DAYS)
    )


@cache
def spread(policy: str = "eager", lifetime: int = LIFETIME) -> Spread:
    """By the product's own rule, its jitter at both ends.

    Raises:
        ValueError: such a connection never falls due.
    """
    times = [_due(policy, lifetime, jitter) for jitter in (1.0, 0.0)]
    return Spread(min(times), max(times))


def _due(policy: str, lifetime: int, jitter: float) -> int:
    when = due_at(
        0,
        simulated_provider(policy),
        expires_at=lifetime,
        refresh_expires_at=None,
        refreshable=True,
        jitter=jitter,
    )
    if when is None:
        raise ValueError("such a connection never falls due")
    return when


def expired(late: float) -> float:
    """The part of tokens that ended before a refresh which came `late` seconds after they were due.

    Without jitter a token ends `EARLY_SECONDS` (or a third of its life) after it is due, with jitter later.
    """
    when = spread()
    early = min(EARLY_SECONDS, LIFETIME // 3)
    return min(1.0, max(0.0, (late - early) / (when.last - when.first)))


def vcpu(megabytes: int) -> float:
    """The part of a processor that a function of one thread at a time can use."""
    return min(1.0, megabytes / given.VCPU_MB)


def batch_seconds(settings: Settings, answer: float = given.PROVIDER) -> float:
    """How long a worker is at one full batch: waiting side by side, working one after the other.

    Args:
        settings: of the installation.
        answer: seconds until the providers answer.
    """
    waiting = 2 * given.UPDATE + given.DECRYPT + answer
    return waiting + settings.batch * given.REFRESH_PROCESSOR / vcpu(settings.refresh_mb)


def worker_pace(settings: Settings) -> float:
    """Refreshes a second of one worker."""
    return settings.batch / batch_seconds(settings)


def drained(settings: Settings, answer: float = given.PROVIDER) -> int:
    """Messages that the workers drain in two minutes, by which `QueueLimit` is set."""
    return int(2 * FIRING_SECONDS * settings.workers * settings.batch / batch_seconds(settings, answer))


def row_seconds(settings: Settings) -> float:
    """How long a sweep is at one connection: it reads, looks and sends a hundred, then the next hundred."""
    sends = ceil(ceil(BATCH / SEND_BATCH) / SENDERS)
    waiting = BATCH / PAGE * given.QUERY + given.BATCH_GET + sends * given.SEND
    return waiting / BATCH + given.SWEEP_PROCESSOR / vcpu(settings.sweep_mb)


def sweep_rows(settings: Settings) -> int:
    """Connections that all sweeps of one firing can queue before their time is up."""
    return int(settings.sweeps * (settings.sweep_seconds - MARGIN_SECONDS) / row_seconds(settings))


def refresh_rate(connections: int) -> float:
    """Refreshes a second that keep so many connections fresh."""
    return connections / spread().mean


def writes() -> tuple[int, int]:
    """Write units of one refresh: of the table (lease, tokens), of its index (old entry out, new one in)."""
    return 2 * given.ROW_KB, 2 * given.INDEX_KB


def limits(settings: Settings, providers: int, kms: int) -> list[Limit]:
    """What ends growth, the first one met first."""
    table, index = writes()
    found = [
        Limit("messages queued a firing", settings.queue_limit / FIRING_SECONDS, "`QueueLimit`"),
        Limit("workers", settings.workers * worker_pace(settings), "`RefreshWorkers`"),
        Limit(
            "time of a sweep",
            sweep_rows(settings) / FIRING_SECONDS,
            _sweep_setting(settings),
        ),
        Limit(
            "writes to a shard of the index",
            providers * settings.shards * given.PARTITION_WRITES / index,
            f"{_NONE}: `SHARDS`",
        ),
        Limit("writes to the table", given.TABLE_WRITES / table, "quota of DynamoDB"),
        Limit("calls of KMS", kms / 2, "quota of KMS"),
        Limit(
            "batches of one queue at once",
            given.MOST_BATCHES * worker_pace(settings),
            f"{_NONE}: a larger `BatchSize`",
        ),
    ]
    return sorted(found, key=lambda limit: limit.per_second)


def _sweep_setting(settings: Settings) -> str:
    """Memory makes a sweep faster until it has a whole processor."""
    return "`SweepMemory`" if vcpu(settings.sweep_mb) < 1 else f"{_NONE}: several sweeps"


def refresh_dollars(settings: Settings) -> float:
    """What one refresh by the queue costs, as docs/cost.md reckons, with the durations of these settings."""
    price, (table, index) = given.prices(), writes()
    compute = batch_seconds(settings) * settings.refresh_mb / 1024 * price["LAMBDA_GB_SECOND"]
    each = 3 / SEND_BATCH * price["SQS_REQUEST"] + 0.5 * price["READ_UNIT"]
    each += (table + index) * price["WRITE_UNIT"] + 2 * price["KMS_REQUEST"]
    return each + (price["LAMBDA_REQUEST"] + compute) / settings.batch + 1e-6 * price["LOG_GB"]


def stored_gb(connections: int) -> float:
    """Gigabytes of so many rows."""
    return connections * given.ROW_KB / 1024**2


def partitions(connections: int) -> tuple[int, int]:
    """Partitions that the table needs: for its size, and for its writes."""
    written = refresh_rate(connections) * writes()[0]
    return ceil(stored_gb(connections) / given.PARTITION_GB), ceil(written / given.PARTITION_WRITES)
