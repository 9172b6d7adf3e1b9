"""`eager` against `on_read`: what a month of so many connections costs, by how often they are read."""

from typing import NamedTuple

from tools.simulate import assumptions as given
from tools.simulate.model import LIFETIME, batch_seconds, refresh_dollars, spread
from tools.simulate.settings import Settings

DAY = 86_400
MIN_TTL = 60
"""A token that lives shorter than this is renewed before it is handed out, unless a caller says otherwise."""
_MESSAGES = 3 / 10


class Policy(NamedTuple):
    """One connection under one policy.

    Attributes:
        refreshes: a day.
        dollars: a month.
        waiting: the part of reads that wait for a refresh.
        seconds: for how long they wait.
    """

    refreshes: float
    dollars: float
    waiting: float
    seconds: float


def eager(settings: Settings) -> Policy:
    """Refreshed before it ends, whoever reads it or not."""
    every = spread().mean
    return Policy(DAY / every, given.MONTH / every * refresh_dollars(settings), 0.0, 0.0)


def on_read(settings: Settings, reads: float) -> Policy:
    """Refreshed by the first read that finds it too old, and often enough that the grant lives on.

    Reads are independent of each other: the time from any moment to the next one is a day over `reads`.

    Args:
        settings: of the installation.
        reads: a day.
    """
    alone = settings._replace(batch=1)
    price = given.prices()
    each = refresh_dollars(alone) - _MESSAGES * price["SQS_REQUEST"]
    keep = spread("on_read").mean
    every = min(keep, LIFETIME - MIN_TTL + DAY / reads) if reads else keep
    by_reader = every < keep
    cost = each if by_reader else refresh_dollars(settings)
    waiting = DAY / every / reads if by_reader else 0.0
    return Policy(
        DAY / every, given.MONTH / every * cost, waiting, batch_seconds(alone) if by_reader else 0.0
    )
