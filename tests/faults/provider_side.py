"""A provider that fails, seen from both sides: the exchange of a code, and the refresh of a living token."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mooring.core.upkeep import DOUBT_SECONDS
from tests.e2e.running import FIFTH, TOKEN_SECONDS
from tests.e2e.service import Service
from tests.e2e.story import Merchant, check_failure
from tests.e2e.upkeep import Upkeep, doubt_passes
from tests.e2e.visitor import Page
from tests.faults.actions import Action
from tests.faults.kill import runtimes
from tests.faults.stack import TOKEN_PATH, BrokenStack

NOTHING_SENT = {"attempts", "attempt_at"}
"""What a row does not hold when the provider cannot have heard of the attempt."""
SOON = 30
"""Seconds of life that a reader is not content with."""
SLOW_SECONDS = 8
"""So long a busy machine may take from an answer to a test's look at it."""


def exchange_fails(
    broken: BrokenStack, merchant: Merchant, shop: str, action: Action, status: int, reason: str
) -> Page:
    """Let the exchange meet a fault: one token call, a page that says so, nothing stored, nothing repeated.

    Gives back the redirect that led to the callback.
    """
    back = merchant.decide(FIFTH, store=shop)
    calls, known = broken.provider_proxy.count(path=TOKEN_PATH), connected(merchant)
    with broken.provider_proxy.fault(action, path=TOKEN_PATH, times=100) as planned:
        page = merchant.browser.follow(back)
        check_failure(broken, page, status, reason)
        assert planned.hits == 1
    # I4: the flow is over. Its code is not sent again, though all is well by now; nothing is stored.
    assert connected(merchant) == known
    again = merchant.browser.follow(back)
    assert 400 <= again.status < 600
    assert "Connect again" in again.text
    assert connected(merchant) == known
    assert broken.provider_proxy.count(path=TOKEN_PATH) == calls + 1
    return back


def connected(merchant: Merchant) -> dict[str, str]:
    """Version of each row of a merchant, by provider and account."""
    return {row["connection"]["S"]: row["version"]["N"] for row in merchant.rows()}


def exchange_at(merchant: Merchant, provider: str) -> Page:
    """Come back with some code, as if this provider had sent the merchant."""
    state = merchant.start(provider).query["state"][0]
    return merchant.browser.open(f"{merchant.stack.base_url}/callback/{provider}?code=c&state={state}")


def connects_after_all(merchant: Merchant, shop: str) -> Upkeep:
    """A fresh start gives a good connection."""
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    row = one.row()
    assert (row["status"], row["version"]) == ("active", 1)
    return one


def running_out(one: Upkeep) -> None:
    """Let its token have `SOON` seconds left of an hour."""
    expires_at = int(time.time()) + SOON
    one.set(expires_at=expires_at, issued_at=expires_at - TOKEN_SECONDS)


def old_token_serves(one: Upkeep, service: Service, old: dict[str, Any]) -> None:
    """Readers get the old token, with a word of warning, and the provider still takes it."""
    running_out(one)
    given = service.token(one.key).json()
    assert given.get("access_token") == old["access_token"], given
    assert given["warning"], given
    assert one.stack.simulator(FIFTH).accepts(one.key.account_id, given["access_token"])


def backed_off(one: Upkeep, service: Service, reason: str, least: int = 10, most: int = 21) -> None:
    """Alive, its lease given back; nobody calls again before its pause is over, whoever asks."""
    row, now = one.row(), time.time()
    assert (row["status"], row["last_error"], row["failures"]) == ("active", reason, 1)
    assert not {"lease_owner", "lease_until"} & row.keys()
    assert row["due_at"] == row["retry_at"]
    assert now + least - SLOW_SECONDS < row["retry_at"] <= now + most, row["retry_at"] - now
    calls = len(one.stack.simulator(FIFTH).calls())
    running_out(one)
    assert service.token(one.key).json()["warning"]
    assert len(one.stack.simulator(FIFTH).calls()) == calls


def pause_passes(one: Upkeep) -> None:
    """Move the row's clock past its pause."""
    one.pass_time(one.row()["retry_at"] - int(time.time()) + 1)


def in_doubt(one: Upkeep) -> None:
    """The attempt is noted, because the provider may have answered it."""
    row = one.row()
    assert (row["status"], row["version"], len(row["attempts"])) == ("active", 1, 1)
    assert row["due_at"] >= row["attempt_at"] + DOUBT_SECONDS
    assert "lease_owner" not in row


def doubt_ends(one: Upkeep, service: Service) -> dict[str, Any]:
    """Two minutes and two looks later: what the one call that is left brings."""
    doubt_passes(one, service)
    said: dict[str, Any] = service.refresh(one.key).json()
    return said


def recovers(one: Upkeep, service: Service) -> None:
    """Refreshed at last: nothing of the trouble stays in the row, and the new token is taken."""
    said = service.refresh(one.key)
    assert said.json().get("outcome") == "refreshed", said.text
    is_fresh(one, service)


def is_fresh(one: Upkeep, service: Service) -> None:
    """Active, with a token that the provider takes, and no trace of trouble."""
    row = one.row()
    assert row["status"] == "active"
    left = {"retry_at", "failures", "last_error", "attempts", "attempt_at", "lease_owner"} & row.keys()
    assert not left, left
    given = service.token(one.key).json()
    assert "warning" not in given
    assert one.stack.simulator(FIFTH).accepts(one.key.account_id, given["access_token"])


def together[T](*works: Any) -> list[Any]:
    """Run several at once; what each gave."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [done.result() for done in [pool.submit(work) for work in works]]


def written_anywhere(broken: BrokenStack, text: str) -> list[str]:
    """The files of the stack in which a text stands: logs, and what it printed."""
    files = [broken.output, *Path(broken.stack_dir / "logs").glob("*")]
    return [path.name for path in files if text in path.read_text(errors="replace")]


def memory(broken: BrokenStack, function: str, what: str = "VmHWM") -> dict[int, int]:
    """The most memory that each runtime of a function has held at once (or `VmRSS`: holds now), in bytes."""
    found = {}
    for pid in runtimes(broken, function):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(f"{what}:")]
        found[pid] = int(line.split()[1]) * 1024
    return found
