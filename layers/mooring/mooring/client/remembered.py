"""Values that are remembered by name, limited in number: the least recently used goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

MOST = 1_000


class Remembered[Name: Hashable, Value]:
    """Safe for several threads."""

    def __init__(self) -> None:
        self._values: OrderedDict[Name, Value] = OrderedDict()
        self._lock = Lock()

    def get(self, name: Name) -> Value | None:
        """What is remembered under `name`, or None."""
        with self._lock:
            if name in self._values:
                self._values.move_to_end(name)
            return self._values.get(name)

    def get_or(self, name: Name, make: Callable[[], Value]) -> Value:
        """What is remembered under `name`; made first, and quickly, where there is nothing."""
        with self._lock:
            if name not in self._values:
                self._put(name, make())
            self._values.move_to_end(name)
            return self._values[name]

    def put(self, name: Name, value: Value) -> Value:
        """Remember a value."""
        with self._lock:
            self._put(name, value)
        return value

    def drop(self, name: Name) -> None:
        """Forget one."""
        with self._lock:
            self._values.pop(name, None)

    def _put(self, name: Name, value: Value) -> None:
        self._values[name] = value
        self._values.move_to_end(name)
        while len(self._values) > MOST:
            self._values.popitem(last=False)
