"""Headless Chromium at the running stack, and a place for screenshots."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this room's tests."""
    for item in items:
        if "/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)


@pytest.fixture
def complaints() -> list[str]:
    """What the pages of a test complained about on their console."""
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """A page of a fresh profile. Any complaint that is left at the end fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: _note(complaints, message.type, message.text))
    yield opened
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for pictures of what the tests saw."""
    return tmp_path_factory.mktemp("screenshots")


def _note(complaints: list[str], kind: str, text: str) -> None:
    # A page of ours with status 4xx or 5xx is what some tests are about; the browser reports it as an error.
    if kind in ("error", "warning") and "Failed to load resource" not in text:
        complaints.append(text)
