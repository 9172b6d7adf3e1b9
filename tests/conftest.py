"""What several rooms share: the one running stack, and the order in which two workers take the tests."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.support import CHROMIUM
from tests.support.naming import names_the_hour

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

    from tests.e2e.running import RunningStack
    from tests.e2e.visitor import Page

# The first run makes hypothesis' tables of characters, which takes longer than it allows itself.
# In CI the same code meets the same examples: its verdict is about the code. Elsewhere each run tries others.
settings.register_profile(
    "mooring",
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
    derandomize=os.environ.get("CI", "") not in ("", "0", "false"),
)
settings.load_profile("mooring")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A runner in the background ignores Ctrl-C, and whatever the tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_STACK_ROOMS = ("tests/browser/", "tests/e2e/", "tests/iam/test_real_calls.py")
_FAULT_SCENARIOS = "tests/faults/test_f"
"""Files with scenarios by number: they share the broken stack."""
_LAST = "tests/e2e/test_nothing_leaks.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back at all the others comes last; a test whose name holds the hour is refused."""
    dated = [item.nodeid for item in items if names_the_hour(item.nodeid, time.time())]
    if dated:
        raise pytest.UsageError(
            f"two workers would name these tests apart, take the time out of them: {dated}"
        )
    items.sort(key=lambda item: _LAST in item.nodeid)


class _OneStack(LoadScopeScheduling):  # type: ignore[misc]
    """The rooms of the running stack go to one worker, so that there is one stack; others go file by file.

    The fault scenarios have a second stack, which runs beside the first.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_STACK_ROOMS):
            return "stack"
        return "faults" if nodeid.startswith(_FAULT_SCENARIOS) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """For `--dist loadgroup`; xdist 3.8 itself can no longer tell groups apart under pytest 9.2."""
    return _OneStack(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["RunningStack"]:
    """The local stack, as `python -m local` starts it, with a foreign authorization server beside it."""
    from tests.e2e.running import RunningStack

    running = RunningStack(tmp_path_factory.mktemp("stack"))
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def seen() -> list["Page"]:
    """Every answer that any browser got during the session."""
    return []


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; a machine without one fails these tests and says how to get it."""
    found = next((path for path in map(shutil.which, CHROMIUM) if path), None)
    if found is None:
        pytest.fail("there is no Chromium on this machine; install it: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def playwright() -> Iterator["Playwright"]:
    """Playwright's driver."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: "Playwright", chromium: str) -> Iterator["Browser"]:
    """A browser for all tests of a module; each has its own profile."""
    launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    yield launched
    launched.close()
