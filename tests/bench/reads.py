"""What a read by the client library costs and takes, beside the bare GetItem that is in it."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from boto3.session import Session

from local import REGION
from local.provision import CREDENTIALS
from mooring.adapters.aws import Aws
from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.client import Connections
from tests.bench.aws import Calls
from tests.bench.contestants import MERCHANT
from tests.bench.ground import PROVIDER, STAGE, Ground
from tests.bench.runs import BenchError, Percentiles, percentiles
from tests.bench.staging import BASE_URL

BATCHES, READS_PER_BATCH, WARM_UP = 9, 100, 50
CROWD_READS, CROWD_THREADS, CROWD_CONNECTIONS = 1_000, 16, 10
ACCOUNT = "default"


class Reads(NamedTuple):
    """How long a warm read takes and a bare GetItem of the same row, in turns; what reads ask of AWS.

    `new` is of a token that the process has not read before, `known` of one that it has, `crowd` of a
    thousand reads by sixteen threads, of ten connections.
    """

    library: Percentiles
    bare: Percentiles
    new: Calls
    known: Calls
    crowd: Calls


def read(ground: Ground) -> Reads:
    """Measure; the merchant's connection must be there.

    Raises:
        BenchError: another token came than the one that was stored.
    """
    session = Session(*CREDENTIALS, region_name=REGION)
    endpoint = ground.aws.endpoint_url
    aws = Aws(REGION, session, endpoint)

    def make() -> Connections:
        return Connections(STAGE, REGION, BASE_URL, session, endpoint_url=endpoint)

    values, connections = _crowd(ground), make()
    table = ground.functions["callback"].environment["MOORING_CONNECTIONS_TABLE"]
    key = {"merchant_id": {"S": MERCHANT}, "connection": {"S": f"{PROVIDER}#{ACCOUNT}"}}

    def library() -> None:
        connections.token(MERCHANT, PROVIDER, ACCOUNT)

    def bare() -> None:
        aws.dynamodb().get_item(TableName=table, Key=key, ConsistentRead=True)

    new, known = _counted(ground, library), _counted(ground, library)
    times = _in_turns(library, bare)
    # A process of its own, as far as keys and tokens go.
    fresh, names = make(), list(values) * (CROWD_READS // CROWD_CONNECTIONS)
    found: list[str] = []

    def crowd() -> None:
        with ThreadPoolExecutor(CROWD_THREADS) as readers:
            found.extend(readers.map(lambda name: fresh.token(name, PROVIDER, ACCOUNT).value, names))

    asked = _counted(ground, crowd)
    aws.close()
    if found != [values[name] for name in names]:
        raise BenchError("a reader was given another token than the one that was stored")
    return Reads(times[0], times[1], new, known, asked)


def _in_turns(*calls: Callable[[], None]) -> list[Percentiles]:
    """One after the other, again and again, so that all see the same machine."""
    times: list[list[list[int]]] = [[[] for _ in range(BATCHES)] for _ in calls]
    for _ in range(WARM_UP):
        for call in calls:
            call()
    for batch in range(BATCHES):
        for _ in range(READS_PER_BATCH):
            for mine, call in zip(times, calls, strict=True):
                began = time.perf_counter_ns()
                call()
                mine[batch].append(time.perf_counter_ns() - began)
    return [percentiles(each) for each in times]


def _counted(ground: Ground, call: Callable[[], None]) -> Calls:
    ground.aws.forget()
    call()
    return ground.aws.calls()


def _crowd(ground: Ground) -> dict[str, str]:
    """Ten merchants with connections like the stored one; the token of each."""
    environment = ground.functions["callback"].environment
    table, dynamodb = environment["MOORING_CONNECTIONS_TABLE"], ground.client("dynamodb")
    key = {"merchant_id": {"S": MERCHANT}, "connection": {"S": f"{PROVIDER}#{ACCOUNT}"}}
    row: dict[str, Any] = dynamodb.get_item(TableName=table, Key=key)["Item"]
    sealer = EnvelopeSealer(Kms(ground.client("kms"), environment["MOORING_TOKEN_KEY_ID"]), time.time)
    values = {f"crowd-{number}": json.dumps({"token": number}) for number in range(CROWD_CONNECTIONS)}
    for merchant, value in values.items():
        access = sealer.prepare(merchant, PROVIDER).seal("access", ACCOUNT, value)
        sealed = {"access": {"B": access.ciphertext}, "access_key": {"B": access.wrapped_key}}
        kept = {name: each for name, each in row.items() if not name.startswith(("due_", "refresh"))}
        dynamodb.put_item(TableName=table, Item=kept | sealed | {"merchant_id": {"S": merchant}})
    return values
