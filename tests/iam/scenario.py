"""Every path on which a function calls AWS, driven once through the real stack.

Hours are not waited for: times in rows are set back. The half minute between two probes is waited for, while
everything else happens.
"""

import json
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local.simulators.yotpo import STORES
from mooring.adapters.recovery_queue import AGAIN_SECONDS
from mooring.adapters.work_messages import message
from mooring.core.upkeep import Key, Search
from tests.e2e.running import FIFTH, PROVIDERS, WHOLE_GRANTS, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep, sweep, wait_for
from tests.e2e.visitor import Page

UPDATE = "DynamoDB_20120810.UpdateItem"
STORE = "DynamoDB_20120810.TransactWriteItems"
LOOK = "DynamoDB_20120810.BatchGetItem"
HURRY = "AmazonSQS.ChangeMessageVisibility"
#: A hint about a store asks after all who ever connected it; hardly anybody connects the last one.
OUTLET = list(STORES)[-1]
PROBED_TWICE_SECONDS = 60
REVOKED_SECONDS = 60


class Scenario:
    """One run of everything.

    Args:
        stack: the running stack.
        seen: every answer that any browser gets is appended here.
    """

    def __init__(self, stack: RunningStack, seen: list[Page]) -> None:
        self._stack = stack
        self._seen = seen
        self._service = Service(stack)

    def run(self) -> None:
        """Drive every path; each checks that it was the one it is named after.

        Sweeps happen only where a path asks for one: another would work on a row whose times were set back.
        """
        with self._stack.paused("schedules/sweep"):
            hinted = self._hint()
            self._connect_everywhere()
            self._keep_a_token_set()
            self._wait_for_confirmation()
            self._store_later(confirm=False)
            self._store_later(confirm=True)
            self._events()
            self._refresh_until_it_is_lost()
            self._open_and_close_a_circuit()
            self._probe_and_report()
            self._disconnect()
            self._revoke()
            self._throw_away()
            self._tell_what_nobody_understands()
            wait_for(lambda: hinted.status == "uninstalled", "the hint's second probe", PROBED_TWICE_SECONDS)

    def _refresh_until_it_is_lost(self) -> None:
        up = self._connected("whatconverts")
        self._refresh_in_every_way(up)
        self._look_at_circuits(up)
        self._put_off_and_store_later(up)
        self._lose(up)

    def _merchant(self) -> Merchant:
        return Merchant(self._stack, self._seen)

    def _connected(self, provider: str, store: str | None = None) -> Upkeep:
        """A new merchant's connection."""
        page = (merchant := self._merchant()).connect(provider, store=store)
        return Upkeep.of(merchant, provider, page.query["connection"][0].partition("#")[2])

    def _hint(self) -> Upkeep:
        """A webhook that proves nothing, and is true."""
        up = self._connected("yotpo", OUTLET)
        self._stack.simulator("yotpo").disconnect(OUTLET)
        wait_for(lambda: "probed_at" in up.row(), "the hint's first probe")
        return up

    def _connect_everywhere(self) -> None:
        for provider in (*PROVIDERS, FIFTH, "acme"):
            up = self._connected(provider)
            (listed,) = self._service.list(up.key.merchant_id)
            assert listed["provider"] == provider
            query = f"provider={provider}&status=active&limit=1"
            assert self._service.page(up.key.merchant_id, query).json()["connections"] == [listed]
            assert self._service.one(up.key).json() == listed
            assert self._service.token(up.key).ok

    def _keep_a_token_set(self) -> None:
        """The account cannot be learnt at once; a reload opens what was kept."""
        back = (merchant := self._merchant()).decide("xeno")
        self._stack.simulator("xeno").misbehave("http_503", "api")
        assert merchant.browser.follow(back).status == 503
        assert merchant.browser.follow(back).query["status"] == ["connected"]

    def _wait_for_confirmation(self) -> None:
        back = (merchant := self._merchant()).decide("whatconverts", confirm=True)
        assert merchant.browser.follow(back).query["status"] == ["pending_confirmation"]

    def _store_later(self, *, confirm: bool) -> None:
        """The table takes nothing; the recovery queue's worker stores it."""
        back = (merchant := self._merchant()).decide("xeno", confirm=confirm)
        with self._stack.failing(STORE, function="callback"):
            assert merchant.browser.follow(back).status == 202
        wait_for(merchant.rows, "the recovered exchange")
        wait_for(lambda: self._flow_ended(merchant), "the end of its flow")

    def _flow_ended(self, merchant: Merchant) -> bool:
        (flow,) = [row for row in self._stack.rows("flows") if f"#{merchant.name}#" in row["pk"]["S"]]
        (burned,) = [value["M"] for name, value in flow.items() if name.startswith("s_")]
        return bool(burned["status"]["S"] == "done")

    def _events(self) -> None:
        """Webhooks that prove themselves: of an account that we know, and of one that we do not yet."""
        fifth = self._stack.fifth
        shops = [f"shop-{secrets.token_hex(4)}" for _ in range(3)]
        known, later = (self._connected(FIFTH, shop) for shop in shops[:2])
        time.sleep(1.1)  # an event must be later than the connection, by the second
        assert fifth.send(fifth.event(shops[0])) == 200
        assert known.status == "uninstalled"
        assert fifth.send(fifth.event(shops[2])) == 200
        # What this left on the queue comes after a minute; the same for another shop comes now.
        self._put(message(Search(FIFTH, shops[1], int(time.time()))))
        wait_for(lambda: later.status == "uninstalled", "the second look at an unknown account")

    def _put(self, body: str) -> None:
        self._stack.aws("sqs").send_message(QueueUrl=self._stack.info["queues"]["refresh"], MessageBody=body)

    def _refresh_in_every_way(self, up: Upkeep) -> None:
        """By schedule, by a read, by a report, and because somebody asks."""
        up.fall_due()
        assert sweep(self._stack)["enqueued"] >= 1
        wait_for(lambda: up.version == 2, "a refresh by schedule")
        up.set(expires_at=int(time.time()) - 1, issued_at=int(time.time()) - 3_600)
        token = self._service.token(up.key).json()
        assert token["version"] == 3
        up.pass_time(120)
        assert self._service.report(up.key, token).ok
        assert self._service.refresh(up.key).ok
        assert up.version == 5

    def _look_at_circuits(self, up: Upkeep) -> None:
        """A process that has met a failure looks at circuits before it calls again, unless somebody asks."""
        simulator = self._stack.simulator(up.key.provider)

        def looked() -> bool:
            simulator.misbehave("http_503")
            assert not self._service.refresh(up.key).ok
            up.pass_time(3_600)
            up.set(expires_at=int(time.time()) - 1)
            before = up.version
            assert self._service.token(up.key).json()["version"] == before + 1
            return self._stack.calls("refresh")[LOOK] > 0

        # Another process than the one that failed need not look: then once more.
        with self._stack.paused("queues/refresh"):
            wait_for(looked, "a look at circuits")

    def _put_off_and_store_later(self, up: Upkeep) -> None:
        """The provider fails; then the table, once it has answered, and again at the first recovery."""
        simulator, before = self._stack.simulator(up.key.provider), up.version
        simulator.misbehave("http_503")
        assert not self._service.refresh(up.key).ok
        assert "retry_at" in up.row()
        up.pass_time(3_600)
        # The faults are for this connection: no message about another one may meet them.
        with self._stack.paused("queues/refresh"), ThreadPoolExecutor(1) as pool:
            with simulator.behaving(delay_before_seconds=1.5):
                asked = pool.submit(self._service.refresh, up.key)
                wait_for(lambda: "lease_owner" in up.row(), "the lease")
                # Of the store, of the circuit that whoever was asked closes, and of the first recovery.
                with self._stack.failing(UPDATE, function="refresh", times=3):
                    assert asked.result().json()["reason"] == "store_delayed"
                    wait_for(lambda: self._stack.calls("refresh")[HURRY], "the recovery that failed")
            wait_for(lambda: up.version == before + 1, "the recovered refresh", 2 * AGAIN_SECONDS)

    def _lose(self, up: Upkeep) -> None:
        self._stack.simulator(up.key.provider).revoke(
            token=self._service.token(up.key).json()["access_token"]
        )
        answer = self._service.refresh(up.key)
        assert not answer.ok
        assert up.status == "needs_reconnect", (answer.text, up.lines()[-3:])

    def _open_and_close_a_circuit(self) -> None:
        """Our client secret is refused; a trial finds that it is taken again."""
        up, simulator = self._connected(FIFTH), self._stack.simulator(FIFTH)
        # No message about another connection may meet the refusal.
        with self._stack.paused("queues/refresh"):
            # Twice: a process that remembers another secret from earlier tests asks again with this one.
            simulator.misbehave("invalid_client", times=2)
            assert not self._service.refresh(up.key).ok
            simulator.misbehave("invalid_client", times=0)
        assert self._circuit_is_open()
        up.pass_time(3_600)
        up.fall_due()
        assert FIFTH in sweep(self._stack)["open_circuits"]
        wait_for(lambda: not self._circuit_is_open(), "the end of a circuit")

    def _circuit_is_open(self) -> bool:
        """One that was closed lately stays for an hour, with the time."""
        rows = [row for row in self._stack.rows("flows") if row["pk"]["S"] == f"circuit#{FIFTH}"]
        return any("closed_at" not in row for row in rows)

    def _probe_and_report(self) -> None:
        """Where there is nothing to refresh: a probe by schedule, and reports that end in one."""
        up = self._connected("xeno")
        up.fall_due()
        sweep(self._stack)
        wait_for(lambda: "probed_at" in up.row(), "a probe by schedule")
        token: dict[str, Any] = self._service.token(up.key).json()
        for _ in range(3):
            assert self._service.report(up.key, token).ok
            up.pass_time(120)

    def _disconnect(self) -> None:
        up = self._connected("whatconverts")
        assert self._service.disconnect(up.key).json() == {"status": "disconnected"}
        assert self._service.disconnect(Key(up.key.merchant_id, "xeno", "nobody")).status_code == 404

    def _revoke(self) -> None:
        """Either token, a provider that does not answer, and one that ends whole grants."""
        simulator = self._stack.simulator(FIFTH)
        with simulator.behaving(revokes="nothing"):
            assert self._cut_off(self._connected(FIFTH)) == "unsupported"
        assert self._cut_off(self._connected(WHOLE_GRANTS)) == "revoked"
        up = self._connected(FIFTH)
        simulator.misbehave("http_503", "revoke")
        assert self._service.disconnect(up.key).ok
        wait_for(lambda: up.lines("revoke", outcome="failed"), "a revocation that failed", REVOKED_SECONDS)
        wait_for(lambda: self._stack.calls("revoke")[HURRY], "that it comes again later")

    def _cut_off(self, up: Upkeep) -> str:
        """Disconnect; what became of the tokens."""
        assert self._service.disconnect(up.key).ok
        return str(wait_for(lambda: up.row().get("revocation"), "a revocation", REVOKED_SECONDS))

    def _throw_away(self) -> None:
        """Tokens that nobody stores: of another account, and of what was cut off meanwhile."""
        shop = f"shop-{secrets.token_hex(4)}"
        back = (merchant := self._merchant()).decide(FIFTH, store=shop, account_id=f"not-{shop}")
        assert merchant.browser.follow(back).status == 403
        up = self._connected("whatconverts")
        with (
            ThreadPoolExecutor(1) as pool,
            self._stack.simulator("whatconverts").behaving(delay_after_seconds=6),
        ):
            asked = pool.submit(self._service.refresh, up.key)
            wait_for(lambda: "lease_owner" in up.row(), "the lease")
            assert self._service.disconnect(up.key).ok
            assert asked.result().json()["reason"] == "connection_not_active"
        other = Upkeep(self._stack, Key(merchant.name, FIFTH, shop))
        wait_for(lambda: other.lines("revoke"), "the other account's tokens", REVOKED_SECONDS)
        wait_for(lambda: len(up.lines("revoke")) == 2, "what a refresh brought too late", REVOKED_SECONDS)

    def _tell_what_nobody_understands(self) -> None:
        """A word of a later release in a row: the change is set aside, whole, in the bucket."""
        aws, table = self._stack.aws("dynamodb"), self._stack.info["tables"]["connections"]
        row = {"merchant_id": {"S": f"m-{secrets.token_hex(6)}"}, "connection": {"S": "xeno#a"}}
        before = len(self._undelivered())
        aws.put_item(TableName=table, Item={**row, "announce": {"S": "of-tomorrow"}})
        wait_for(lambda: len(self._undelivered()) > before, "the change in the bucket", PROBED_TWICE_SECONDS)
        aws.delete_item(TableName=table, Key=row)

    def _undelivered(self) -> list[Any]:
        (bucket,) = self._stack.info["buckets"]
        found: list[Any] = self._stack.aws("s3").list_objects_v2(Bucket=bucket).get("Contents", [])
        return found


def recorded(stack: RunningStack) -> list[dict[str, Any]]:
    """Every call that any function made since the stack started; the same ones once, with `times`.

    Lambda's own polls of queues are not among them: what feeds a function says the template.
    """
    calls: list[dict[str, Any]] = stack.control("GET", "requests")
    own = [json.dumps(call, sort_keys=True) for call in calls if call["caller"] and not call["polled"]]
    return [{**json.loads(call), "times": times} for call, times in Counter(own).items()]
