"""What a newcomer watches: a token renewed by the schedule, a store disconnected at the provider and back.

Both take up to a minute, because the schedule fires once in that time and one 401 proves nothing. So they
run side by side, and beside them a service reads tokens all the while.
"""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from local.simulators.yotpo import STORES
from mooring.core.upkeep import Key
from tests.browser.clicks import connect, decide, go_to_consent, open_demo
from tests.e2e.running import RunningStack
from tests.e2e.service import Service
from tests.e2e.upkeep import Upkeep, hint, wait_for

EUROPE, OUTLET = list(STORES)[1:3]
LIFETIME_SECONDS = 200
"""Long enough for the schedule to care: shorter ones are left to readers."""
UNINSTALLED_SECONDS = 90
SCHEDULE_SECONDS = 75


@dataclass
class Reader:
    """A service that asks for a token twice a second, and tries each at the provider's API."""

    service: Service
    stack: RunningStack
    key: Key
    versions: list[int] = field(default_factory=list)
    wrong: list[object] = field(default_factory=list)

    def run(self, stopping: threading.Event) -> None:
        """Read until told to stop."""
        simulator = self.stack.simulator(self.key.provider)
        while not stopping.wait(0.5):
            answer = self.service.token(self.key)
            given = answer.json()
            if not answer.ok or "warning" in given:
                self.wrong.append(given)
            elif not simulator.accepts(self.key.account_id, given["access_token"]):
                self.wrong.append((given["version"], given["expires_at"], time.time()))
            else:
                self.versions.append(given["version"])


@pytest.fixture
def service(stack: RunningStack) -> Service:
    """A service of the product."""
    return Service(stack)


@pytest.fixture
def reading() -> Iterator[threading.Event]:
    """Set when the readers shall stop."""
    stopping = threading.Event()
    yield stopping
    stopping.set()


def connect_store(page: Page, stack: RunningStack, store: str) -> None:
    """Connect one of the Yotpo stores from the demo's page."""
    go_to_consent(page, stack, "yotpo")
    page.select_option("select[name=app_key]", store)
    decide(page, stack)
    expect(page.locator(".banner.good")).to_contain_text("Yotpo is connected.")


@pytest.mark.timeout(240)
def test_renewed_by_itself_and_disconnected_there(
    page: Page, stack: RunningStack, service: Service, reading: threading.Event, screenshots: Path
) -> None:
    merchant = open_demo(page, stack)
    whatconverts, yotpo = stack.simulator("whatconverts"), stack.simulator("yotpo")
    with whatconverts.behaving(access_token_seconds=LIFETIME_SECONDS):
        connect(page, stack, "whatconverts")
    for store in (EUROPE, OUTLET):
        connect_store(page, stack, store)
    renewed = Upkeep(stack, Key(merchant, "whatconverts", "default"))
    living, gone = (Upkeep(stack, Key(merchant, "yotpo", store)) for store in (EUROPE, OUTLET))
    readers = [Reader(service, stack, one.key) for one in (renewed, living)]
    threads = [threading.Thread(target=reader.run, args=(reading,)) for reader in readers]
    for thread in threads:
        thread.start()
    # It would fall due two minutes from now: that much is taken out of the row, and nobody asks for more.
    row = renewed.row()
    assert row["connected_at"] + 100 < row["due_at"] < row["expires_at"] - LIFETIME_SECONDS // 3 + 1
    renewed.fall_due()

    admin = page.context.new_page()
    admin.goto(yotpo.base_url)
    started = time.monotonic()
    admin.locator(f"[data-account='{OUTLET}']").get_by_role("button", name="Disconnect").click()
    page.bring_to_front()
    expect(row_of(page, gone).locator(".state")).to_have_text(
        "Uninstalled", timeout=UNINSTALLED_SECONDS * 1000
    )
    assert time.monotonic() - started < UNINSTALLED_SECONDS
    expect(row_of(page, living).locator(".state")).to_have_text("Active")
    version = row_of(page, renewed).locator("[data-label=Version]")
    expect(version).to_have_text("2", timeout=SCHEDULE_SECONDS * 1000)
    page.screenshot(path=screenshots / "uninstalled.png")
    assert not {"access", "access_key", "due_at"} & gone.row().keys()
    assert service.token(gone.key).json()["reason"] == "connection_not_active"

    reconnect(page, stack, gone)
    old_notices_change_nothing(stack, gone, living)
    reading.set()
    for thread in threads:
        thread.join()
    assert [reader.wrong for reader in readers] == [[], []]
    assert (readers[0].versions[0], readers[0].versions[-1]) == (1, 2)
    assert set(readers[1].versions) == {1}
    line = renewed.line("refreshed")
    assert re.fullmatch(r"[0-9a-f-]{36}", line["request_id"]), "it came by the queue"


def row_of(page: Page, one: Upkeep) -> Locator:
    """Its row on the demo's page."""
    return page.locator(f"tr[data-connection='{one.key.provider}#{one.key.account_id}']")


def reconnect(page: Page, stack: RunningStack, gone: Upkeep) -> None:
    """Connect the store again, which works at once."""
    row_of(page, gone).get_by_role("button", name="Connect again").click()
    page.wait_for_url(f"{stack.simulator('yotpo').base_url}/**")
    page.select_option("select[name=app_key]", gone.key.account_id)
    decide(page, stack)
    expect(page.locator(".banner.good")).to_contain_text("Yotpo is connected.")
    expect(row_of(page, gone).locator("[data-label=Generation]")).to_have_text("2")
    assert gone.status == "active"


def old_notices_change_nothing(stack: RunningStack, back: Upkeep, living: Upkeep) -> None:
    """The old notice again, and a forged one: each has the provider asked, which takes both tokens."""
    yotpo = stack.simulator("yotpo")
    notice = [one for one in yotpo.notices() if one["account"] == back.key.account_id][-1]
    before = back.row(), living.row()
    seen = [len(one.lines(outcome="probed")) for one in (back, living)]
    assert yotpo.redeliver(notice["message_id"]) == 200
    assert hint(stack, living.key.account_id).status_code == 200

    def asked() -> bool:
        now = [len(one.lines(outcome="probed")) for one in (back, living)]
        return all(one > known for one, known in zip(now, seen, strict=True))

    wait_for(asked, "both probes")
    for one, row in zip((back, living), before, strict=True):
        now = one.row()
        assert "reason" not in one.lines(outcome="probed")[-1]
        # That it was asked is noted, and when it will be asked next; every write ends what is to be told.
        noted = {"probed_at", "due_at", "unauthorized_count", "announce"}
        assert {name: value for name, value in now.items() if name not in noted} == {
            name: value for name, value in row.items() if name not in noted
        }
        assert now["status"] == "active"
