"""A process of ours that can be stopped at a named point, go on later, or die there.

Each runs in a thread of its own, and one at a time: whoever drives it gets the turn back when it stops or
ends. A dead process does nothing any more: each further call of a port raises `Died` again, and `Died` is no
`Exception`, so that nothing of ours catches it.
"""

from collections.abc import Callable, Mapping
from threading import Semaphore, Thread
from typing import Any

from mooring.core.errors import Failure, Reason

FUNCTION_SECONDS = 30
_TURN_SECONDS = 60
"""Nothing takes so long: a defect of the test must not hang."""

DEAF, LOST = "deaf", "lost"
"""A port that does nothing, and one that does it and whose answer is lost."""


class Died(BaseException):
    """The process is dead, as after SIGKILL."""


class Process:
    """One invocation of a function.

    Args:
        name: of whose making the noted attempts are.
        clock: the true time, epoch seconds.
        skew: seconds by which this process's own clock is off.
        plan: port method -> DEAF or LOST, and `provider` -> how the provider's answer goes wrong.

    `at` is where it stands stopped, `told` the alarms that it rang: (what about, alarm).
    """

    def __init__(self, name: str, clock: Callable[[], float], skew: int, plan: Mapping[str, str]) -> None:
        self.name, self.skew, self.plan = name, skew, plan
        self.at = ""
        self.dead = self.ended = False
        self.began = clock()
        self.result: object = None
        self.error: BaseException | None = None
        self.told: list[tuple[object, str]] = []
        self._clock = clock
        self._until = ""
        self._ours, self._theirs = Semaphore(0), Semaphore(0)
        self._thread: Thread | None = None

    def clock(self) -> float:
        """Its own time."""
        return self._clock() + self.skew

    def left(self) -> float:
        """Seconds until Lambda ends it."""
        return FUNCTION_SECONDS - (self._clock() - self.began)

    def begin(self, work: Callable[[], object], until: str = "") -> None:
        """Do `work` as far as the point `until`, or to its end."""

        def main() -> None:
            try:
                self.result = work()
            except Died:
                self.dead = True
            except BaseException as error:  # noqa: BLE001 - whoever drives it looks at it
                self.error = error
            self.ended = True
            self._theirs.release()

        self._until = until
        self._thread = Thread(target=main, daemon=True)
        self._thread.start()
        self._wait()

    def go_on(self, until: str = "") -> None:
        """From where it stands to the point `until`, or to its end."""
        self._until, self.at = until, ""
        self._ours.release()
        self._wait()

    def die(self) -> None:
        """It is killed where it stands."""
        self.dead = True
        self.go_on()

    def reach(self, point: str) -> None:
        """It comes to a point: it may have to stop, or be dead."""
        if self.dead:
            raise Died
        if point == self._until:
            self._until, self.at = "", point
            self._theirs.release()
            self._ours.acquire()
            if self.dead:
                raise Died

    def _wait(self) -> None:
        if not self._theirs.acquire(timeout=_TURN_SECONDS):
            raise AssertionError("a process neither stops nor ends")
        if self.ended and self._thread is not None:
            self._thread.join()


class Guarded:
    """A port as one process sees it: stopped, broken and dead as that process is.

    Args:
        port: what stands behind it.
        process: whose it is.
        heard: is told of each call that took place: method, arguments, result.
    """

    def __init__(self, port: object, process: Process, heard: Callable[[str, tuple[Any, ...], Any], None]):
        self._port, self._process, self._heard = port, process, heard

    def __getattr__(self, method: str) -> Callable[..., Any]:
        process, real = self._process, getattr(self._port, method)

        def call(*args: Any, **named: Any) -> Any:
            process.reach(f"before {method}")
            planned = process.plan.get(method)
            if planned == DEAF:
                raise Failure(Reason.STORAGE_UNAVAILABLE)
            result = real(*args, **named)
            self._heard(method, args, result)
            process.reach(f"after {method}")
            if planned == LOST:
                raise Failure(Reason.STORAGE_UNAVAILABLE)
            return result

        return call
