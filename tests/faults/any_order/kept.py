"""What ever went wrong here, kept: seeds of runs, and the steps of those that tell a story.

A seed leads to the same run only while the machine and hypothesis stay as they are; afterwards it is one more
run. The steps of a story mean the same for ever.
"""

from typing import Any, NamedTuple

from mooring.core.upkeep import Cause, Key
from tests.faults.any_order.process import DEAF, LOST

Step = tuple[str, dict[str, Any]]

SEEDS: tuple[tuple[int, str], ...] = (
    (15, "given up as a lost rotation, and no alarm rang"),
    (37, "an error told to one who overslept its lease: the ledger asked for too much"),
    (46, "an older answer came, and took the note of a newer attempt with it"),
    (49, "what came too late by the recovery queue was thrown away without a word"),
)
"""(seed, why)."""


class Story(NamedTuple):
    """Steps of the machine; connections are named by their place in `keys`.

    `ends` tells, for each of them, how it stands then: its status, its refresh token by grant and number, and
    the alarms that rang for it.
    """

    name: str
    why: str
    keys: tuple[Key, ...]
    steps: tuple[Step, ...]
    ends: tuple[str, ...]


def refresh(which: int = 0, **changes: Any) -> Step:
    """Somebody asks for a refresh, and all goes well unless `changes` say otherwise."""
    asked = {"cause": Cause.ASKED, "seen": "any", "plan": {}, "until": "", "dies": False, "clock": 0}
    return "refresh", {"which": which, **asked, **changes}


def connect(which: int = 0, **changes: Any) -> Step:
    """A merchant connects."""
    return "connect", {"which": which, "plan": {}, "until": "", "dies": False, "again": False, **changes}


def ends(what: str, which: int = 0, **changes: Any) -> Step:
    """Something ends it."""
    return "something_ends", {"which": which, "what": what, "until": "", "dies": False, **changes}


def passes(seconds: int) -> Step:
    """Time passes."""
    return "time_passes", {"seconds": seconds, "sweeps": False, "clock": 0}


def wakes(which: int = 0, until: str = "") -> Step:
    """A stopped process goes on."""
    return "stopped_one_goes_on", {"which": which, "until": until, "dies": False}


def comes(which: int = 0, *, twice: bool = False, **changes: Any) -> Step:
    """A message of the recovery queue comes."""
    given = {"plan": {}, "until": "", "dies": False, "twice": twice, "clock": 0, **changes}
    return "recovery_comes", {"which": which, **given}


def delivered(which: int = 0, **changes: Any) -> Step:
    """A message of the refresh queue comes."""
    given = {"plan": {}, "until": "", "dies": False, "twice": False, "clock": 0}
    return "message_comes", {"which": which, **given, **changes}


ROTATING = (Key("m-1", "rotating", "shop-1"),)
STRICT = (Key("m-1", "strict", "shop-1"),)
GRACEFUL = (Key("m-1", "graceful", "shop-1"),)
SOMETIMES = (Key("m-2", "sometimes", "shop-1"),)
NEVER = (Key("m-1", "never", "shop-2"),)
PROBED = (Key("m-2", "probed", "shop-2"),)
SHARED = (Key("m-1", "rotating", "shop-1"), Key("m-2", "rotating", "shop-1"))

STORIES = (
    Story(
        "given up, and the answer to that is lost",
        "the row said lost_rotation, and no alarm ever rang: the one who wrote it took its write for failed",
        ROTATING,
        (
            refresh(until="answered", dies=True),
            passes(151),
            refresh(),
            passes(31),
            refresh(plan={"lose": LOST}),
        ),
        ("needs_reconnect g1-0 LostRotation",),
    ),
    Story(
        "given up, and neither write is heard",
        "the same, where giving the lease back fails too",
        ROTATING,
        (
            refresh(until="answered", dies=True),
            passes(151),
            refresh(),
            passes(31),
            refresh(plan={"lose": LOST, "put_off": DEAF}),
        ),
        ("needs_reconnect g1-0 LostRotation",),
    ),
    Story(
        "an older answer comes while a newer one is missing",
        "it took the note of the newer attempt with it: the token was used at once, and the loss had no name",
        SOMETIMES,
        (
            refresh(plan={"store": DEAF}),
            passes(151),
            refresh(),
            passes(31),
            refresh(plan={"provider": "answer lost"}),
            comes(),
            refresh(),
            passes(151),
            refresh(),
            passes(31),
            refresh(),
        ),
        ("needs_reconnect g1-0 LostRotation RefreshInDoubt",),
    ),
    Story(
        "comes by the recovery queue, and is not needed any more",
        "the provider's newest pair was thrown away without a word",
        GRACEFUL,
        (
            refresh(plan={"store": DEAF}, until="before call"),
            passes(151),
            refresh(),
            passes(31),
            refresh(),
            wakes(),
            comes(),
        ),
        ("active g1-1 TokenDiscarded",),
    ),
    Story(
        "two callbacks at once, and the faster one comes again by the recovery queue",
        "its tokens came back over those of the slower one, whose consent was the later",
        STRICT,
        (connect(until="after burn"), connect(plan={"connect": LOST}), wakes(), comes()),
        ("active g3-0",),
    ),
    Story(
        "dies with the only valid pair",
        "the next one waits, looks, asks once, and tells that a rotation was lost",
        STRICT,
        (
            refresh(until="answered", dies=True),
            passes(46),
            refresh(),
            passes(121),
            refresh(),
            passes(31),
            refresh(),
        ),
        ("needs_reconnect g1-0 LostRotation",),
    ),
    Story(
        "oversleeps with the only valid pair",
        "its lease is gone and nobody came: what it holds is stored all the same",
        STRICT,
        (refresh(until="answered"), passes(300), wakes()),
        ("active g1-1",),
    ),
    Story(
        "oversleeps while it is given up",
        "the pair comes by the recovery queue, and the connection is active again",
        ROTATING,
        (
            refresh(until="before store"),
            passes(151),
            refresh(),
            passes(31),
            refresh(),
            wakes(),
            comes(twice=True),
            passes(16),
            comes(),
        ),
        ("active g1-1 LostRotation",),
    ),
    Story(
        "oversleeps while another goes on within the grace",
        "the newer pair stays, and the older one is told of",
        GRACEFUL,
        (
            refresh(until="before store"),
            passes(46),
            refresh(),
            passes(121),
            refresh(),
            passes(31),
            refresh(),
            wakes(),
        ),
        ("active g1-2 TokenDiscarded",),
    ),
    Story(
        "comes by the recovery queue after the end",
        "what ended is not readable again",
        ROTATING,
        (
            refresh(plan={"store": DEAF}),
            ends("disconnect"),
            comes(twice=True),
            connect(),
            passes(16),
            comes(),
        ),
        ("active g2-0",),
    ),
    Story(
        "comes by the recovery queue after a new consent",
        "the newer generation stays",
        STRICT,
        (refresh(plan={"store": DEAF}), connect(), comes()),
        ("active g2-0",),
    ),
    Story(
        "ends in the middle of a call",
        "the answer is thrown away, and somebody hears of it",
        ROTATING,
        (refresh(until="answered"), ends("disconnect"), wakes()),
        ("disconnected TokenDiscarded",),
    ),
    Story(
        "uninstalled between consent and store",
        "the tombstone wins, for both merchants of the account",
        SHARED,
        (connect(until="before connect"), ends("removed", 1), wakes(), passes(61), connect(1)),
        (
            "uninstalled TokenDiscarded",
            "active g4-0",
        ),
    ),
    Story(
        "an old event after a new consent",
        "it ends nothing that is newer than itself",
        ROTATING,
        (ends("removed unsaid"), passes(61), connect(), ends("notice again"), refresh()),
        ("active g2-1",),
    ),
    Story(
        "the callback comes four times",
        "one exchange, whoever died meanwhile",
        STRICT,
        (
            connect(until="answered"),
            connect(again=True),
            wakes(until="after connect"),
            connect(again=True),
            wakes(),
            connect(again=True),
        ),
        ("active g2-0",),
    ),
    Story(
        "two at once",
        "where nothing rotates, the lease alone keeps the second one out",
        NEVER,
        (refresh(until="answered"), refresh(), wakes()),
        ("active g1-0",),
    ),
    Story(
        "asked again and again after a lost answer",
        "nobody uses the token before the answer was waited for",
        STRICT,
        (refresh(plan={"provider": "answer lost"}), refresh(), passes(61), refresh(), passes(46), refresh()),
        ("active g1-0 RefreshInDoubt",),
    ),
    Story(
        "an error, and a token was issued",
        "what the next refusal tells of is a lost rotation, not a merchant who left",
        ROTATING,
        (refresh(plan={"provider": "error after"}), refresh()),
        ("needs_reconnect g1-0 LostRotation",),
    ),
    Story(
        "neither the table nor the queue takes it",
        "the loss rings at once",
        ROTATING,
        (refresh(plan={"store": DEAF, "put_refreshed": DEAF}),),
        ("active g1-0 TokenLost",),
    ),
    Story(
        "our secret is refused",
        "that ends nobody's grant",
        ROTATING,
        (refresh(plan={"provider": "invalid client"}), passes(31), refresh()),
        ("active g1-1",),
    ),
    Story(
        "stores after an end and a new consent",
        "the old generation's tokens do not come back",
        ROTATING,
        (refresh(until="before store"), ends("disconnect"), connect(), wakes()),
        ("active g2-0 TokenDiscarded",),
    ),
    Story(
        "gives up after a new consent",
        "a refusal of the old grant is not believed of the new one",
        ROTATING,
        (ends("takes back"), refresh(until="before lose"), connect(), wakes()),
        ("active g2-0",),
    ),
    Story(
        "a forged hint",
        "the provider is asked, and the connection stays",
        PROBED,
        (ends("forged"), delivered(), passes(31)),
        ("active",),
    ),
    Story(
        "a true hint",
        "two refusals half a minute apart are believed",
        PROBED,
        (ends("removed"), delivered(), passes(31), delivered()),
        ("uninstalled",),
    ),
    Story(
        "wakes between another's lease and its call",
        "the lease is not its own any more: it writes nothing under the other's feet",
        STRICT,
        (
            refresh(until="before store"),
            passes(151),
            refresh(),
            passes(31),
            refresh(until="before call"),
            wakes(),
            wakes(),
        ),
        ("needs_reconnect g1-0 LostRotation",),
    ),
)
