"""Functions in the Lambda runtime: cold, warm, side by side, crashed, too slow, gone with their parent."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local import ROOT
from local.runtime import FunctionSpec, RuntimePool, ThrottledError
from tests.local.toybox import PACKAGES, TOYS, PoolMaker, alive, parent_of, until


def test_first_event_is_cold_and_the_next_finds_the_same_process(make_pool: PoolMaker) -> None:
    pool = make_pool()
    first, second = pool.invoke({}), pool.invoke({})
    assert (first.cold, second.cold) == (True, False)
    assert first.init_ms is not None
    assert 0 < first.init_ms <= first.duration_ms
    assert second.init_ms is None
    answers = [_about(result.json()) for result in (first, second)]
    assert answers[0]["pid"] == answers[1]["pid"]
    assert [answer["served"] for answer in answers] == [1, 2]
    assert pool.size == 1


def test_lines_come_with_their_invocation_and_all_go_to_the_file(
    make_pool: PoolMaker, tmp_path: Path
) -> None:
    pool = make_pool()
    first, second = pool.invoke({}), pool.invoke({"do": "echo"})
    assert first.log_lines[0] == "toy starts"
    assert len(first.log_lines) == 2
    assert [line.startswith('{"level": "INFO"') for line in second.log_lines] == [True]
    kept = (tmp_path / "toy.log").read_text()
    assert kept.count('"message": "toy"') == 2
    assert kept.count("REPORT RequestId") == 2


def test_four_requests_at_once_run_in_four_processes(make_pool: PoolMaker) -> None:
    pool = make_pool()
    started = time.monotonic()
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(pool.invoke, [{"do": "echo", "seconds": "0.8"}] * 4))
    assert [result.error for result in results] == [None] * 4
    assert len({_about(result.json())["pid"] for result in results}) == 4
    assert time.monotonic() - started < 4 * 0.8
    assert pool.size == 4


def test_a_full_pool_lets_requests_wait_for_a_process(make_pool: PoolMaker) -> None:
    pool = make_pool(limit=1)
    with ThreadPoolExecutor(3) as callers:
        results = list(callers.map(pool.invoke, [{"seconds": "0.1"}] * 3))
    assert len({_about(result.json())["pid"] for result in results}) == 1
    assert pool.size == 1


def test_a_pool_that_stays_full_refuses(make_pool: PoolMaker) -> None:
    pool = make_pool(limit=1, wait_seconds=0.1)
    with ThreadPoolExecutor(1) as callers:
        slow = callers.submit(pool.invoke, {"seconds": "1"})
        until(lambda: pool.size == 1)
        with pytest.raises(ThrottledError):
            pool.invoke({})
        assert slow.result().error is None


def test_an_exception_is_told_from_an_answer(make_pool: PoolMaker) -> None:
    pool = make_pool()
    raised = pool.invoke({"do": "raise"})
    assert raised.error == "ValueError"
    assert raised.json()["errorMessage"] == "boom"
    assert any("ValueError: boom" in line for line in raised.log_lines)
    answered = pool.invoke({"do": "error_shaped"})
    assert answered.error is None
    assert pool.size == 1


def test_a_crashed_process_is_replaced(make_pool: PoolMaker) -> None:
    pool = make_pool()
    before = _about(pool.invoke({}).json())["pid"]
    assert pool.invoke({"do": "exit"}).error == "Runtime.ExitError"
    after = pool.invoke({})
    assert after.cold
    assert _about(after.json())["pid"] != before
    assert pool.size == 1


def test_a_process_that_was_killed_while_idle_costs_no_event(make_pool: PoolMaker) -> None:
    pool = make_pool()
    pid = _about(pool.invoke({}).json())["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    answer = pool.invoke({})
    assert (answer.error, answer.cold) == (None, True)
    assert _about(answer.json())["pid"] != pid
    assert pool.size == 1


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import not_there", "Runtime.ImportModuleError"),
        ("raise SystemExit(4)", "Runtime.InitError"),
        ("def other(event, context): pass", "Runtime.HandlerNotFound"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_an_error(source: str, error: str, tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text(source)
    spec = FunctionSpec("toy", (tmp_path, PACKAGES))
    with RuntimePool(spec, log_path=tmp_path / "toy.log") as pool:
        assert pool.invoke({}).error == error
        assert pool.size == 0


def test_a_function_that_takes_too_long_is_cut_off_and_replaced(make_pool: PoolMaker) -> None:
    pool = make_pool(timeout_seconds=1)
    slow = pool.invoke({"seconds": "30"})
    assert slow.error == "Sandbox.Timedout"
    assert 900 < slow.duration_ms < 5000
    after = pool.invoke({})
    assert after.cold
    assert _about(after.json())["left_ms"] <= 1000


def test_an_emulator_that_dies_is_an_error_and_is_replaced(make_pool: PoolMaker) -> None:
    pool = make_pool()
    pid = _about(pool.invoke({}).json())["pid"]
    with ThreadPoolExecutor(1) as callers:
        working = callers.submit(pool.invoke, {"seconds": "20"})
        time.sleep(0.5)  # it has the event by then
        os.kill(parent_of(pid), signal.SIGKILL)
        assert working.result().error == "Runtime.Lost"
    until(lambda: not alive(pid))
    assert pool.invoke({}).error is None


def test_the_process_sees_what_it_is_given_and_nothing_else(
    make_pool: PoolMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "AWS_PROFILE", "PYTHONSTARTUP", "SOMETHING_PRIVATE"):
        monkeypatch.setenv(name, "must not be seen")
    seen = make_pool().invoke({"do": "environment"}).json()
    assert "must not be seen" not in seen.values()
    assert seen["OWN"] == "value"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "toy"
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert seen["LAMBDA_TASK_ROOT"] == str(TOYS / "echo")
    assert seen["HOME"] == "/nonexistent"


def test_packages_of_this_environment_are_not_on_the_module_path(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("awslambdaric", "snapshot_restore_py", "simplejson", "runtime_client"):
        for found in PACKAGES.glob(f"{name}*"):
            (bare / found.name).symlink_to(found)
    spec = FunctionSpec("toy", (TOYS / "echo", bare))
    with RuntimePool(spec, log_path=tmp_path / "toy.log") as pool:
        modules = pool.invoke({"do": "modules"}).json()
    assert modules["boto3"] is False
    assert str(PACKAGES) not in modules["path"]


def test_a_stopped_pool_leaves_no_process(make_pool: PoolMaker) -> None:
    pool = make_pool()
    pid = _about(pool.invoke({}).json())["pid"]
    emulator = parent_of(pid)
    pool.stop()
    until(lambda: not alive(pid) and not alive(emulator))
    with pytest.raises(ThrottledError):
        pool.invoke({})


_PARENT = """
import sys, threading, time
from pathlib import Path
from typing import Any
from local.runtime import FunctionSpec, RuntimePool
spec = FunctionSpec("toy", (Path(sys.argv[1]), Path(sys.argv[2])), timeout_seconds=30)
pool = RuntimePool(spec, log_path=Path(sys.argv[3]))
# From a thread that ends, as the gateway's do: the process must outlive the thread, not the parent.
first = threading.Thread(target=lambda: print(pool.invoke({}).payload.decode(), flush=True))
first.start()
first.join()
time.sleep(0.3)
print(pool.invoke({}).payload.decode(), flush=True)
pool.invoke({"seconds": "25"})
"""


def test_killing_the_parent_leaves_no_orphan_even_in_the_middle_of_an_invocation(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PARENT, str(TOYS / "echo"), str(PACKAGES), str(tmp_path / "toy.log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        first, second = (_about(json.loads(parent.stdout.readline())) for _ in range(2))
        assert first["pid"] == second["pid"]
        emulator = parent_of(first["pid"])
        time.sleep(0.3)
        parent.kill()
    until(lambda: not alive(first["pid"]) and not alive(emulator))


def _about(answer: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = json.loads(answer["body"])
    return about
