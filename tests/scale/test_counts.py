"""What is asked of AWS and of the providers grows with what is due; a worker's batch waits side by side."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters.work_messages import message
from mooring.core.names import DEFAULT_ACCOUNT
from mooring.core.upkeep import Cause, Key, Order, Seen
from tests.scale.__main__ import main
from tests.scale.counts import Counted, counted, same, trigger
from tests.scale.endpoint import Calls, named_rows
from tests.scale.ground import Ground, batch, invoke
from tests.scale.report import report
from tests.scale.throughput import Pace, Paces

DUE = 50


def calls(**counts: int) -> Calls:
    return Calls(Counter(counts), Counter(counts))


TABLE = Counted(100, DUE, calls(Query=24), calls(Decrypt=100), Counter({"/amber/token": DUE}), 5)
PACES = Paces((Pace(1, 220.0, 4.5, 1.0, 12.0), Pace(10, 300.0, 33.3, 7.3, 11.0)), 10)


def test_calls_and_rows_grow_with_what_is_due_and_not_with_what_is_stored(tmp_path: Path) -> None:
    tables = []
    for stored in (100, 1_000):
        folder = tmp_path / str(stored)
        folder.mkdir()
        tables.append(counted(folder, stored, DUE))
    assert [table.stored for table in tables] == [100, 1_000]
    assert tables[0]._replace(stored=1_000) == tables[1]
    assert tables[0].sweep.rows == Counter({"DynamoDB Query": DUE, "DynamoDB BatchGetItem": DUE})
    work = tables[0].work
    assert work.counts == Counter(
        {"DynamoDB UpdateItem": 2 * DUE, "KMS Decrypt": 2 * DUE, "SSM GetParameter": 3}
    )
    assert tables[0].provider.total() == DUE


def test_all_connections_of_a_batch_wait_for_their_providers_side_by_side(tmp_path: Path) -> None:
    with Ground(tmp_path, milliseconds=2_000) as ground:
        found = trigger(ground)
        messages = []
        for number in range(found.batch_size):
            merchant, provider = ground.connect(number, int(time.time()) - 60)
            order = Order(Key(merchant, provider, DEFAULT_ACCOUNT), Seen(1, 1), Cause.DUE)
            messages.append({"MessageId": merchant, "ReceiptHandle": merchant, "Body": message(order)})
        function = ground.function("refresh")
        invoke(function, {"Records": []})
        answer = invoke(function, batch(messages, found.queue_arn)).json()
        assert answer == {"batchItemFailures": []}
        assert ground.provider.at_once() == found.batch_size


@pytest.mark.parametrize(
    "change",
    [
        {"sweep": calls(Query=25)},
        {"sweep": Calls(Counter(Query=24), Counter(Query=25))},
        {"work": calls(Decrypt=101)},
        {"provider": Counter({"/birch/token": DUE})},
        {"batches": 6},
    ],
)
def test_one_call_or_row_more_in_a_larger_table_is_seen(change: dict[str, Any]) -> None:
    larger = TABLE._replace(stored=1_000)
    assert same([TABLE, larger])
    assert not same([TABLE, larger._replace(**change)])


@pytest.mark.parametrize(
    ("operation", "content", "rows"),
    [
        ("Query", b'{"Items": [{}, {}], "Count": 2, "ScannedCount": 9}', 2),
        ("BatchGetItem", b'{"Responses": {"a": [{}], "b": [{}, {}]}}', 3),
        ("UpdateItem", b'{"Attributes": {}}', 0),
        ("Query", b'{"__type": "ThrottlingException"}', 0),
    ],
)
def test_rows_are_those_that_an_answer_names(operation: str, content: bytes, rows: int) -> None:
    assert named_rows(operation, content) == rows


def test_the_report_has_a_column_for_each_table_and_a_row_for_each_batch_size() -> None:
    text = report([TABLE, TABLE._replace(stored=1_000)], PACES)
    assert "|  | 100 stored | 1,000 stored |" in text
    assert "| sweep: rows that Query returned | 24 | 24 |" in text
    assert "| **10** | 300 | 33.3 | 7.3 | 11.0 |" in text
    assert PACES.ratio == pytest.approx(7.3)


def test_a_mistaken_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--stored", "many"])
    assert ended.value.code == 2
    assert "--stored" in capsys.readouterr().err
