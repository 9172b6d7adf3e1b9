"""Uninstall notices of the simulated Yotpo: what they say, how often they come, what can be done to them."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from local.simulators.notices import LONGEST_PAUSE_SECONDS, TRIES, pauses
from local.simulators.yotpo import STORES, TOPIC
from tests.simulators.drive import CLIENT_ID, Driver, Start
from tests.simulators.receiver import Received, Receiver, wait_until

FIRST, SECOND, *_ = STORES


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes notices."""
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture
def yotpo(start: Start, receiver: Receiver) -> Driver:
    """A simulated Yotpo that tells the receiver, with the first store connected."""
    driver = start("yotpo", deliver_to=receiver.base_url)
    driver.connect(app_key=FIRST)
    return driver


def disconnect(driver: Driver, account: str = FIRST) -> None:
    assert driver.post("/admin/disconnect", {"account": account}).status_code == 303


def kinds(driver: Driver) -> list[tuple[str, int | None]]:
    return [(one["kind"], one["status"]) for one in driver.get("/_sim/deliveries").json()]


def test_a_disconnect_ends_the_token_at_once_and_is_told_twice(yotpo: Driver, receiver: Receiver) -> None:
    other = yotpo.connect(app_key=SECOND)["access_token"]
    token = next(one["access_token"] for one in yotpo.live_tokens() if one["account"] == FIRST)
    disconnect(yotpo)
    assert yotpo.get(f"/v2/{FIRST}/info", **{"X-Yotpo-Token": token}).status_code == 401
    assert yotpo.get(f"/v2/{SECOND}/info", **{"X-Yotpo-Token": other}).status_code == 200
    wait_until(lambda: len(kinds(yotpo)) == 2)
    assert kinds(yotpo) == [("first", 200), ("duplicate", 200)]
    assert len(receiver.received) == 2
    assert same_bytes(receiver.received)


def same_bytes(received: list[Received]) -> bool:
    return all(one == other for one, other in pairwise(received))


def test_a_notice_has_the_documented_headers_and_names_the_store(yotpo: Driver, receiver: Receiver) -> None:
    disconnect(yotpo)
    wait_until(lambda: bool(receiver.received))
    path, headers, body = receiver.received[0]
    assert path == "/uninstall/yotpo"
    assert headers["content-type"] == "application/json"
    assert headers["x-yotpo-webhooks-event-type"] == TOPIC
    assert headers["x-yotpo-webhooks-tenant-type"] == "application"
    assert headers["x-yotpo-webhooks-tenant-id"] == CLIENT_ID
    assert headers["webhookmessageid"] != headers["webhookmessageidpertarget"]
    assert json.loads(body) == {"app_key": FIRST, "application_id": CLIENT_ID}
    (shown,) = yotpo.get("/_sim/notices").json()
    assert (shown["message_id"], shown["account"]) == (headers["webhookmessageid"], FIRST)
    assert shown["body"].encode() == body


def test_it_tries_again_until_2xx_and_each_try_is_the_same(yotpo: Driver, receiver: Receiver) -> None:
    receiver.statuses = [503, 301, 204]
    disconnect(yotpo)
    wait_until(lambda: len(kinds(yotpo)) == 4)
    assert kinds(yotpo) == [("first", 503), ("retry", 301), ("retry", 204), ("duplicate", 200)]
    assert same_bytes(receiver.received)
    assert yotpo.get("/_sim/notices").json()[0]["state"] == "delivered"


def test_nobody_listening_counts_as_a_failed_try(start: Start) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        driver = start("yotpo", deliver_to=f"http://127.0.0.1:{unused.getsockname()[1]}")
        driver.connect()
        disconnect(driver)
        wait_until(lambda: len(kinds(driver)) == 2)
    assert kinds(driver) == [("first", None), ("retry", None)]
    assert driver.get("/_sim/notices").json()[0]["state"] == "on its way"


def test_pauses_grow_and_end() -> None:
    waits = list(pauses())
    assert len(waits) == TRIES
    assert waits[:3] == [0, 0.5, 1]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_PAUSE_SECONDS


def test_an_old_notice_is_sent_again_byte_for_byte(yotpo: Driver, receiver: Receiver) -> None:
    disconnect(yotpo)
    wait_until(lambda: len(receiver.received) == 2)
    yotpo.connect(app_key=FIRST)
    (notice,) = yotpo.get("/_sim/notices").json()
    receiver.statuses = [409]
    answer = yotpo.post("/_sim/redeliver", {"message_id": notice["message_id"]}, "json")
    assert answer.json() == {"ok": True, "status": 409}
    assert len(receiver.received) == 3
    assert same_bytes(receiver.received)
    assert kinds(yotpo)[-1] == ("redelivery", 409)
    assert yotpo.live_tokens()[0]["account"] == FIRST


def test_an_unknown_notice_cannot_be_sent_again(yotpo: Driver) -> None:
    assert yotpo.post("/_sim/redeliver", {"message_id": "none"}, "json").status_code == 400


def test_held_notices_wait_and_then_go(yotpo: Driver, receiver: Receiver) -> None:
    yotpo.post("/_sim/hold", {"held": True}, "json")
    disconnect(yotpo)
    time.sleep(0.3)
    assert receiver.received == []
    yotpo.post("/_sim/hold", {"held": False}, "json")
    wait_until(lambda: len(receiver.received) == 2)


def test_two_disconnects_are_two_notices(yotpo: Driver, receiver: Receiver) -> None:
    disconnect(yotpo)
    yotpo.connect(app_key=FIRST)
    disconnect(yotpo)
    wait_until(lambda: len(receiver.received) == 4)
    assert len({one.headers["webhookmessageid"] for one in receiver.received}) == 2


def test_the_control_does_what_the_button_does(yotpo: Driver, receiver: Receiver) -> None:
    answer = yotpo.post("/_sim/disconnect", {"account": FIRST}, "json").json()
    assert yotpo.live_tokens() == []
    wait_until(lambda: bool(receiver.received))
    assert receiver.received[0].headers["webhookmessageid"] == answer["message_id"]


def test_a_revoked_token_is_dead_and_nobody_is_told(yotpo: Driver, receiver: Receiver) -> None:
    answer = yotpo.post("/_sim/revoke", {"account": FIRST}, "json")
    assert answer.json() == {"ok": True, "access_tokens": 1, "families": 0}
    assert yotpo.live_tokens() == []
    time.sleep(0.3)
    assert receiver.received == []


def test_reset_takes_notices_back(yotpo: Driver, receiver: Receiver) -> None:
    receiver.statuses = [500, 500]
    disconnect(yotpo)
    wait_until(lambda: len(receiver.received) == 1)
    yotpo.post("/_sim/reset", {})
    time.sleep(0.8)
    assert len(receiver.received) == 1
    assert yotpo.get("/_sim/deliveries").json() == yotpo.get("/_sim/notices").json() == []


def test_stopping_the_simulator_ends_its_deliveries(start: Start, receiver: Receiver) -> None:
    receiver.statuses = [500] * TRIES
    driver = start("yotpo", deliver_to=receiver.base_url)
    driver.connect()
    disconnect(driver)
    wait_until(lambda: bool(receiver.received))
    began = time.monotonic()
    driver.simulator.stop()
    assert time.monotonic() - began < 2
    assert "notice" not in {thread.name for thread in threading.enumerate()}


def test_without_an_address_the_notice_is_only_remembered(start: Start) -> None:
    driver = start("yotpo")
    driver.connect()
    disconnect(driver)
    wait_until(lambda: driver.get("/_sim/notices").json()[0]["state"] == "nobody to tell")
    assert driver.get("/_sim/deliveries").json() == []
