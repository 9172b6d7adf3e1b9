"""What is left when a soak has come to rest: rows, log lines, metrics, and tokens where none may be."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.announcement import DETAIL_TYPES, Announce
from mooring.core.errors import ALARMS, Failure, Reason
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key
from tests.e2e.test_nothing_leaks import holding
from tests.soak.plan import Kind
from tests.soak.stack import SoakStack
from tests.soak.watch import ACTIVE, is_troubled

TOKEN_LENGTH = 54
"""Characters of every token that the simulators issue."""
_RUN = re.compile(rb"[A-Za-z0-9_-]{%d,}" % TOKEN_LENGTH)
_THREADS = 4
LOSS_ANNOUNCED = "LossAnnounced"
"""What `announce` counts of a loss that it reads in a row; the same alarm hears it."""
_LOST_ROTATION = ALARMS[Reason.LOST_ROTATION]
_RINGING = frozenset({*ALARMS.values(), LOSS_ANNOUNCED})
_BEGUN = "START RequestId: "


class Ending(NamedTuple):
    """How one connection stands in the end; `reason` is why it is not active, or what is wrong with it."""

    key: Key
    status: str
    reason: str
    version: int


class Said(NamedTuple):
    """What the functions' logs say.

    Attributes:
        alarms: how often each metric that rings was counted.
        outcomes: of the refresh function: words, with the reason where there is one.
        lost: for each connection, how often its log lines said `lost_rotation`.
        lost_metrics: how often `LostRotation` was counted, by provider.
        announced: for each connection, how often `announce` told that its merchant must come again.
        announced_metrics: how often `LossAnnounced` was counted, by provider.
        odd: lines that tell of a defect.
    """

    alarms: Counter[str]
    outcomes: Counter[str]
    lost: Counter[Key]
    lost_metrics: Counter[str]
    announced: Counter[Key]
    announced_metrics: Counter[str]
    odd: tuple[str, ...]


class Losses(NamedTuple):
    """What was said about connections that ended for a lost rotation.

    Attributes:
        rows: how many there are.
        by_refresh: about how many of them `refresh` said so.
        silent: about how many neither `refresh` nor `announce` did.
        logged: how often `refresh` said so.
        counted: how often it counted `LostRotation`.
        announced: how often `announce` counted `LossAnnounced`: of one where nobody dies, both count.
    """

    rows: int
    by_refresh: int
    silent: int
    logged: int
    counted: int
    announced: int

    @property
    def came_back(self) -> int:
        """How often it was said besides: the connection was recovered after all."""
        return self.logged - self.by_refresh


class Sweeps(NamedTuple):
    """What became of the sweep's firings.

    Attributes:
        started: how many began.
        ended: how many ended well.
        failed: how many ended and said that they could not finish.
        gap_seconds: the longest time from the end of one that ended well to the end of the next.
    """

    started: int
    ended: int
    failed: int
    gap_seconds: int

    @property
    def died(self) -> int:
        """How many never said anything: they were killed, or their time was up."""
        return self.started - self.ended - self.failed


def endings(stack: SoakStack, keys: Sequence[Key]) -> list[Ending]:
    """How every connection stands, each active one opened and compared with what its provider takes."""
    sealer = EnvelopeSealer(Kms(stack.aws("kms")), lambda: 0.0)
    rows = stack.look(list(keys), sealed=True)
    current = {name: provider.current_refresh_tokens() for name, provider in stack.providers.items()}

    def ending(key: Key) -> Ending:
        return _ending(key, rows.get(key), stack, sealer, current[key.provider])

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(ending, keys))


def _ending(
    key: Key,
    row: Mapping[str, Any] | None,
    stack: SoakStack,
    sealer: EnvelopeSealer,
    current: Mapping[str, str],
) -> Ending:
    if row is None:
        return Ending(key, "gone", "there is no row", 0)
    status, version = row["status"]["S"], int(row["version"]["N"])
    if status != ACTIVE:
        return Ending(key, status, row.get("last_error", {}).get("S", ""), version)
    if is_troubled(row, int(time.time())):
        return Ending(key, status, "", version)  # it did not come to rest, which is told elsewhere
    wrong = ""
    try:
        access, refresh = (_opened(key, row, name, sealer) for name in ("access", "refresh"))
    except Failure as failure:
        return Ending(key, status, f"the stored tokens do not open ({failure.reason})", version)
    if refresh != current.get(key.account_id):
        wrong = "the stored refresh token is not the provider's current one"
    elif not stack.providers[key.provider].accepts(access):
        wrong = "the provider does not take the stored access token"
    return Ending(key, status, wrong, version)


def _opened(key: Key, row: Mapping[str, Any], name: str, sealer: EnvelopeSealer) -> str:
    sealed = SealedField(bytes(row[name]["B"]), bytes(row[f"{name}_key"]["B"]))
    return sealer.open(sealed, *key, name)


def heard(lines: Iterable[Mapping[str, Any]]) -> Said:
    """What log lines of all functions say."""
    alarms: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    lost: Counter[Key] = Counter()
    metrics: Counter[str] = Counter()
    announced: Counter[Key] = Counter()
    losses: Counter[str] = Counter()
    odd = []
    for line in lines:
        if "_aws" in line:
            alarms.update({name: _total(line[name]) for name in _RINGING & line.keys()})
            metrics[line.get("provider", "")] += _total(line.get(_LOST_ROTATION, 0))
            losses[line.get("provider", "")] += _total(line.get(LOSS_ANNOUNCED, 0))
            continue
        outcome, reason = line.get("outcome"), line.get("reason", "")
        if outcome and line.get("service") == "refresh":
            outcomes[f"{outcome} {reason}".strip()] += 1
        if reason == Reason.LOST_ROTATION.value:
            lost[_key(line)] += 1
        if outcome == "announced" and DETAIL_TYPES[Announce.NEEDS_RECONNECT] in line.get("detail", ""):
            announced[_key(line)] += 1
        if reason == Reason.INTERNAL.value:
            odd.append(json.dumps(line)[:400])
    return Said(+alarms, outcomes, lost, +metrics, announced, +losses, tuple(odd))


def _key(line: Mapping[str, Any]) -> Key:
    return Key(line["merchant_id"], line["provider"], line["account_id"])


def losses(rows: Iterable[Key], said: Said, provider: str) -> Losses:
    """What was said about the lost connections of one provider, whose keys are `rows`."""
    lost = set(rows)
    return Losses(
        rows=len(lost),
        by_refresh=len(lost & said.lost.keys()),
        silent=len(lost - said.lost.keys() - said.announced.keys()),
        logged=sum(times for key, times in said.lost.items() if key.provider == provider),
        counted=said.lost_metrics[provider],
        announced=said.announced_metrics[provider],
    )


def sweeps(log: str) -> Sweeps:
    """What the sweep's log says of its firings. Of one that is killed only the beginning stands there."""
    lines = list(_json_lines(log))
    said = Counter(line.get("outcome") for line in lines)
    ends = [int(line["_aws"]["Timestamp"]) for line in lines if "Swept" in line]
    gap = max((later - earlier for earlier, later in pairwise(ends)), default=0)
    started = sum(line.startswith(_BEGUN) for line in log.splitlines())
    return Sweeps(started, said["swept"], said["failed"], gap // 1000)


def _total(value: Any) -> int:
    """A metric's value: a number, or a list of them."""
    return int(sum(value) if isinstance(value, list) else value)


def log_lines(stack: SoakStack) -> Iterator[dict[str, Any]]:
    """Every JSON line of every function; what a killed process left unfinished is no line."""
    for function in stack.functions:
        yield from _json_lines(log_of(stack, function))


def log_of(stack: SoakStack, function: str) -> str:
    """Everything that a function has written, and its emulator about it."""
    return (stack.stack_dir / "logs" / f"{function}.log").read_text()


def _json_lines(log: str) -> Iterator[dict[str, Any]]:
    for text in log.splitlines():
        if text.startswith("{"):
            try:
                yield json.loads(text)
            except ValueError:
                continue


def leaks(stack: SoakStack, texts: set[str]) -> list[str]:
    """Where a token or a client secret lies in the clear: logs, queued messages, rows, the bucket."""
    logs = {path.name: path.read_bytes() for path in Path(stack.stack_dir, "logs").iterdir()}
    queued = {f"message {number}": body for number, body in enumerate(stack.aws_proxy.queued)}
    rows = {f"row {number}": _bytes(row) for number, row in enumerate(stack.rows("connections"))}
    places = {**logs, "output": stack.output.read_bytes(), **queued, **rows, **stack.undelivered()}
    wanted = {text.encode() for text in texts}
    assert all(len(text) == TOKEN_LENGTH for text in wanted)
    found = {name for name, content in places.items() if has_token(content, wanted)}
    return sorted(found | set(holding(places, stack.canaries)))


def has_token(content: bytes, wanted: set[bytes]) -> bool:
    """Whether one of the tokens stands in some bytes; fast, however many tokens there are."""
    return any(
        run[start : start + TOKEN_LENGTH] in wanted
        for run in _RUN.findall(content)
        for start in range(len(run) - TOKEN_LENGTH + 1)
    )


def _bytes(value: object) -> bytes:
    if isinstance(value, dict):
        return b"\n".join(_bytes(inner) for pair in value.items() for inner in pair)
    if isinstance(value, list | tuple | set):
        return b"\n".join(map(_bytes, value))
    return value if isinstance(value, bytes) else str(getattr(value, "value", value)).encode()


def ended_of(found: Iterable[Ending], kind: Kind) -> Counter[str]:
    """How the connections of a kind ended, those that are well aside: `needs_reconnect lost_rotation` …"""
    own = (one for one in found if one.key.provider == kind.id and one.status != ACTIVE)
    return Counter(f"{one.status} {one.reason}".strip() for one in own)
