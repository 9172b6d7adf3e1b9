"""When connections fall due, counted by the second."""

from collections.abc import Iterator


class Due:
    """How many connections of one provider fall due in each second; oldest first.

    Args:
        seconds: how far the simulation goes; what falls due later is of no interest.
    """

    def __init__(self, seconds: int) -> None:
        self._at = [0.0] * (seconds + 1)
        self._change = [0.0] * (seconds + 2)
        self._running = 0.0
        self._ready = 0
        self._first = 0
        self.waiting = 0.0

    def add(self, first: int, last: int, count: float) -> None:
        """`count` connections fall due evenly from `first` to `last`, both included."""
        each, end = count / (last - first + 1), len(self._at) - 1
        for at in range(first, min(last, self._ready - 1, end) + 1):
            self._at[at] += each
            self.waiting += each
            self._first = min(self._first, at)
        begin = max(first, self._ready)
        if begin <= min(last, end):
            self._change[begin] += each
            self._change[min(last, end) + 1] -= each

    def until(self, now: int) -> float:
        """How many are due by `now` and not taken."""
        while self._ready <= min(now, len(self._at) - 1):
            self._running += self._change[self._ready]
            self._at[self._ready] += self._running
            self.waiting += self._running
            self._ready += 1
        return self.waiting

    def oldest(self) -> int | None:
        """The second of the oldest that is due and was not taken."""
        while self._first < self._ready:
            if self._at[self._first] > 1e-6:
                return self._first
            self._first += 1
        return None

    def take(self, count: float) -> Iterator[tuple[int, float]]:
        """Take so many of those that are due, the oldest first: (second, how many)."""
        while count > 1e-6 and (at := self.oldest()) is not None:
            taken = min(count, self._at[at])
            self._at[at] -= taken
            self.waiting -= taken
            count -= taken
            yield at, taken
