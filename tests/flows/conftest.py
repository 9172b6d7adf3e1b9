"""A world and a browser for each test; and a world of connections that exist, which must not leak."""

from collections.abc import Iterator

import pytest

from tests.flows.upkeep_world import UpkeepWorld
from tests.flows.world import Browser, World


@pytest.fixture
def world() -> World:
    """A deployment with a provider of every shape."""
    return World()


@pytest.fixture
def browser() -> Browser:
    """A merchant's browser without cookies."""
    return Browser()


@pytest.fixture
def upkeep() -> Iterator[UpkeepWorld]:
    """A deployment with connections; whatever a test did, no secret may have left the flows."""
    world = UpkeepWorld()
    yield world
    assert world.leaks() == []
