"""What goes on besides refreshing: services read tokens and use them, and processes are killed."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

import requests

from mooring.core.upkeep import Key
from tests.e2e.service import Service
from tests.faults.kill import runtimes
from tests.soak.plan import KILL_SECONDS
from tests.soak.stack import SoakStack

SWEEP = "schedules/sweep"
_PAUSE_SECONDS = 0.4
_OK, _UNAUTHORIZED = 200, 401
_SKEW_SECONDS = 1
"""Both clocks are this machine's, but one of them counts whole seconds."""


class DeadToken(NamedTuple):
    """A token that a service was given and the provider did not take, or took for another account's."""

    key: Key
    at: float
    said: str


def is_dead(asked_at: float, used_at: float, expires_at: float) -> bool:
    """Whether a token that the provider refused should not have been given out (epoch seconds).

    One that ended on its way, between the question and its use, was good when it was given.
    """
    return not asked_at < expires_at <= used_at + _SKEW_SECONDS


class Readers:
    """Threads that read the tokens of random connections, and use them, from entering until leaving.

    Args:
        stack: the running stack.
        keys: the connections.
        number: of threads.
        seed: of their choices.
    """

    def __init__(self, stack: SoakStack, keys: Sequence[Key], number: int, seed: int) -> None:
        self.answers: Counter[str] = Counter()
        """Answers of the token route by what they said: `ok`, `ok, refresh_put_off`, `503 refresh_busy` …"""
        self.dead: list[DeadToken] = []
        self._stack = stack
        self._keys = keys
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(number, thread_name_prefix="reader")
        self._runs: list[Future[None]] = []
        self._choices = [random.Random(f"{seed} reader {each}") for each in range(number)]

    def __enter__(self) -> Self:
        self._runs = [self._pool.submit(self._run, choices) for choices in self._choices]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopping.set()
        self._pool.shutdown()
        if kind is None:
            for run in self._runs:
                run.result()  # one that broke down has read nothing since

    def _run(self, rng: random.Random) -> None:
        service = Service(self._stack)
        with requests.Session() as session:
            session.trust_env = False
            while not self._stopping.wait(_PAUSE_SECONDS):
                said = self._read(rng.choice(self._keys), service, session)
                with self._lock:
                    self.answers[said] += 1

    def _read(self, key: Key, service: Service, session: requests.Session) -> str:
        asked_at = time.time()
        try:
            answer = service.token(key)
        except requests.RequestException as error:
            return f"no answer ({type(error).__name__})"
        body = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        if answer.status_code != _OK:
            return f"{answer.status_code} {body.get('reason', '')}".strip()
        provider = self._stack.providers[key.provider]
        bearer = {"Authorization": f"Bearer {body['access_token']}"}
        used = session.get(provider.api_url, headers=bearer, timeout=20)
        said = "" if used.ok else f"{used.status_code}"
        if used.ok and used.json()["shop"]["id"] != key.account_id:
            said = "another account's"
        if said and (said != str(_UNAUTHORIZED) or is_dead(asked_at, time.time(), body["expires_at"])):
            with self._lock:
                self.dead.append(DeadToken(key, asked_at, said))
        return f"ok, {body['warning']}" if "warning" in body else "ok"


class Sweeper:
    """Fires the sweep again and again, in place of the template's schedule.

    Args:
        stack: the running stack.
        seconds: from one firing to the next.
    """

    def __init__(self, stack: SoakStack, seconds: int) -> None:
        self._stack = stack
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Fire from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Fire no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            with contextlib.suppress(requests.RequestException):  # the next firing finds what this one left
                self._stack.trigger(SWEEP + "/fire")
            due = max(due + self._seconds, time.monotonic())


class Killer:
    """Kills a random runtime process of the stack again and again, with SIGKILL.

    Args:
        stack: the running stack.
        rng: chooses.
    """

    def __init__(self, stack: SoakStack, rng: random.Random) -> None:
        self.killed: Counter[str] = Counter()
        """How many, by function."""
        self.last_at = 0.0
        """When the last one was killed, on the monotonic clock."""
        self._stack = stack
        self._rng = rng
        self._next_at = time.monotonic() + KILL_SECONDS

    def beat(self) -> None:
        """Kill one if it is time."""
        if time.monotonic() < self._next_at:
            return
        self._next_at += KILL_SECONDS
        functions = self._stack.functions
        alive = [(pid, function) for function in functions for pid in runtimes(self._stack, function)]
        if alive:
            pid, function = self._rng.choice(sorted(alive))
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed[function] += 1
                self.last_at = time.monotonic()
