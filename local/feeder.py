"""What everything that starts functions by itself has in common: a thread that can be paused and stopped."""

import threading
from abc import ABC, abstractmethod


class Feeder(ABC):
    """A thread of its own, `_run`, which looks at `_paused` and ends soon after `_stopping` is set.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._stopping = threading.Event()
        self._paused = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def paused(self) -> bool:
        """Whether it does nothing by itself."""
        return self._paused.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @abstractmethod
    def pause(self) -> None:
        """Do nothing by itself from now on."""

    def resume(self) -> None:
        """Go on, from where it paused."""
        self._paused.clear()

    def stop(self) -> None:
        """Begin nothing more; does not wait for anything."""
        self._stopping.set()

    def join(self, *, batches: bool) -> None:
        """Wait until it has ended.

        Args:
            batches: also for what the functions are doing.
        """
        if batches and self._thread.is_alive():
            self._thread.join()

    @abstractmethod
    def _run(self) -> None: ...
