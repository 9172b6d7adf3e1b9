"""Where scale is measured: a counting AWS, three slow providers, and the functions staged as they ship."""

import json
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local import HOST, ROOT
from local.emulator import Emulator, InvocationResult
from local.functions import spec_of
from local.logs import FunctionLog
from local.providers import store_secrets
from local.provision import client, provision
from mooring.adapters import transitions
from mooring.adapters.kms import Kms
from mooring.adapters.rows import write
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.connection import Account, NewConnection
from mooring.core.names import DEFAULT_ACCOUNT, connection_key
from mooring.core.schedule import due_shard
from mooring.core.tokens import SealedTokens
from mooring.providers.compiler import LocalCompile
from tests.scale.endpoint import Endpoint
from tests.scale.provider import Provider
from tools.stage import stage

STAGE = "local"
PROVIDERS = ("amber", "birch", "cedar")
LATER = 86_400
_CATALOG = Path(__file__).with_name("catalog")
_SECRET = "a-secret-for-this-measurement-only"
_BASE_URL = "http://127.0.0.1:8000"


class ScaleError(Exception):
    """Something did not do what it was asked; the message says what, and what it said."""


class Ground:
    """A context manager; left, every process is gone.

    Args:
        folder: an empty folder for everything that is written.
        milliseconds: how long a provider takes to answer.
    """

    def __init__(self, folder: Path, milliseconds: int) -> None:
        self._folder = folder
        self._milliseconds = milliseconds
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def client(self, service: str) -> Any:
        """A client of the simulated AWS whose calls are not counted."""
        return client(service, self.aws.endpoint_url)

    @property
    def table(self) -> str:
        """Name of the connections table."""
        return self.resources.tables["ConnectionsTable"]

    @property
    def queue(self) -> str:
        """URL of the refresh queue."""
        return next(url for name, url in self.resources.queues.items() if name.endswith("-refresh"))

    def function(self, name: str) -> Emulator:
        """A new process of one of our functions, in the real Lambda runtime; ends with the ground."""
        found = next(each for each in self.resources.functions if each.name == name)
        url = self.aws.endpoint_url
        spec = spec_of(found, build=self._build, endpoint_url=url, lambda_url=url, base_url=_BASE_URL)
        log = FunctionLog(self._folder / f"{name}-{secrets.token_hex(4)}.log")
        self._cleanup.callback(log.close)
        emulator = Emulator(spec, log)
        self._cleanup.callback(emulator.stop)
        return emulator

    def connect(self, number: int, due_at: int) -> tuple[str, str]:
        """Store one connection with real sealed tokens, as a callback does; its merchant and provider."""
        merchant, provider = f"m-{number}", PROVIDERS[number % len(PROVIDERS)]
        keys, now = self._sealer.prepare(merchant, provider), int(time.time())
        tokens = SealedTokens(
            access=keys.seal("access", DEFAULT_ACCOUNT, secrets.token_urlsafe(48)),
            refresh=keys.seal("refresh", DEFAULT_ACCOUNT, secrets.token_urlsafe(48)),
            scopes=("read",),
            expires_at=now + 600,
            refresh_expires_at=None,
            details={},
        )
        new = NewConnection(
            merchant, provider, Account(DEFAULT_ACCOUNT, False), tokens, now - 3_000, now - 3_000, due_at
        )
        write(self._dynamodb, transitions.connected(self.table, new))
        return merchant, provider

    def store_later(self, first: int, count: int) -> None:
        """Store `count` further connections that are due tomorrow: copies of one, under other names."""
        if count <= 0:
            return
        due_at = int(time.time()) + LATER
        merchant, provider = self.connect(first, due_at)
        where = {
            "merchant_id": {"S": merchant},
            "connection": {"S": connection_key(provider, DEFAULT_ACCOUNT)},
        }
        row = self._dynamodb.get_item(TableName=self.table, Key=where)["Item"]
        self.aws.put(self.table, [_like(row, first + more, due_at) for more in range(1, count)])

    def _start(self) -> None:
        self.provider = Provider(self._folder / "provider.log", self._milliseconds)
        self._cleanup.callback(self.provider.stop)
        self.aws = Endpoint(self._folder / "aws.log")
        self._cleanup.callback(self.aws.stop)
        self.resources = provision(
            ROOT / "template.yaml",
            endpoint_url=self.aws.endpoint_url,
            parameters={"Stage": STAGE, "DomainName": HOST},
        )
        held = {provider: {"client_secret": _SECRET} for provider in PROVIDERS}
        store_secrets(self.aws.endpoint_url, STAGE, held)
        self._dynamodb = self.client("dynamodb")
        self._sealer = EnvelopeSealer(Kms(self.client("kms"), self.resources.keys["TokenKey"]), time.time)
        self._build = self._folder / "build"
        stage(self._build, local=self._compiled())

    def _compiled(self) -> LocalCompile:
        """The three providers are enabled beside those of `mooring.yaml`, and answer here."""
        overlay = self._folder / "overlay.json"
        enabled = {"providers": {provider: {"client_id": "scale"} for provider in PROVIDERS}}
        overlay.write_text(json.dumps(enabled), encoding="utf-8")
        return LocalCompile(
            extra_catalog=_CATALOG,
            config_overlay=overlay,
            simulators=dict.fromkeys(PROVIDERS, self.provider.base_url),
        )


def invoke(function: Emulator, event: object) -> InvocationResult:
    """Send one event.

    Raises:
        ScaleError: the function failed.
    """
    result = function.invoke(json.dumps(event).encode())
    if result.error:
        said = "\n".join(result.log_lines[-5:])
        raise ScaleError(f"{result.error}: {result.payload[:500]!r}\n{said}")
    return result


def batch(messages: Sequence[dict[str, Any]], arn: str) -> dict[str, Any]:
    """The event that Lambda makes of received messages."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "eventSourceARN": arn,
            }
            for message in messages
        ]
    }


def _like(row: dict[str, Any], number: int, due_at: int) -> dict[str, Any]:
    merchant, provider = f"m-{number}", PROVIDERS[number % len(PROVIDERS)]
    return row | {
        "merchant_id": {"S": merchant},
        "connection": {"S": connection_key(provider, DEFAULT_ACCOUNT)},
        "due_at": {"N": str(due_at + number % 3_600)},
        "due_shard": {"S": due_shard(provider, merchant, DEFAULT_ACCOUNT)},
    }
