"""Random faults, seeded: which call goes wrong, and how."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tests.faults.actions import Action, AwsError, Delay, Garble, LoseAnswer, Reset, Respond
from tests.faults.proxy import Seen
from tests.soak.plan import RATE

SLOW = "slow, 2 s"
SLOW_SECONDS = 2.0
_RETRY_AFTER = "5"
_HTML = Respond(200, b"<!doctype html><title>Maintenance</title>", {"Content-Type": "text/html"})

AT_PROVIDERS: Mapping[str, Action] = {
    "500": Respond(500, b'{"error": "server_error"}'),
    "503 with Retry-After": Respond(503, b"{}", {"Retry-After": _RETRY_AFTER}),
    "429": Respond(429, b'{"error": "rate_limited"}'),
    "reset before it arrives": Reset(),
    "answer lost": LoseAnswer(),
    "HTML with 200": _HTML,
    "truncated JSON": Garble(b'{"access_token": "cut-'),
}
"""What befalls token calls on their way; behind the lost and the truncated answer tokens were issued."""

_SERVICES = {
    "DynamoDB_20120810": ("ThrottlingException", "InternalServerError"),
    "TrentService": ("ThrottlingException", "KMSInternalException"),
    "AmazonSSM": ("ThrottlingException", "InternalServerError"),
    "AmazonSQS": ("RequestThrottled", "InternalError"),
}
_BEFORE, _AFTER, _LATE = "reset before it arrives", "reset after it took place", "1 s late"
AT_AWS = ("throttled", "500", _BEFORE, _AFTER, _LATE)
"""What befalls calls of AWS."""


class Dice:
    """Says of each call whether it goes wrong and how; safe for many threads.

    Args:
        rng: the source of chance.
        rate: share of the calls, 0 to 1.
        faults: the names to choose from; each falls once, in any order, before one falls again.
    """

    def __init__(self, rng: random.Random, rate: float, faults: Sequence[str]) -> None:
        self.on = False
        self.calls = 0
        """Calls while it was on."""
        self.hits: Counter[str] = Counter(dict.fromkeys(faults, 0))
        self.last_at = 0.0
        """When the last fault fell, on the monotonic clock."""
        self._rng = rng
        self._rate = rate
        self._faults = list(faults)
        self._bag: list[str] = []
        self._lock = threading.Lock()

    def throw(self) -> str | None:
        """The fault that the present call meets, or None."""
        with self._lock:
            if not self.on:
                return None
            self.calls += 1
            if self._rng.random() >= self._rate:
                return None
            self._bag = self._bag or self._rng.sample(self._faults, len(self._faults))
            name = self._bag.pop()
            self.hits[name] += 1
            self.last_at = time.monotonic()
            return name


class Chance:
    """Every die of one soak.

    Args:
        seed: the same for the same choices; which call meets which also hangs on how threads take turns.
    """

    def __init__(self, seed: int) -> None:
        # The slow answer is the simulator's own doing, so that it counts as a call in flight there.
        share = 1 / (len(AT_PROVIDERS) + 1)
        self.rng = random.Random(f"{seed} plan")
        self.providers = Dice(random.Random(f"{seed} providers"), RATE * (1 - share), [*AT_PROVIDERS])
        self.slow = Dice(random.Random(f"{seed} slow"), RATE * share, [SLOW])
        self.aws = Dice(random.Random(f"{seed} aws"), RATE, AT_AWS)

    def turn(self, *, on: bool) -> None:
        """Let faults fall, or stop."""
        for dice in (self.providers, self.slow, self.aws):
            dice.on = on

    @property
    def last_at(self) -> float:
        """When the last fault fell, on the monotonic clock."""
        return max(dice.last_at for dice in (self.providers, self.slow, self.aws))

    def at_provider(self, path: str) -> Callable[[Seen], Action | None]:
        """For the proxy of a provider whose token endpoint has this path."""

        def chance(seen: Seen) -> Action | None:
            name = self.providers.throw() if seen.path.startswith(path) else None
            return AT_PROVIDERS[name] if name else None

        return chance

    def at_aws(self, seen: Seen) -> Action | None:
        """For the proxy of AWS."""
        name = self.aws.throw()
        return aws_action(name, seen.target) if name else None

    def slow_seconds(self) -> float:
        """How long a provider takes its time with the present call."""
        return SLOW_SECONDS if self.slow.throw() else 0.0


def aws_action(name: str, target: str) -> Action:
    """A fault of `AT_AWS` as the service of `target` shows it."""
    throttled, failed = _SERVICES.get(target.partition(".")[0], ("ThrottlingException", "InternalError"))
    actions: dict[str, Action] = {
        "throttled": AwsError(400, throttled),
        "500": AwsError(500, failed),
        _BEFORE: Reset(),
        _AFTER: LoseAnswer(),
        _LATE: Delay(1.0),
    }
    return actions[name]
