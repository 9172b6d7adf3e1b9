"""The local stack of a soak: its own folder, three providers, and a proxy on each side of the functions."""

import json
import time
from pathlib import Path
from typing import Any

from local.processes import free_port
from mooring.core.upkeep import Key
from mooring.providers.catalog import Catalog
from tests.e2e.running import PRODUCT, READY_SECONDS, RunningStack
from tests.faults.proxy import FaultProxy
from tests.faults.proxy_wire import Request
from tests.soak.dice import Chance
from tests.soak.plan import KINDS
from tests.soak.providers import CLIENT_ID, TOKEN_PATH, SoakProvider

_PAGE = 100
_STOP_SECONDS = 60
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)
WATCHED = (
    "merchant_id",
    "connection",
    "status",
    "version",
    "due_at",
    "expires_at",
    "lease_until",
    "attempts",
    "retry_at",
    "failing_since",
    "last_error",
)
"""What a look at the table asks for: nothing that is sealed."""


class QueueProxy(FaultProxy):
    """A proxy of AWS that keeps every message that a function puts into a queue."""

    def __init__(self) -> None:
        self.queued: list[bytes] = []
        """The bodies of the calls."""
        super().__init__()

    def _planned(self, request: Request, port: int) -> Any:
        if "AmazonSQS.SendMessage" in request.header("X-Amz-Target"):
            self.queued.append(request.body)
        return super()._planned(request, port)


class SoakStack(RunningStack):
    """A running stack of its own, without the foreign server and the fifth provider of the other tests.

    What a soak looks at and controls goes past the proxies; so does what Lambda itself asks of queues.

    Args:
        folder: an empty folder for everything it writes.
        chance: says which calls go wrong.
    """

    def __init__(self, folder: Path, chance: Chance) -> None:  # not the base's: it starts other providers
        self.stack_dir, self.output = folder / "state", folder / "output.txt"
        self.given_out: set[str] = set()
        self._clients: dict[str, Any] = {}
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.aws_proxy = QueueProxy()
        self.aws_proxy.chance = chance.at_aws
        self.providers = {kind.id: SoakProvider(kind, self.base_url, chance.slow_seconds) for kind in KINDS}
        for provider in self.providers.values():
            provider.proxy.chance = chance.at_provider(TOKEN_PATH)
        self._launch(self._settings(folder))

    def wait(self) -> None:
        """Return when everything answers.

        Raises:
            AssertionError: it does not; with what the stack printed.
        """
        self.aws_proxy.upstream = self._written("aws.txt")
        self.info = json.loads(self._written("stack.json"))
        self.demo_url = self.info["demo_url"]
        self.catalog = Catalog(str(self.stack_dir / "build/layers/mooring/python/mooring/compiled"))
        self.table: str = self.info["tables"]["connections"]

    def stop(self) -> None:
        """Ctrl-C, then the providers and the proxies.

        Raises:
            AssertionError: it does not end, or leaves a process behind.
        """
        try:
            self._end(_STOP_SECONDS)
        finally:
            self.aws_proxy.stop()
            for provider in self.providers.values():
                provider.stop()

    @property
    def functions(self) -> list[str]:
        """Every function that the template has."""
        return list(self.info["functions"])

    @property
    def canaries(self) -> set[str]:
        """Every client secret."""
        return {provider.secret for provider in self.providers.values()}

    def look(self, keys: list[Key], *, sealed: bool = False) -> dict[Key, dict[str, Any]]:
        """The rows of connections, by key, as DynamoDB writes them; of the watched attributes, or all."""
        found = {}
        for first in range(0, len(keys), _PAGE):
            wanted: Any = {"Keys": [_where(key) for key in keys[first : first + _PAGE]]}
            wanted["ConsistentRead"] = True
            if not sealed:
                wanted["ProjectionExpression"] = ", ".join(f"#{name}" for name in WATCHED)
                wanted["ExpressionAttributeNames"] = {f"#{name}": name for name in WATCHED}
            answer = self.aws("dynamodb").batch_get_item(RequestItems={self.table: wanted})
            assert not answer.get("UnprocessedKeys"), "the simulated DynamoDB leaves no key out"
            for row in answer["Responses"][self.table]:
                found[key_of(row)] = row
        return found

    def waiting(self) -> dict[str, int]:
        """How many messages each queue holds: visible, delayed or in work."""
        found = {}
        for name, url in self.info["queues"].items():
            answer = self.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))
            found[name] = sum(int(answer["Attributes"][count]) for count in _COUNTS)
        return found

    def undelivered(self) -> dict[str, bytes]:
        """The changes that could not be told: objects in the bucket, by name."""
        s3, (bucket,) = self.aws("s3"), self.info["buckets"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        names = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return {name: s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}

    def _written(self, name: str) -> str:
        path, deadline = self.stack_dir / name, time.monotonic() + READY_SECONDS
        while not path.exists():
            said = f"the stack is not ready; it said:\n{self.output.read_text()}"
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        return path.read_text()

    def _settings(self, folder: Path) -> dict[str, str]:
        catalog, config, given = folder / "providers", folder / "overlay.yaml", folder / "secrets.json"
        catalog.mkdir()
        for name, provider in self.providers.items():
            (catalog / f"{name}.yaml").write_text(provider.descriptor())
        enabled = "".join(f"  {name}:\n    client_id: {CLIENT_ID}\n" for name in self.providers)
        config.write_text(f"return_to_origins:\n  - {PRODUCT}\nproviders:\n{enabled}")
        held = {name: {"client_secret": provider.secret} for name, provider in self.providers.items()}
        given.write_text(json.dumps(held))
        return {
            "MOORING_LOCAL_AWS_THROUGH": self.aws_proxy.url,
            "MOORING_PROVIDERS_DIR": str(catalog),
            "MOORING_CONFIG": str(config),
            "MOORING_SECRETS": str(given),
        }


def key_of(row: dict[str, Any]) -> Key:
    """Which connection a row is."""
    provider, _, account_id = row["connection"]["S"].partition("#")
    return Key(row["merchant_id"]["S"], provider, account_id)


def _where(key: Key) -> dict[str, Any]:
    return {"merchant_id": {"S": key.merchant_id}, "connection": {"S": f"{key.provider}#{key.account_id}"}}
