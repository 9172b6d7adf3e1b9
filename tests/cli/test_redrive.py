"""`mooring redrive`: dead letters go back whole, once, and only when somebody wants it."""

import json
import os
import pty
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters import recovery_queue as recovery
from mooring.adapters import revocation_queue, work_messages
from mooring_cli.errors import CommandError
from mooring_cli.letters import Letters, Sort, sort_of
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import REGION, FakeStack
from tests.contract.recovery_battery import REFRESHED
from tests.contract.revocations_battery import REVOCATION
from tests.contract.samples import a_link, a_state, exchange
from tests.contract.work_samples import DUE, WORK, orders

ORDER = work_messages.message(DUE)
HINT = work_messages.message(WORK[5])
STORED = recovery.refreshed_message(REFRESHED)
CONNECTED = recovery.message(exchange(a_link()), a_link(), a_state())
UNWANTED = revocation_queue.message(REVOCATION)
CANARY = "canary-of-a-sealed-token"
LATER = json.dumps({**json.loads(ORDER), "schema": 2, "access": CANARY})
BROKEN = f'{{"schema": 1, "kind": "refresh", "merchant_id": "{CANARY}'
QUESTION = "Send 2 messages of refresh-dead and 1 message of recovery-dead through once more? [y/N] "


def send(aws: FakeAws, queue: str, *bodies: str, **attributes: str) -> None:
    sqs, more = aws.client("sqs"), {}
    if attributes:
        values = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        more = {"MessageAttributes": values}
    for body in bodies:
        sqs.send_message(QueueUrl=aws.queues[queue], MessageBody=body, **more)


def lying(aws: FakeAws, queue: str) -> list[str]:
    """The bodies that anybody can receive this moment, taken out."""
    sqs, found = aws.client("sqs"), []
    while some := sqs.receive_message(QueueUrl=aws.queues[queue], MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in some]
    return sorted(found)


def letters(aws: FakeAws, queue: str = "refresh", client: Any = None) -> Letters:
    return Letters(client or aws.client("sqs"), queue, aws.queues[f"{queue}-dead"], aws.queues[queue])


def step(_count: int) -> None:
    """Nobody watches."""


def test_nothing_there(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh", ORDER)
    text = "".join(f"{name}-dead: nothing there.\n" for name in ("refresh", "recovery", "revoke"))
    assert mooring("redrive", "--yes") == (0, text, "")
    assert mooring("redrive", "--dry-run") == (0, text, "")
    assert lying(local, "refresh") == [ORDER]


def test_everything_goes_back_to_where_it_came_from(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER, HINT)
    send(local, "recovery-dead", STORED, CONNECTED)
    send(local, "revoke-dead", UNWANTED)
    assert mooring("redrive", "--yes") == (
        0,
        (
            "refresh-dead: 2 messages sent back to refresh.\n"
            "recovery-dead: 2 messages sent back to recovery.\n"
            "revoke-dead: 1 message sent back to revoke.\n"
        ),
        "What fails again comes back there. Look in a while: mooring doctor\n",
    )
    assert lying(local, "refresh") == sorted([ORDER, HINT])
    assert lying(local, "recovery") == sorted([STORED, CONNECTED])
    assert lying(local, "revoke") == [UNWANTED]
    assert [lying(local, f"{name}-dead") for name in ("refresh", "recovery", "revoke")] == [[], [], []]


def test_one_queue_alone(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER)
    send(local, "recovery-dead", STORED)
    answer = mooring("redrive", "--yes", "--queue", "recovery")
    assert answer.out == "recovery-dead: 1 message sent back to recovery.\n"
    assert (lying(local, "recovery"), lying(local, "refresh-dead")) == ([STORED], [ORDER])
    assert mooring("redrive", "--yes", "--queue", "refresh-dead").code == 2


def test_what_is_not_understood_stays_and_is_not_shown(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh-dead", LATER, ORDER, BROKEN, CANARY)
    answer = mooring("redrive", "--yes", "--queue", "refresh")
    assert (answer.code, answer.out) == (
        0,
        "refresh-dead: 1 message sent back to refresh; 3 left, not understood.\n",
    )
    assert answer.err.startswith("What is not understood would fail again, and stays there. What they are: ")
    assert CANARY not in answer.out + answer.err
    # They are visible at once, not only when the hold has passed.
    assert lying(local, "refresh-dead") == sorted([LATER, BROKEN, CANARY])
    assert lying(local, "refresh") == [ORDER]


def test_a_dry_run_counts_and_changes_nothing(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER, ORDER, HINT, LATER, BROKEN)
    send(local, "recovery-dead", STORED)
    answer = mooring("redrive", "--dry-run")
    assert (answer.code, answer.err) == (
        0,
        "What is not understood would fail again, and stays there. See docs/runbook.md#dead-letters\n",
    )
    head, *rows = [line.split(maxsplit=6) for line in answer.out.splitlines()]
    assert head == ["queue", "kind", "schema", "messages", "oldest", "problem"]
    assert sorted((*row[:4], *row[6:]) for row in rows) == [
        ("recovery-dead", "refreshed", "1", "1"),
        ("refresh-dead", "hint", "1", "1"),
        ("refresh-dead", "refresh", "1", "2"),
        ("refresh-dead", "refresh", "2", "1", "the schema is unknown"),
        ("refresh-dead", "unknown", "unknown", "1", "it is no JSON"),
    ]
    assert CANARY not in answer.out
    assert lying(local, "refresh-dead") == sorted([ORDER, ORDER, HINT, LATER, BROKEN])
    assert (lying(local, "refresh"), lying(local, "recovery")) == ([], [])


def test_json(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh-dead", LATER, ORDER)
    arguments = ("redrive", "--queue", "refresh", "--json")
    dry, moved = (json.loads(mooring(*arguments, option).out) for option in ("--dry-run", "--yes"))
    assert (dry["stage"], dry["region"], dry["dry_run"], moved["dry_run"]) == ("local", REGION, True, False)
    assert list(moved["queues"]) == ["refresh-dead"]
    for report, count in ((dry, 0), (moved, 1)):
        queue = report["queues"]["refresh-dead"]
        assert (queue["moved"], queue["left"]) == (count, 1)
        found = sorted(queue["found"], key=lambda each: each["schema"])
        assert all(0 <= each.pop("oldest_seconds") < 60 for each in found)
        assert found == [
            {"kind": "refresh", "schema": 1, "problem": "", "count": 1},
            {"kind": "refresh", "schema": 2, "problem": "the schema is unknown", "count": 1},
        ]


def test_many_and_large_ones(mooring: Command, local: FakeAws) -> None:
    many = [work_messages.message(order) for order in orders(23)]
    send(local, "refresh-dead", *many)
    blob = b64encode(b"x" * 90_000).decode()
    large = [json.dumps({**json.loads(STORED), "attempt_id": f"a-{n}", "more": blob}) for n in range(4)]
    send(local, "recovery-dead", *large)
    answer = mooring("redrive", "--yes")
    assert (answer.code, answer.out.count("23 messages"), answer.out.count("4 messages")) == (0, 1, 1)
    assert lying(local, "refresh") == sorted(many)
    assert lying(local, "recovery") == sorted(large)


def test_attributes_go_along(local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER, origin="sweep")
    letters(local).move(int(time.time()), step)
    url = local.queues["refresh"]
    (message,) = local.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"]["origin"]["StringValue"] == "sweep"


def test_ages_count_from_when_it_was_first_queued(local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER, HINT)
    found = letters(local)
    found.look(int(time.time()) + 7_200, step)
    assert {sort.kind: round(age / 60) for sort, age in found.oldest.items()} == {"refresh": 120, "hint": 120}


def test_what_others_have_received_is_mentioned(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER)
    local.client("sqs").receive_message(QueueUrl=local.queues["refresh-dead"], VisibilityTimeout=60)
    answer = mooring("redrive", "--yes", "--queue", "refresh")
    assert (answer.code, answer.out) == (0, "refresh-dead: nothing there.\n")
    assert answer.err == "1 message had just been received by others: run it again in a few minutes.\n"


def test_nobody_to_ask(mooring: Command, local: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    send(local, "refresh-dead", ORDER)
    with open(os.devnull) as nothing:  # noqa: PTH123 - a stream, not a file
        monkeypatch.setattr(sys, "stdin", nothing)
        answer = mooring("redrive")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Nobody can be asked here.")
    assert lying(local, "refresh-dead") == [ORDER]


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("\n", 1)])
def test_the_question(typed: str, code: int, local: FakeAws, stack: FakeStack) -> None:
    send(local, "refresh-dead", ORDER, HINT)
    send(local, "recovery-dead", STORED)
    with asked(stack) as (process, terminal):
        os.write(terminal, typed.encode())
        rest = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert ("Nothing was changed." in rest) is (code == 1)
    assert lying(local, "recovery") == ([] if code else [STORED])
    assert lying(local, "recovery-dead") == ([STORED] if code else [])


@contextmanager
def asked(stack: FakeStack) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`mooring redrive` at a terminal, at the moment when it has asked; and the terminal to answer at."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mooring_cli.main", "redrive", "--stack-dir", str(stack.stack_dir)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=theirs, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.read(len(QUESTION)) == QUESTION
        yield process, ours
    os.close(ours)
    os.close(theirs)


def test_a_terminal_gets_a_progress_bar(local: FakeAws, stack: FakeStack) -> None:
    send(local, "refresh-dead", ORDER)
    ours, theirs = pty.openpty()
    names = ["redrive", "--yes", "--stack-dir", str(stack.stack_dir)]
    command = [sys.executable, "-m", "mooring_cli.main", *names]
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        out = process.communicate(timeout=60)[0]
    os.close(theirs)
    drawn = os.read(ours, 65_536).decode()
    os.close(ours)
    assert out.startswith("refresh-dead: 1 message sent back to refresh.\n")
    assert "Moving refresh-dead" in drawn


def test_a_deployed_stage(mooring: Command, deployed: FakeAws) -> None:
    send(deployed, "recovery-dead", STORED)
    where = ("--stage", deployed.stage, "--region", REGION)
    answer = mooring("redrive", "--yes", *where)
    assert (answer.code, lying(deployed, "recovery")) == (0, [STORED])
    assert answer.err.endswith(f"mooring doctor --stage {deployed.stage} --region {REGION}\n")


def test_no_such_stage(mooring: Command, deployed: FakeAws) -> None:
    answer = mooring("redrive", "--yes", "--stage", "nowhere", "--region", REGION)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"There is no stage nowhere in {REGION}, or it is not deployed whole")


def test_a_queue_that_takes_nothing_leaves_all_where_it_was(mooring: Command, local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER, HINT)
    local.client("sqs").delete_queue(QueueUrl=local.queues["refresh"])
    answer = mooring("redrive", "--yes", "--queue", "refresh")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.endswith(
        "0 messages of refresh-dead moved; what was not is still there. "
        "Run it again: mooring redrive --queue refresh\n"
    )
    assert lying(local, "refresh-dead") == sorted([ORDER, HINT])


class Sick:
    """SQS, of which one operation does something else."""

    def __init__(self, client: Any, **operations: Any) -> None:
        self._client = client
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        return self._operations.get(name) or getattr(self._client, name)


def test_an_entry_that_is_not_taken_is_not_deleted(local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER, HINT)
    client = local.client("sqs")

    def send_some(QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        good = [entry for entry in Entries if entry["MessageBody"] == ORDER]
        bad = [{"Id": entry["Id"], "Code": "InternalError"} for entry in Entries if entry not in good]
        return {**client.send_message_batch(QueueUrl=QueueUrl, Entries=good), "Failed": bad}

    found = letters(local, client=Sick(client, send_message_batch=send_some))
    with pytest.raises(CommandError, match=r"SQS did not take 1 of them \(InternalError\)"):
        found.move(int(time.time()), step)
    assert (found.moved, lying(local, "refresh"), lying(local, "refresh-dead")) == (1, [ORDER], [HINT])


def test_after_a_break_between_sending_and_deleting_nothing_is_lost(local: FakeAws) -> None:
    """Once more brings them twice, which workers make nothing of."""
    send(local, "refresh-dead", ORDER, HINT)
    client = local.client("sqs")

    def broken(**_request: Any) -> None:
        raise EndpointConnectionError(endpoint_url=local.endpoint_url)

    with pytest.raises(EndpointConnectionError):
        letters(local, client=Sick(client, delete_message_batch=broken)).move(int(time.time()), step)
    letters(local).move(int(time.time()), step)
    assert lying(local, "refresh") == sorted([ORDER, ORDER, HINT, HINT])
    assert lying(local, "refresh-dead") == []


def test_what_is_not_deleted_is_said(local: FakeAws) -> None:
    send(local, "refresh-dead", ORDER)

    def refuse(QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        return {"Failed": [{"Id": entry["Id"], "Code": "InternalError"} for entry in Entries]}

    found = letters(local, client=Sick(local.client("sqs"), delete_message_batch=refuse))
    with pytest.raises(CommandError, match=r"SQS did not delete 1 that were sent \(InternalError\)"):
        found.move(int(time.time()), step)
    assert (found.moved, lying(local, "refresh"), lying(local, "refresh-dead")) == (1, [ORDER], [ORDER])


def test_what_cannot_be_released_comes_back_by_itself(local: FakeAws) -> None:
    send(local, "refresh-dead", LATER)

    def broken(**_request: Any) -> None:
        raise EndpointConnectionError(endpoint_url=local.endpoint_url)

    found = letters(local, client=Sick(local.client("sqs"), change_message_visibility_batch=broken))
    found.look(int(time.time()), step)
    assert (found.left, lying(local, "refresh-dead"), found.waiting()) == (1, [], (0, 1))


@pytest.mark.parametrize(
    ("queue", "body", "sort"),
    [
        *(("refresh", work_messages.message(work), None) for work in WORK),
        ("recovery", STORED, Sort("refreshed", 1)),
        ("recovery", CONNECTED, Sort("connected", 1)),
        ("refresh", STORED, Sort("refreshed", 1, "the kind is unknown")),
        ("recovery", ORDER, Sort("refresh", 1, "the schema or the kind is unknown")),
        ("refresh", LATER, Sort("refresh", 2, "the schema is unknown")),
        ("refresh", "{}", Sort("unknown", None, "schema is no such number")),
        ("refresh", "[1]", Sort("unknown", None, "it is no object")),
        ("refresh", '{"schema": true, "kind": []}', Sort("unknown", None, "schema is no such number")),
        ("refresh", '{"schema": 1000, "kind": "x"}', Sort("unknown", None, "the schema is unknown")),
        ("refresh", ORDER.replace("m-1", ".."), Sort("refresh", 1, "merchant_id is no name")),
        ("recovery", "x" * 300_000, Sort("unknown", None, "it is too long")),
        (
            "recovery",
            json.dumps({**json.loads(STORED), "details": {"s3cr/t": 1}}),
            Sort("refreshed", 1, "not understood"),
        ),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_a_message_is(queue: str, body: str, sort: Sort | None) -> None:
    assert sort_of(queue, body) == (sort or Sort(json.loads(body)["kind"], 1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["schema", "kind", "merchant_id"]) | st.text(max_size=8), inner)
    ),
    max_leaves=6,
)


@given(st.sampled_from(["refresh", "recovery"]), st.text() | JSON.map(json.dumps))
def test_any_body_is_of_some_sort(queue: str, body: str) -> None:
    sort = sort_of(queue, body)
    assert sort.problem
    assert sort.kind in ("refresh", "hint", "confirm", "notice", "connected", "refreshed", "unknown")
    assert sort.schema is None or 0 <= sort.schema <= 999
