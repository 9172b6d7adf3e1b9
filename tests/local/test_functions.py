"""The first event of a function while the stack starts: a slow machine gets more than one try."""

from pathlib import Path

import pytest

from local.functions import warm
from local.runtime import FunctionSpec, RuntimePool
from local.stack_dir import StackError
from tests.local.toybox import PACKAGES

_SLOW_AT_FIRST = """\
import time
from pathlib import Path

TRIES = Path({tries!r})


def handler(event, context):
    with TRIES.open("a") as file:
        file.write("x")
    time.sleep(30 if len(TRIES.read_text()) <= {slow} else 0)
    return {{}}
"""


@pytest.mark.parametrize(("slow", "starts"), [(0, True), (2, True), (9, False)])
def test_a_start_that_takes_too_long_is_tried_a_few_times(tmp_path: Path, slow: int, starts: bool) -> None:
    code, tries, log = tmp_path / "code", tmp_path / "tries", tmp_path / "slow.log"
    code.mkdir()
    (code / "handler.py").write_text(_SLOW_AT_FIRST.format(tries=str(tries), slow=slow))
    spec = FunctionSpec("slow", (code, PACKAGES), timeout_seconds=2)
    with RuntimePool(spec, log_path=log) as pool:
        if starts:
            warm(pool, {}, log)
        else:
            with pytest.raises(StackError, match=r"the function slow does not run: Sandbox\.Timedout"):
                warm(pool, {}, log)
    tried = len(tries.read_text())
    assert (slow < tried <= 4) if starts else (1 <= tried <= 4)
