"""`mooring forget`: nothing of a merchant is left in either table, and nothing of anybody else is touched."""

import json
import time
from typing import Any

import pytest

from mooring.adapters import ending_transitions
from mooring.adapters.revocation_queue import parse
from mooring.core.errors import Reason
from mooring.core.upkeep import Key
from mooring_cli.traces import Eraser, Trace, Traces
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Answer, Command
from tests.cli.stack_on_sockets import FakeStack
from tests.cli.vault import NOW, PROVIDER, Vault

ACTIVE = "active"


class Disconnects(dict[str, Any]):
    """The API's answers, where asking for a DELETE does to the row what the function does.

    `revocation` is what the row says then of the revocation at the provider; nothing by default.
    """

    def __init__(self, vault: Vault) -> None:
        super().__init__()
        self._vault = vault
        self.revocation: str | None = None
        self.refusing: tuple[int, Any] | None = None

    def get(self, asked: str, default: Any = None) -> Any:
        if not asked.startswith("DELETE "):
            return super().get(asked, default)
        if self.refusing:
            return self.refusing
        _, _, merchant, _, provider, account = asked.split("/")
        key = Key(merchant, provider, account)
        update = ending_transitions.disconnected(self._vault.connections, key, int(time.time()))
        self._vault.client.update_item(**update.parameters())
        if self.revocation:
            self._vault.change(key, revocation=self.revocation)
        return 200, {"status": "disconnected"}


class World:
    """A local stack with sealed connections, and the command."""

    def __init__(self, mooring: Command, local: FakeAws, stack: FakeStack) -> None:
        self.mooring = mooring
        self.vault = Vault(local, "local")
        self.stack = stack
        self.api = Disconnects(self.vault)
        stack.answers = self.api
        if "revoke" not in local.queues:
            sqs = local.client("sqs")
            local.queues["revoke"] = sqs.create_queue(QueueName=local.table("revoke"))["QueueUrl"]
            stack.queues = local.queues
            stack.write()

    def forget(self, *more: str, merchant: str = "m-1") -> Answer:
        return self.mooring("forget", merchant, "--yes", "--wait", "0", *more)

    def left(self) -> list[str]:
        """The keys of all rows."""
        rows = self.vault.rows(self.vault.connections)
        keys = [f"{row['merchant_id']['S']} {row['connection']['S']}" for row in rows]
        return sorted(keys + [row["pk"]["S"] for row in self.vault.rows(self.vault.flows)])

    def revocations(self) -> list[Any]:
        """What was queued for revocation."""
        sqs, url = self.vault.aws.client("sqs"), self.vault.aws.queues["revoke"]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        return [parse(message["Body"]) for message in found]


@pytest.fixture
def world(mooring: Command, local: FakeAws, stack: FakeStack) -> World:
    return World(mooring, local, stack)


def test_every_row_goes_and_nobody_elses(world: World) -> None:
    vault = world.vault
    vault.connect("m-1")
    vault.connect("m-1", "shop-2", refresh=False)
    vault.connect("m-1", pending="c-1")
    vault.burn("m-1", NOW)
    vault.keep("m-1")
    # Names that begin alike, the same account, a confirmation of somebody else's.
    for other in ("m-10", "m-", "M-1"):
        vault.connect(other)
        vault.connect(other, pending=f"c-{other}")
        vault.burn(other, NOW)
    others = [key for key in world.left() if not of(key, "m-1") and key != "confirmation#c-1"]
    assert len(others) == len(world.left()) - 8
    answer = world.forget()
    assert answer.code == 0
    assert answer.out == (
        "Erased of m-1: 2 connections, 1 unconfirmed connection, 2 pointers, 2 links, 1 confirmation.\n"
        "2 connections disconnected first.\n"
        "Revoking at providers: 1 queued, of unconfirmed ones, 2 not known yet.\n"
        "Both tables were read once more: no row is left.\n"
    )
    assert answer.err.startswith("What is not in the tables stays for its time: backups of them for 35 days")
    assert world.left() == others
    assert "canary" not in answer.out + answer.err


def of(key: str, merchant: str) -> bool:
    return key.startswith((f"{merchant} ", f"link#{merchant}#")) or (
        key.startswith("@account#") and key.endswith(f" {merchant}")
    )


def test_what_lives_is_disconnected_before_it_goes(world: World) -> None:
    world.vault.connect("m-1")
    ended = world.vault.connect("m-1", "shop-2")
    update = ending_transitions.uninstalled(world.vault.connections, ended, NOW + 1, NOW + 2)
    world.vault.client.update_item(**update.parameters())
    given_up = world.vault.connect("m-1", "shop-3")
    world.vault.change(given_up, status="needs_reconnect")
    world.api.revocation = "revoked"
    answer = world.forget("--json")
    told = json.loads(answer.out)
    assert (told["disconnected"], told["revocations"]) == (2, {"revoked": 2})
    assert told["erased"] == {
        "connections": 3,
        "waiting": 0,
        "pointers": 3,
        "links": 0,
        "confirmations": 0,
    }
    assert set(told["left"].values()) == {0}
    asked = [path for path in world.stack.asked if path.startswith("DELETE")]
    assert asked == [f"DELETE /merchants/m-1/connections/{PROVIDER}/shop-{n}" for n in (1, 3)]


def test_unconfirmed_tokens_are_queued_for_revocation(world: World) -> None:
    world.vault.connect("m-1", pending="c-1")
    assert world.forget().code == 0
    (queued,) = world.revocations()
    assert (queued.key, queued.generation) == (Key("m-1", PROVIDER, "shop-1"), 0)
    opened = world.vault.sealer.open(queued.refresh, "m-1", PROVIDER, "shop-1", "refresh")
    assert opened == "canary-refresh-m-1-shop-1-1"
    assert queued.details == (("app_key", "k-1"),)


def test_nothing_there(world: World) -> None:
    answer = world.forget()
    assert (answer.code, answer.out) == (
        0,
        "Erased of m-1: nothing.\nBoth tables were read once more: no row is left.\n",
    )


def test_it_goes_on_where_it_was_broken_off(world: World) -> None:
    world.vault.connect("m-1")
    world.vault.burn("m-1", NOW)
    world.api.refusing = (503, {"title": "Busy", "reason": "storage_unavailable"})
    broken = world.forget()
    assert (broken.code, broken.out) == (1, "")
    assert broken.err.endswith("It is not finished. Go on: mooring forget m-1\n")
    assert len(world.left()) == 3
    world.api.refusing = None
    assert world.forget().code == 0
    assert world.left() == []


def test_a_pointer_that_was_left_over_goes_too(world: World) -> None:
    key = world.vault.connect("m-1")
    where = {"merchant_id": {"S": "m-1"}, "connection": {"S": f"{PROVIDER}#{key.account_id}"}}
    world.vault.client.delete_item(TableName=world.vault.connections, Key=where)
    assert world.forget().out.startswith("Erased of m-1: 1 pointer.\n")
    assert world.left() == []


def test_a_flow_that_may_be_under_way_stays_and_is_told(world: World) -> None:
    link = world.vault.burn("m-1", int(time.time()))
    answer = world.forget()
    assert (answer.code, answer.out) == (1, "Erased of m-1: nothing.\nStill there: 1 link.\n")
    assert answer.err.startswith("A flow of this merchant came back within the last 60 s, and may be under")
    assert world.left() == [link]


def test_what_waits_in_the_recovery_queue_is_told(world: World) -> None:
    world.vault.aws.send("recovery")
    answer = world.forget()
    assert answer.code == 0
    assert answer.err.startswith("1 message in the recovery queue and its dead letters: one of this merchant")


def test_a_revocation_that_failed_is_told(world: World) -> None:
    world.vault.connect("m-1")
    world.api.revocation = "failed"
    answer = world.forget()
    assert "Revoking at providers: 1 failed.\n" in answer.out
    assert answer.err.startswith("1 connection could not be revoked at the provider.")


def test_what_connects_again_meanwhile_is_never_erased_alive(world: World) -> None:
    key = world.vault.connect("m-1")
    eraser = Eraser(_stage(world), "m-1")
    found = eraser.find("Looking")
    assert found.connections == (Trace(f"{PROVIDER}#shop-1", ACTIVE),)
    eraser.erase(found, int(time.time()))
    assert world.vault.row(key)["status"]["S"] == ACTIVE
    assert len(world.left()) == 2
    only = Traces((), (), found.pointers, ())
    eraser.erase(only, int(time.time()))
    assert len(world.left()) == 2


def _stage(world: World) -> Any:
    from mooring_cli.stack import find_stack
    from mooring_cli.stage import local_stage

    return local_stage(find_stack(world.stack.stack_dir, world.stack.stack_dir))


def test_whoever_connects_all_the_time_is_told(world: World) -> None:
    """A DELETE that changes nothing, as if the merchant had connected again each time."""
    world.vault.connect("m-1")
    world.api.refusing = (200, {"status": "disconnected"})
    answer = world.forget()
    assert answer.code == 1
    assert "Still there: 1 connection, 1 pointer.\n" in answer.out
    assert answer.err.startswith("The merchant connects again this moment. Stop signing links for it")


def test_nobody_can_be_asked(world: World) -> None:
    world.vault.connect("m-1")
    answer = world.mooring("forget", "m-1")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Nobody can be asked here.")
    assert len(world.left()) == 2


@pytest.mark.parametrize("merchant", ["", "a b", "@account#x#y", "m#1"])
def test_what_no_merchant_is_called(merchant: str, world: World) -> None:
    answer = world.forget(merchant=merchant)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("A merchant or account id has 1 to 128 characters")


def test_a_refusal_of_the_api_says_what_to_do(world: World) -> None:
    world.vault.connect("m-1")
    world.api.refusing = (403, {"message": "Forbidden"})
    answer = world.forget()
    assert answer.code == 1
    assert Reason.INTERNAL.value not in answer.err
    assert answer.err.startswith("The local stack refused the signature.")
