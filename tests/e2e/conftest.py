"""A fresh merchant for each test, at the shared stack."""

import secrets
from collections.abc import Iterator

import pytest

from tests.e2e.running import RunningStack
from tests.e2e.service import Service
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


@pytest.fixture
def service(stack: RunningStack) -> Service:
    """A service of the product."""
    return Service(stack)


@pytest.fixture
def by_hand(stack: RunningStack) -> Iterator[None]:
    """No sweep but those that the test starts."""
    with stack.paused("schedules/sweep"):
        yield


@pytest.fixture
def shop() -> str:
    """A shop at the fifth provider that nobody has heard of."""
    return f"shop-{secrets.token_hex(5)}"
