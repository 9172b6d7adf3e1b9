"""Work for the refresh queue, one of each kind and more."""

from mooring.core.upkeep import Cause, Confirm, Hint, Key, Order, Search, Seen, Work
from tests.contract.samples import NOW

KEY = Key("m-1", "prov-a", "shop-1")
DUE = Order(KEY, Seen(2, 17), Cause.DUE)
"""What the sweep orders."""

WORK: tuple[Work, ...] = (
    DUE,
    Order(KEY, None, Cause.READ),
    Order(KEY, Seen(1, 0), Cause.UNAUTHORIZED),
    Order(KEY, Seen(1, 1), Cause.ASKED, trial=True),
    Order(Key("A.b:c-d_1", "p2", "default"), None, Cause.HINT),
    Hint("prov-a", "shop-1"),
    Confirm(KEY, Seen(2, 17), NOW, uninstall=True),
    Confirm(KEY, Seen(2, 17), 0, uninstall=False),
    Search("prov-a", "shop-1", NOW),
    Hint("prov-a", "shop-1", again=True, merchant_id="m-1"),
)
"""Every kind of work, every cause, and both values of every flag."""


def orders(count: int) -> list[Order]:
    """So many orders, each for a merchant of its own."""
    return [DUE._replace(key=KEY._replace(merchant_id=f"m-{number}")) for number in range(count)]
