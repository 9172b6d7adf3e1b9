"""What several rooms share: the one running stack. Rooms that use it run in one worker (`--dist loadgroup`)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.running import RunningStack
    from tests.e2e.visitor import Page

_GROUP = pytest.mark.xdist_group("stack")
_LAST = "tests/e2e/test_nothing_leaks.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep every test of the shared stack in one worker; what looks back at all of them comes last."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(_GROUP)
    items.sort(key=lambda item: _LAST in item.nodeid)


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
