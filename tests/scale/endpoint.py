"""A simulated AWS that counts: ministack's DynamoDB, KMS, SQS, SSM, EventBridge and S3 on one loopback port.

    python -m tests.scale.endpoint     prints `listening on http://127.0.0.1:PORT`, serves until it is ended

    GET    /_scale/calls   what functions asked since the start or the last DELETE: operation, calls,
                           and rows that the answers named: [["DynamoDB Query", 24, 500], …]
    DELETE /_scale/calls
    POST   /_scale/rows    {"table": …, "rows": […]}: rows put without being counted

Calls are served one at a time. ministack's own program opens a second port on every interface; here its
handlers are called directly, and nothing but this port is opened. It answers several times faster than moto,
which matters where a worker's own speed is measured.

It scans the whole table for a query of an index, so that 40,000 rows would outlast the functions' patience.
For such a query it is therefore shown fewer: of the rows put in bulk those that the key condition means, as
an index would find them, and all others. Calls that boto3 repeats because this machine is busy are not
counted twice.
"""

import asyncio
import importlib
import json
import os
import sys
import urllib.request
from base64 import b64encode
from collections import Counter
from contextlib import ExitStack
from itertools import batched
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from local import HOST, REGION, ROOT
from local.aws_requests import caller_of
from local.processes import ProcessError, spawn, stop

_READY = "listening on "
_CONTROL = "/_scale/"
_BATCH = 25
_INDEX = "due"
_SERVICES = {
    "DynamoDB_20120810": ("DynamoDB", "dynamodb"),
    "TrentService": ("KMS", "kms"),
    "AmazonSQS": ("SQS", "sqs"),
    "AmazonSSM": ("SSM", "ssm"),
    "AWSEvents": ("EventBridge", "eventbridge"),
}
_S3 = "s3"


class Calls(NamedTuple):
    """What was asked of AWS, by operation (`DynamoDB Query`): how often, and the rows that answers named."""

    counts: Counter[str]
    rows: Counter[str]


class Endpoint:
    """The endpoint as a child process, which ends with this one.

    Args:
        log: takes what it writes to standard error.

    Raises:
        ProcessError: it does not come up; the message names the log.
    """

    def __init__(self, log: Path) -> None:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "PYTHONUNBUFFERED": "1",
        }
        environment |= {"MINISTACK_REGION": REGION, "LOG_LEVEL": "ERROR", "AWS_EC2_METADATA_DISABLED": "true"}
        command = [sys.executable, "-m", "tests.scale.endpoint"]
        with log.open("a") as errors:
            self._process = spawn(command, environment=environment, folder=ROOT, stderr=errors)
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line.startswith(_READY):
            raise ProcessError(f"the simulated AWS does not start; see {log}")
        self.endpoint_url = line.removeprefix(_READY)

    def forget(self) -> None:
        """Start counting anew."""
        self._ask("DELETE", "calls")

    def calls(self) -> Calls:
        """What functions asked of it since then."""
        found = self._ask("GET", "calls")
        return Calls(
            Counter({name: calls for name, calls, _ in found}),
            Counter({name: rows for name, _, rows in found if rows}),
        )

    def put(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Put rows (in DynamoDB's JSON) without counting."""
        for some in batched(rows, 2_000, strict=False):
            self._ask("POST", "rows", {"table": table, "rows": some})

    def stop(self) -> None:
        """End it; what it held is gone."""
        stop(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, method: str, name: str, content: object = None) -> Any:
        body = None if content is None else json.dumps(content, default=_binary).encode()
        request = urllib.request.Request(f"{self.endpoint_url}{_CONTROL}{name}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)


def _binary(value: object) -> str:
    """Bytes as DynamoDB's JSON has them."""
    if not isinstance(value, bytes):
        raise TypeError(type(value).__name__)
    return b64encode(value).decode("ascii")


class Counted:
    """ministack's services behind one door, and what came through it."""

    def __init__(self) -> None:
        os.environ.setdefault("MINISTACK_REGION", REGION)
        names = [_S3, *(module for _, module in _SERVICES.values())]
        self._services = {name: importlib.import_module(f"ministack.services.{name}") for name in names}
        self._counts: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._bulk: set[str] = set()
        self._of_shard: dict[str, list[tuple[str, int]]] = {}
        self._others: list[str] = []

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, bytes]:
        """Handle one request: (status, headers, body)."""
        if path.startswith(_CONTROL):
            return 200, {}, json.dumps(await self._control(method, path, body)).encode()
        prefix, _, operation = headers.get("x-amz-target", "").rpartition(".")
        if not operation:  # the one service whose requests name none; functions ask nothing of it here
            return await self._bucket(method, path, headers, body)
        if prefix not in _SERVICES:
            return 400, {}, b'{"__type": "UnknownOperationException"}'
        service, module = _SERVICES[prefix]
        status, said, content = await self._handle(module, operation, headers, body)
        content = content if isinstance(content, bytes) else content.encode()
        first = "attempt=1" in headers.get("amz-sdk-request", "attempt=1")
        if first and caller_of({"HTTP_AUTHORIZATION": headers.get("authorization", "")}):
            name = f"{service} {operation}"
            self._counts[name] += 1
            self._rows[name] += named_rows(operation, content)
        return status, said, content

    async def _bucket(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, bytes]:
        path, _, query = target.partition("?")
        asked = parse_qs(query, keep_blank_values=True)
        status, said, content = await self._services[_S3].handle_request(method, path, headers, body, asked)
        return status, said, content if isinstance(content, bytes) else content.encode()

    async def _control(self, method: str, path: str, body: bytes) -> Any:
        if path == f"{_CONTROL}rows":
            given = json.loads(body)
            for rows in batched(given["rows"], _BATCH, strict=False):
                await self._put(given["table"], rows)
        found = [[name, calls, self._rows[name]] for name, calls in sorted(self._counts.items())]
        if method == "DELETE":
            self._counts.clear()
            self._rows.clear()
        return found

    async def _handle(
        self, module: str, operation: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, bytes | str]:
        """What ministack answers."""
        with ExitStack() as after:
            if operation == "Query":
                self._narrow(json.loads(body), after)
            found: tuple[int, Any, bytes | str] = await self._services[module].handle_request(
                "POST", "/", headers, body, {}
            )
            return found

    def _narrow(self, asked: dict[str, Any], after: ExitStack) -> None:
        """Hide rows that cannot be meant from a query of the index `due`."""
        if asked.get("IndexName") != _INDEX:
            return
        table = self._services["dynamodb"]._tables[asked["TableName"]]
        everything = table["items"]
        values = asked["ExpressionAttributeValues"]
        rows = self._of_shard.get(values[":shard"]["S"], [])
        if asked["KeyConditionExpression"].endswith("#due_at <= :until"):
            until = int(values[":until"]["N"])
            rows = [row for row in rows if row[1] <= until]
        if len(everything) != len(self._bulk) + len(self._others):
            self._others = [name for name in everything if name not in self._bulk]
        table["items"] = {name: everything[name] for name in (*(name for name, _ in rows), *self._others)}
        after.callback(table.__setitem__, "items", everything)

    async def _put(self, table: str, rows: tuple[Any, ...]) -> None:
        asked = {"RequestItems": {table: [{"PutRequest": {"Item": row}} for row in rows]}}
        headers = {"x-amz-target": "DynamoDB_20120810.BatchWriteItem"}
        body = json.dumps(asked).encode()
        status, _, said = await self._handle("dynamodb", "BatchWriteItem", headers, body)
        if status != 200:
            raise ValueError(said)
        for row in rows:
            self._bulk.add(row["merchant_id"]["S"])
            entry = (row["merchant_id"]["S"], int(row["due_at"]["N"]))
            self._of_shard.setdefault(row["due_shard"]["S"], []).append(entry)


def named_rows(operation: str, content: bytes) -> int:
    """How many rows an answer names: `Count` of a query, items of a batch."""
    if operation == "Query":
        return int(json.loads(content).get("Count", 0))
    if operation == "BatchGetItem":
        return sum(len(rows) for rows in json.loads(content).get("Responses", {}).values())
    return 0


async def _serve() -> None:
    counted = Counted()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").split("\r\n")
                method, path, _ = first.split(" ")
                pairs = (line.partition(":") for line in lines if line)
                headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length") or 0))
                status, said, content = await counted.answer(method, path, headers, body)
                said = {**said, "Content-Length": str(len(content))}
                told = "".join(f"{name}: {value}\r\n" for name, value in said.items())
                writer.write(f"HTTP/1.1 {status} Simulated\r\n{told}\r\n".encode() + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0, limit=1 << 20)
    print(f"{_READY}http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
