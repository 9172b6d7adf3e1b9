"""Uninstall notices on their way: sent in the background, tried again until 2xx, and one of them twice.

That is how providers deliver: at least once. A merchant's click does not wait for it. Every try and the
duplicate carry the same bytes and headers, the message's id included.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import NamedTuple

import requests

TRIES = 20
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
DUPLICATE_SECONDS = 0.3
"""How long after a delivery the same notice comes once more."""

_TIMEOUT_SECONDS = (2, 15)
_STOP_SECONDS = 2
_HELD_SECONDS = 0.05
_FIRST_OF_2XX, _AFTER_2XX = 200, 300


class Notice(NamedTuple):
    """One notice, exactly as it is sent each time."""

    message_id: str
    account: str
    headers: Mapping[str, str]
    body: bytes


class Delivery(NamedTuple):
    """One attempt that ended at `at` (epoch seconds).

    `kind` is one of first, retry, duplicate, redelivery. `status` is None where no answer came.
    """

    message_id: str
    account: str
    kind: str
    status: int | None
    at: float


@dataclass
class _Sent:
    notice: Notice
    at: float
    given_up: Event = field(default_factory=Event)
    state: str = "on its way"


class NoticeSender:
    """Delivers notices to one address until `stop`.

    Args:
        url: where to; None: there is nobody to tell, and notices are only remembered.
        clock: returns epoch seconds, for what is recorded; pauses are real ones.
    """

    def __init__(self, url: str | None, clock: Callable[[], float]) -> None:
        self.url = url
        self._clock = clock
        self._lock = Lock()
        self._held = False
        self._sent: dict[str, _Sent] = {}
        self._deliveries: list[Delivery] = []
        self._threads: list[Thread] = []

    def send(self, notice: Notice) -> None:
        """Deliver a notice, whenever that succeeds."""
        sent = _Sent(notice, self._clock())
        thread = Thread(target=self._deliver, args=(sent,), daemon=True, name="notice")
        with self._lock:
            self._sent[notice.message_id] = sent
            self._threads = [known for known in self._threads if known.is_alive()] + [thread]
        thread.start()

    def redeliver(self, message_id: str) -> int | None:
        """Send an old notice once more, now and byte for byte; the answer's status, None for no answer.

        Raises:
            KeyError: no notice has this id.
        """
        with self._lock:
            sent = self._sent[message_id]
        return self._post(sent, "redelivery")

    def hold(self, held: bool) -> None:
        """Keep notices back from now on, or let them go."""
        with self._lock:
            self._held = held

    @property
    def held(self) -> bool:
        """Whether notices are kept back."""
        with self._lock:
            return self._held

    def deliveries(self) -> list[Delivery]:
        """Every attempt since the start or the last `clear`, oldest first."""
        with self._lock:
            return list(self._deliveries)

    def shown(self) -> list[dict[str, object]]:
        """Every notice as test controls print it, oldest first.

        `state` is one of: on its way, delivered, given up, nobody to tell.
        """
        with self._lock:
            known = list(self._sent.values())
        return [
            {
                "message_id": sent.notice.message_id,
                "account": sent.notice.account,
                "at": sent.at,
                "state": sent.state,
                "headers": dict(sent.notice.headers),
                "body": sent.notice.body.decode(),
            }
            for sent in known
        ]

    def clear(self) -> None:
        """Forget everything; what is still on its way is not sent any more."""
        with self._lock:
            for sent in self._sent.values():
                sent.given_up.set()
            self._sent, self._deliveries, self._held = {}, [], False

    def stop(self) -> None:
        """Send no more."""
        self.clear()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(_STOP_SECONDS)

    def _deliver(self, sent: _Sent) -> None:
        if self.url is None:
            sent.state = "nobody to tell"
            return
        for number, pause in enumerate(pauses()):
            if not self._may_go_on(sent, pause):
                return
            status = self._post(sent, "retry" if number else "first")
            if status is not None and _FIRST_OF_2XX <= status < _AFTER_2XX:
                sent.state = "delivered"
                break
        else:
            sent.state = "given up"
            return
        if self._may_go_on(sent, DUPLICATE_SECONDS):
            self._post(sent, "duplicate")

    def _may_go_on(self, sent: _Sent, pause: float) -> bool:
        """Wait, and while notices are held wait on; whether the notice is still wanted then."""
        gone = sent.given_up.wait(pause)
        while not gone and self.held:
            gone = sent.given_up.wait(_HELD_SECONDS)
        return not gone

    def _post(self, sent: _Sent, kind: str) -> int | None:
        notice, status = sent.notice, None
        if self.url is not None:
            with requests.Session() as session:
                session.trust_env = False
                try:
                    status = session.post(
                        self.url,
                        data=notice.body,
                        headers=dict(notice.headers),
                        timeout=_TIMEOUT_SECONDS,
                        allow_redirects=False,
                    ).status_code
                except requests.RequestException:
                    status = None
        delivery = Delivery(notice.message_id, notice.account, kind, status, self._clock())
        with self._lock:
            if not sent.given_up.is_set():
                self._deliveries.append(delivery)
        return status


def pauses() -> Iterator[float]:
    """Seconds before each try: none, then growing ones up to `LONGEST_PAUSE_SECONDS`."""
    yield 0.0
    pause = FIRST_PAUSE_SECONDS
    for _ in range(TRIES - 1):
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
