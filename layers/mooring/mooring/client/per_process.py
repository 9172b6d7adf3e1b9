"""What each process has to make for itself.

After `os.fork` a child shares the parent's sockets, and finds locks as they were in that moment, held by
threads that it does not have. So clients, caches and locks stay with the process that made them.
"""

import os
from collections.abc import Callable


class PerProcess[T]:
    """A value that is made anew in each process that asks for it.

    Args:
        make: makes it. Two threads that are first at once may both call it; one result is kept.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """The value of this process."""
        process = os.getpid()
        if process not in self._made:
            self._made.setdefault(process, self._make())
            # What was inherited is let go, and not closed: the parent still uses it.
            for other in set(self._made) - {process}:
                self._made.pop(other, None)
        return self._made[process]
