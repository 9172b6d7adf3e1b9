"""A refresh that goes wrong: no connection dies of what passes, and no token that was issued is lost.

All at the fifth provider, which gives a new refresh token each time, so that a lost answer matters.
"""

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from mooring.adapters.ssm import FORGET_SECONDS
from mooring.core.upkeep import DOUBT_SECONDS, LEASE_SECONDS
from tests.e2e.running import FIFTH, TOKEN_SECONDS, RunningStack, session_members
from tests.e2e.service import Service
from tests.e2e.simulator import Simulator
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep, doubt_passes, refresh_unstored, sweep, wait_for

pytestmark = pytest.mark.usefixtures("by_hand")

UPDATE, QUEUE = "DynamoDB_20120810.UpdateItem", "AmazonSQS.SendMessage"
SOON = 30
"""Seconds of life that a reader is not content with."""


@pytest.fixture
def simulator(stack: RunningStack) -> Simulator:
    """The fifth provider's controls."""
    return stack.simulator(FIFTH)


@pytest.fixture
def living(merchant: Merchant, shop: str, service: Service) -> Iterator[Upkeep]:
    """A connected shop; it is cut off in the end, so that nothing of it falls due in other tests."""
    merchant.connect(FIFTH, store=shop)
    one = Upkeep.of(merchant, FIFTH, shop)
    yield one
    service.disconnect(one.key)


def running_out(one: Upkeep) -> None:
    """Let its token have `SOON` seconds left of an hour."""
    expires_at = int(time.time()) + SOON
    one.set(expires_at=expires_at, issued_at=expires_at - TOKEN_SECONDS)


def later(function: Callable[[], object]) -> threading.Thread:
    """Run something beside the test."""
    thread = threading.Thread(target=function)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("mode", "reason", "noted"),
    [
        ("http_500", "provider_unavailable", {"attempts"}),
        ("http_429", "provider_unavailable", set()),
        ("reset", "refresh_in_doubt", {"attempts", "attempt_at"}),
        ("html_200", "refresh_in_doubt", {"attempts", "attempt_at"}),
    ],
)
def test_a_provider_that_fails_is_asked_again_and_the_old_token_serves_meanwhile(
    living: Upkeep, service: Service, simulator: Simulator, mode: str, reason: str, noted: set[str]
) -> None:
    old = service.token(living.key).json()
    running_out(living)
    simulator.misbehave(mode)
    given = service.token(living.key).json()
    assert (given["access_token"], given["warning"]) == (old["access_token"], reason)
    assert simulator.accepts(living.key.account_id, given["access_token"])
    row = living.row()
    assert (row["status"], row["version"], row["failures"]) == ("active", 1, 1)
    assert row["retry_at"] == row["due_at"] > time.time()
    assert {"lease_owner", "attempts", "attempt_at"} & row.keys() == noted
    assert living.lines(outcome="failed")[-1]["reason"] == reason
    # Nobody asks again before it is time.
    calls = len(simulator.calls())
    assert service.token(living.key).json()["warning"] in ("refresh_put_off", "refresh_in_doubt")
    assert len(simulator.calls()) == calls
    if "attempt_at" in noted:
        doubt_passes(living, service)
    else:
        living.pass_time(row["retry_at"] - int(time.time()) + 1)
    new = service.token(living.key).json()
    assert (new["version"], "warning" in new) == (2, False)
    assert simulator.accepts(living.key.account_id, new["access_token"])
    assert not {"retry_at", "failures", "last_error", "attempts"} & living.row().keys()


def test_a_dead_token_is_not_given_out(living: Upkeep, service: Service, simulator: Simulator) -> None:
    living.set(expires_at=int(time.time()) - 1, issued_at=int(time.time()) - TOKEN_SECONDS)
    simulator.misbehave("http_503")
    answer = service.token(living.key)
    assert (answer.status_code, answer.json()["reason"]) == (503, "provider_unavailable")
    living.pass_time(DOUBT_SECONDS)
    assert service.token(living.key).json()["version"] == 2


def lose_an_answer(living: Upkeep, service: Service, simulator: Simulator) -> None:
    """Refresh, with the answer lost on its way; then nothing happens for two minutes."""
    simulator.misbehave("lost")
    answer = service.refresh(living.key)
    assert (answer.status_code, answer.json()["reason"]) == (503, "refresh_in_doubt")
    calls = len(simulator.calls())
    row = living.row()
    assert (row["status"], row["version"], len(row["attempts"])) == ("active", 1, 1)
    assert row["due_at"] >= row["attempt_at"] + DOUBT_SECONDS
    for _ in range(2):
        again = service.refresh(living.key)
        assert (again.status_code, again.json()["reason"]) == (503, "refresh_in_doubt")
    assert sweep(living.stack)["enqueued"] == 0
    assert len(simulator.calls()) == calls
    assert living.status == "active"


@pytest.mark.parametrize("reuse", ["refuse", "revoke_family"])
def test_a_lost_answer_where_the_old_token_is_worthless_by_then(
    living: Upkeep, service: Service, simulator: Simulator, merchant: Merchant, reuse: str
) -> None:
    with simulator.behaving(reuse=reuse):
        lose_an_answer(living, service, simulator)
        calls = len(simulator.calls())
        doubt_passes(living, service)
        answer = service.refresh(living.key)
    assert (answer.status_code, answer.json()["reason"]) == (409, "connection_not_active")
    assert [call["outcome"] for call in simulator.calls()[calls:]] == ["reused"]
    row = living.row()
    assert (row["status"], row["last_error"]) == ("needs_reconnect", "lost_rotation")
    assert "due_at" not in row
    assert living.lines(outcome="failed")[-1]["reason"] == "lost_rotation"
    assert service.token(living.key).json()["reason"] == "connection_not_active"
    merchant.connect(FIFTH, store=living.key.account_id)
    assert service.token(living.key).json()["generation"] == 2


def test_a_lost_answer_where_the_old_token_has_a_grace(
    living: Upkeep, service: Service, simulator: Simulator
) -> None:
    with simulator.behaving(grace_seconds=600):
        lose_an_answer(living, service, simulator)
        calls = len(simulator.calls())
        doubt_passes(living, service)
        assert service.refresh(living.key).json()["outcome"] == "refreshed"
    assert [call["outcome"] for call in simulator.calls()[calls:]] == ["refreshed"]
    row = living.row()
    assert (row["status"], row["version"], "attempts" in row) == ("active", 2, False)
    assert service.refresh(living.key).json()["version"] == 3, "and what it was given is the current one"


def test_a_server_error_behind_which_tokens_were_issued_is_told_as_a_lost_rotation(
    living: Upkeep, service: Service, simulator: Simulator
) -> None:
    simulator.misbehave("http_503")
    assert service.refresh(living.key).json()["reason"] == "provider_unavailable"
    simulator.revoke(account=living.key.account_id)  # as good as a token that was spent
    assert service.refresh(living.key).json()["reason"] == "connection_not_active"
    assert living.row()["last_error"] == "lost_rotation"


def test_a_merchant_who_took_access_back_is_asked_to_come_again(
    living: Upkeep, service: Service, simulator: Simulator, merchant: Merchant
) -> None:
    simulator.revoke(account=living.key.account_id)
    assert service.refresh(living.key).json()["reason"] == "connection_not_active"
    row = living.row()
    assert (row["status"], row["last_error"]) == ("needs_reconnect", "grant_refused")
    (listed,) = service.list(merchant.name)
    assert (listed["status"], listed["last_error"]) == ("needs_reconnect", "grant_refused")
    merchant.connect(FIFTH, store=living.key.account_id)
    assert living.row()["status"] == "active"
    assert "last_error" not in living.row()


def test_tokens_that_could_not_be_stored_come_by_the_recovery_queue(
    stack: RunningStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    shop = living.key.account_id
    answer = refresh_unstored(living, service)
    assert (answer.status_code, answer.json()["reason"]) == (503, "store_delayed")
    wait_for(lambda: living.version == 2, "what the recovery queue holds")
    assert living.line("recovered")["level"] == "INFO"
    row = living.row()
    assert (row["status"], row["generation"]) == ("active", 1)
    assert not {"lease_owner", "attempts", "attempt_at"} & row.keys()
    given = service.token(living.key).json()
    assert given["access_token"] == simulator.newest(shop)["access_token"]
    assert service.refresh(living.key).json()["version"] == 3, "the refresh token came along"


def test_store_and_recovery_queue_down_is_an_alarm_and_a_doubt(
    stack: RunningStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    with simulator.behaving(grace_seconds=600):
        answer = refresh_unstored(living, service, QUEUE)
        assert (answer.status_code, answer.json()["reason"]) == (500, "token_lost")
        lines = stack.log_lines("refresh")
        at = next(number for number, line in enumerate(lines) if line.get("reason") == "token_lost")
        assert any("TokenLost" in line and "_aws" in line for line in lines[at : at + 2])
        assert living.status == "active"
        living.pass_time(LEASE_SECONDS)
        doubt_passes(living, service)
        assert service.refresh(living.key).json()["version"] == 2


def test_a_fault_before_the_call_sends_nothing(
    stack: RunningStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    calls = len(simulator.calls())
    with stack.failing(UPDATE, function="refresh"):
        assert service.refresh(living.key).json()["reason"] == "storage_unavailable"
    assert "lease_owner" not in living.row()
    with stack.failing("TrentService.Decrypt", function="refresh"):
        assert service.refresh(living.key).json()["reason"] == "key_denied"
    row = living.row()
    assert (row["status"], row["last_error"], "lease_owner" in row) == ("active", "key_denied", False)
    assert "attempts" not in row, "nothing was sent, so nothing is in doubt"
    assert len(simulator.calls()) == calls
    assert service.refresh(living.key).json()["version"] == 2


def test_a_process_that_is_killed_in_its_call_loses_nothing_that_was_stored(
    stack: RunningStack, living: Upkeep, service: Service, simulator: Simulator
) -> None:
    old = service.token(living.key).json()
    answers, calls = list[requests.Response](), len(simulator.calls())
    with simulator.behaving(delay_after_seconds=3, grace_seconds=600):
        asking = later(lambda: answers.append(service.refresh(living.key)))
        wait_for(lambda: "lease_owner" in living.row(), "the lease")
        time.sleep(0.5)  # by now the provider has issued new tokens, and takes its time to say so
        killed = kill_refresh(stack)
        asking.join()
        assert len(killed) == 1
        assert answers[0].status_code == 503, answers[0].text
        wait_for(lambda: len(simulator.calls()) > calls, "the end of the provider's answer")
        row = living.row()
        assert (row["status"], row["version"], len(row["attempts"])) == ("active", 1, 1)
        assert service.token(living.key).json()["access_token"] == old["access_token"]
        # Its lease ends by itself and the doubt after two minutes; they are taken out of the row here.
        living.pass_time(LEASE_SECONDS)
        doubt_passes(living, service)
        assert service.refresh(living.key).json()["version"] == 2
    new = service.token(living.key).json()["access_token"]
    assert simulator.accepts(living.key.account_id, new)


def kill_refresh(stack: RunningStack) -> list[int]:
    """Kill -9 the Lambda runtime of the refresh function that talks to the fifth provider; its process id."""
    talking = sockets_to(int(stack.fifth.base_url.rpartition(":")[2]))
    found = []
    for member in session_members(stack.process.pid):
        process = Path("/proc", member.split()[0])
        with contextlib.suppress(OSError):
            ours = b"AWS_LAMBDA_FUNCTION_NAME=refresh" in (process / "environ").read_bytes().split(b"\0")
            if ours and talking & {str(link.readlink()) for link in (process / "fd").iterdir()}:
                os.kill(int(process.name), signal.SIGKILL)
                found.append(int(process.name))
    return found


def sockets_to(port: int) -> set[str]:
    """Connected sockets to a port of this machine, as /proc/PID/fd shows them."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    wanted = ("01", f"0100007F:{port:04X}")
    return {f"socket:[{row[9]}]" for row in rows if (row[3], row[2]) == wanted}


@pytest.fixture
def changed_secret(stack: RunningStack) -> Iterator[str]:
    """A client secret that the fifth provider may change to; in the end it is the old one again."""
    old = stack.fifth.secrets["client_secret"]
    yield f"canary-{FIFTH}-{secrets.token_hex(12)}"
    stack.fifth.take_client_secret(old)
    put_client_secret(stack, old)
    time.sleep(FORGET_SECONDS)  # for so long no process fetches it once more, and other tests need it


def put_client_secret(stack: RunningStack, secret: str) -> None:
    """What an operator does."""
    name = f"/mooring/local/{FIFTH}/client_secret"
    stack.aws("ssm").put_parameter(Name=name, Value=secret, Type="SecureString", Overwrite=True)


def test_a_changed_client_secret_opens_the_circuit_and_trials_close_it(
    stack: RunningStack,
    merchant: Merchant,
    service: Service,
    simulator: Simulator,
    shop: str,
    changed_secret: str,
) -> None:
    several = []
    for number in range(6):
        merchant.connect(FIFTH, store=f"{shop}-{number}")
        several.append(Upkeep.of(merchant, FIFTH, f"{shop}-{number}"))
    stack.fifth.take_client_secret(changed_secret)
    refused = service.refresh(several[0].key)
    assert (refused.status_code, refused.json()["reason"]) == (500, "provider_misconfigured")
    assert circuit(stack)
    lines = stack.log_lines("refresh")
    assert any("ProviderMisconfigured" in line and "_aws" in line for line in lines[-3:])
    # While it refuses us, a few are tried at each sweep, and none dies of it.
    for one in several:
        one.pass_time(3600)
    calls = len(simulator.calls())
    said = sweep(stack)
    assert (said["open_circuits"], 1 <= said["enqueued"] <= 3) == ([FIFTH], True), said
    wait_for(lambda: len(simulator.calls()) == calls + said["enqueued"], "the trials")
    assert {one.status for one in several} == {"active"}
    assert circuit(stack)
    # The operator puts the new secret in; processes still have the old one in memory.
    put_client_secret(stack, changed_secret)

    def minutes_pass() -> bool:
        for one in several:
            if one.version == 1:
                one.pass_time(60)
        sweep(stack)
        time.sleep(0.5)
        return all(one.version == 2 for one in several)

    # Whoever was refused has just fetched it, and does so once in half a minute.
    wait_for(minutes_pass, "all of them", FORGET_SECONDS + 20)
    assert not circuit(stack)
    assert {one.status for one in several} == {"active"}
    for one in several:
        assert "last_error" not in one.row()
        service.disconnect(one.key)


def circuit(stack: RunningStack) -> bool:
    """Whether the fifth provider's circuit is open."""
    rows = [row for row in stack.rows("flows") if row["pk"]["S"] == f"circuit#{FIFTH}"]
    return any("closed_at" not in row for row in rows)
