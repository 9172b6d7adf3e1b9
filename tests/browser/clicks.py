"""What a merchant does on the demo product's page and at the providers."""

import secrets

from playwright.sync_api import Page, expect

from tests.e2e.running import RunningStack

NAMES = {
    "notifyvisitors": "NotifyVisitors",
    "yotpo": "Yotpo",
    "xeno": "Xeno",
    "whatconverts": "WhatConverts",
}


def open_demo(page: Page, stack: RunningStack, merchant: str | None = None) -> str:
    """Open the demo product as a merchant, a fresh one by default; returns the merchant's id."""
    merchant = merchant or f"m-{secrets.token_hex(6)}"
    page.goto(f"{stack.demo_url}/?merchant={merchant}")
    return merchant


def go_to_consent(page: Page, stack: RunningStack, provider: str) -> None:
    """Click Connect on the demo page; ends on the provider's consent page."""
    page.click(f"#connect-{provider}")
    page.wait_for_url(f"{stack.info['providers'][provider]}/**")


def decide(page: Page, stack: RunningStack, decision: str = "approve") -> None:
    """Answer the consent page; ends back at the demo product."""
    page.click(f"button[name=decision][value={decision}]")
    page.wait_for_url(f"{stack.demo_url}/**")


def connect(page: Page, stack: RunningStack, provider: str) -> None:
    """The whole story from the demo page and back to it."""
    go_to_consent(page, stack, provider)
    decide(page, stack)
    expect(page.locator(".banner.good")).to_contain_text(f"{NAMES[provider]} is connected.")
