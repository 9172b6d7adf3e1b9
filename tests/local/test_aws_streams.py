"""The simulated AWS forgets old records of a stream, and copies of a table share what they hold.

In a process of its own, because it changes the simulation for everybody in it.
"""

import subprocess
import sys

from tests.support import ROOT

_SCRIPT = """
import copy
from local import aws_streams
aws_streams.KEPT = 10
aws_streams.install()
import boto3
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends

with mock_aws():
    boto3.client("dynamodb", "us-east-1").create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    table = dynamodb_backends["123456789012"]["us-east-1"].get_table("t")
    for number in range(25):
        table.put_item({"pk": {"S": str(number)}})
    shard = table.stream_shard
    assert len(shard.items) == 15, len(shard.items)
    numbers = [int(item.record["dynamodb"]["SequenceNumber"]) for item in shard.items]
    assert numbers == list(range(numbers[0], numbers[0] + 15))
    # Whoever is behind gets what is left, whoever is not what follows.
    oldest = shard.get(numbers[0] - 9, 3)
    assert [item["dynamodb"]["SequenceNumber"] for item in oldest] == [str(n) for n in numbers[:3]]
    assert shard.get(numbers[-1] + 1, 3) == []
    copied = copy.deepcopy(table)
    assert copied.stream_shard.table is copied
    assert copied.stream_shard.items == shard.items
    table.put_item({"pk": {"S": "more"}})
    assert len(copied.stream_shard.items) == 15
    assert len(shard.items) == 16
print("fine")
"""


def test_old_records_go_and_copies_share_the_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("fine", 0), done.stderr
