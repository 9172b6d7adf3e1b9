"""Providers take turns."""

from collections.abc import Mapping


def in_turn(shares: Mapping[str, int], waiting: Mapping[str, float], most: float) -> dict[str, float]:
    """Each in turn gets as much, until all have their share, have nothing left, or `most` went out."""
    wanted = {name: min(float(max(0, share)), waiting[name]) for name, share in shares.items()}
    given_out = dict.fromkeys(wanted, 0.0)
    open_ = [name for name, count in wanted.items() if count > 0]
    while open_ and most > 1e-6:
        turn = min(most / len(open_), *(wanted[name] - given_out[name] for name in open_), most)
        for name in open_:
            given_out[name] += turn
        most -= turn * len(open_)
        open_ = [name for name in open_ if wanted[name] - given_out[name] > 1e-6]
    return given_out
