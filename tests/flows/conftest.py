"""A world and a browser for each test."""

import pytest

from tests.flows.world import Browser, World


@pytest.fixture
def world() -> World:
    """A deployment with a provider of every shape."""
    return World()


@pytest.fixture
def browser() -> Browser:
    """A merchant's browser without cookies."""
    return Browser()
