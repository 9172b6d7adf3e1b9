"""A machine that is not in Greenwich."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def five_hours_west() -> Iterator[None]:
    """While it lasts, the local time of this process is five hours behind UTC."""
    before = os.environ.get("TZ")
    _set("EST5")
    try:
        yield
    finally:
        _set(before)


def _set(zone: str | None) -> None:
    if zone is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = zone
    time.tzset()
