"""What a soak does and what it must show: its sizes, its faults, and the promises that it judges by."""

from typing import NamedTuple

TOKEN_SECONDS = 240
"""Life of an access token while faults fall."""
CALM_SECONDS = 3_600
"""Life of those issued after the last fault, so that the work runs dry and everything comes to rest."""
RATE = 0.05
"""Of the calls at the providers' token endpoints, and of the functions' calls of AWS."""
KILL_SECONDS = 10
GRACE_SECONDS = 600
BOUND_SECONDS = 300
"""Everything is fresh again within five minutes of the last fault, a lost answer's wait included."""
WAIT_SECONDS = BOUND_SECONDS * 1.2
"""Nobody waits for it longer."""
SCHEDULE_SECONDS = 60
"""The template's own schedule of the sweep."""


class Kind(NamedTuple):
    """A simulated provider: its id, and what it does with refresh tokens."""

    id: str
    title: str
    rotates: bool
    grace_seconds: int

    @property
    def may_lose(self) -> bool:
        """Whether a lost answer can cost the connection: nobody can get the new refresh token back."""
        return self.rotates and not self.grace_seconds


BARE = Kind("soak-bare", "rotates, no grace", True, 0)
GRACE = Kind("soak-grace", f"rotates, {GRACE_SECONDS} s of grace", True, GRACE_SECONDS)
FIXED = Kind("soak-fixed", "does not rotate", False, 0)
KINDS = (BARE, GRACE, FIXED)


class Plan(NamedTuple):
    """How a soak runs.

    Attributes:
        connections: how many, of each kind a third.
        minutes: for how long faults fall.
        seed: of every random choice of the harness.
        sweep_seconds: from one sweep to the next; what differs from the template's minute is fired by hand.
        readers: threads that read tokens and use them.
    """

    connections: int = 1_500
    minutes: float = 10.0
    seed: int = 1
    sweep_seconds: int = SCHEDULE_SECONDS
    readers: int = 3
