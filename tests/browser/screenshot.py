"""Draws docs/images/demo.png: the demo product's page with all four providers connected, and their events.

    python -m tests.browser.screenshot [FILE]

Starts a stack of its own on free ports (needs Chromium: apt-get install chromium), connects every
provider by clicking, and takes the picture. Run it again when the page has changed.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from local.console import Console
from local.settings import Options
from local.stack import Stack
from tests.e2e.running import PROVIDERS
from tests.support import CHROMIUM, ROOT

TARGET = ROOT / "docs/images/demo.png"
WIDTH, HEIGHT = 1280, 900


def draw(page: Page, demo_url: str, target: Path) -> None:
    """Connect everything and take the picture."""
    page.goto(demo_url)
    for provider in PROVIDERS:
        page.click(f"#connect-{provider}")
        page.click("button[value=approve]")
        page.wait_for_url(f"{demo_url}/**")
    expect(page.locator("tr[data-connection]")).to_have_count(len(PROVIDERS))
    page.get_by_role("link", name="Dismiss").click()
    expect(page.locator("tr[data-connection]")).to_have_count(len(PROVIDERS))
    expect(page.locator("[data-event]")).to_have_count(len(PROVIDERS), timeout=60_000)
    bottom = page.locator("section[aria-labelledby=events]").bounding_box()
    assert bottom is not None
    page.set_viewport_size({"width": WIDTH, "height": int(bottom["y"] + bottom["height"]) + 24})
    page.screenshot(path=target)


def main(target: Path) -> int:
    """Write the picture; 0."""
    path = next((found for found in map(shutil.which, CHROMIUM) if found), None)
    if path is None:
        print("there is no Chromium on this machine; install it: apt-get install chromium", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Options(stack_dir=Path(folder), port=0), Console(io.StringIO())) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        draw(page, stack.info["demo_url"], target)
        browser.close()
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET))
