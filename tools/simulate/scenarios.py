"""What happens to an installation: an ordinary hour, a herd, an outage."""

from typing import NamedTuple

from mooring.flows.sweep import FIRING_SECONDS
from tools.simulate.model import spread
from tools.simulate.settings import Settings
from tools.simulate.world import Minute, Outage, World

PROVIDERS = tuple(f"p{number}" for number in range(10))
ONE, OTHERS = PROVIDERS[0], PROVIDERS[1:]
HERD = 1_000_000
_HERD_AT = 600
_OUTAGE_AT = 1_800


class Result(NamedTuple):
    """What became of one provider and of the nine others.

    Attributes:
        peak_depth: messages in the queue at most.
        peak_workers: batches at once at most.
        peak_done: refreshes a second, in the busiest minute.
        drained: seconds from the beginning until the one had nothing overdue; None: it still had at the end.
        left: connections of the one that were due at the end, and not refreshed.
        expired: tokens of the one that ended before they were refreshed, as far as they were.
        overdue: seconds that the most belated one of the one was due, when it was refreshed or at the end.
        others_overdue: the same, of the others.
        others_expired: tokens of the others that ended.
        called_down: token calls that were made in vain.
        circuits: when the circuit opened and closed.
        minutes: firing by firing.
    """

    peak_depth: float
    peak_workers: float
    peak_done: float
    drained: int | None
    left: float
    expired: float
    overdue: int
    others_overdue: int
    others_expired: float
    called_down: float
    circuits: tuple[tuple[int, str], ...]
    minutes: tuple[Minute, ...]


def ordinary(settings: Settings, connections: int, seconds: int = 5_400) -> Result:
    """Ten providers of the same size, and nothing special."""
    world = World(settings, PROVIDERS, seconds)
    for name in PROVIDERS:
        world.connected(name, connections / len(PROVIDERS))
    return _followed(world, 0, FIRING_SECONDS)


def herd(settings: Settings, others: int, count: int = HERD, *, jitter: bool, seconds: int) -> Result:
    """`count` connections of one provider at once, beside `others` of nine that are spread evenly.

    Args:
        settings: of the installation.
        others: connections of the nine other providers together.
        count: the herd.
        jitter: connected within one minute, and refreshed as the product spreads that; otherwise all of
            them fall due within one minute.
        seconds: how long it is followed.
    """
    world = World(settings, PROVIDERS, seconds)
    for name in OTHERS:
        world.connected(name, others / len(OTHERS))
    width = spread().last - spread().first if jitter else 0
    for second in range(FIRING_SECONDS):
        at = _HERD_AT + second
        world.due[ONE].add(at, at + width, count / FIRING_SECONDS)
    return _followed(world, _HERD_AT, _HERD_AT + FIRING_SECONDS + width)


def outage(settings: Settings, connections: int, hours: int = 6, after: int = 10_800) -> Result:
    """One of ten providers of the same size does not answer for some hours."""
    end = _OUTAGE_AT + hours * 3_600
    world = World(settings, PROVIDERS, end + after, Outage(ONE, _OUTAGE_AT, end))
    for name in PROVIDERS:
        world.connected(name, connections / len(PROVIDERS))
    return _followed(world, end, end)


def _followed(world: World, begin: int, since: int) -> Result:
    """Run it; the one is drained once no firing from `since` on finds it late."""
    world.run()
    belated = [now for now, late in world.late if now >= since and late[ONE] > FIRING_SECONDS]
    last = belated[-1] if belated else since
    late = {name: max(world.overdue[name], world.late[-1][1][name]) for name in PROVIDERS}
    return Result(
        peak_depth=max(minute.depth + minute.queued for minute in world.minutes),
        peak_workers=world.most_workers,
        peak_done=max(minute.done for minute in world.minutes) / FIRING_SECONDS,
        drained=None if last == world.late[-1][0] else last + FIRING_SECONDS - begin,
        left=world.left(ONE),
        expired=world.expired[ONE],
        overdue=late[ONE],
        others_overdue=max(late[name] for name in OTHERS),
        others_expired=sum(world.expired[name] for name in OTHERS),
        called_down=world.called_down,
        circuits=tuple(world.circuits),
        minutes=tuple(world.minutes),
    )
