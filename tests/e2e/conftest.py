"""A fresh merchant for each test, at the shared stack."""

import pytest

from tests.e2e.running import RunningStack
from tests.e2e.story import Merchant
from tests.e2e.visitor import Page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this room's tests."""
    for item in items:
        if "/e2e/" in item.nodeid:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def merchant(stack: RunningStack, seen: list[Page]) -> Merchant:
    """A merchant nobody has heard of, in a browser without cookies."""
    return Merchant(stack, seen)
