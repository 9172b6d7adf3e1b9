"""What several rooms share: the one running stack, and the order in which two workers take the tests."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from tests.e2e.running import RunningStack
    from tests.e2e.visitor import Page

_STACK_ROOMS = ("tests/browser/", "tests/e2e/")
_LAST = "tests/e2e/test_nothing_leaks.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back at all the others comes last."""
    items.sort(key=lambda item: _LAST in item.nodeid)


class _OneStack(LoadScopeScheduling):  # type: ignore[misc]
    """The rooms of the running stack go to one worker, so that there is one stack; others go file by file."""

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith(_STACK_ROOMS) else nodeid.partition("::")[0]


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
