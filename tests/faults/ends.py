"""Ends that do not prove who they are or do not answer, and providers whose token endpoint is there."""

import socket
import time
from pathlib import Path
from typing import Any

from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.schedule import due_shard
from mooring.core.upkeep import Key
from tests.e2e.upkeep import Upkeep
from tests.faults.invariants import opened
from tests.faults.tls import TlsEnd

LOCKSIDE = "lockside"
"""A provider with something wrong about its TLS."""
DEADEND = "deadend"
"""A provider that takes no connection."""
_TOKEN_KEY = "alias/mooring-local-token"
_FULL = 2
_DESCRIPTOR = """\
id: {name}
name: {title}
sources:
  - title: RFC 6749
    url: https://www.rfc-editor.org/rfc/rfc6749
    read: 2026-11-22
scopes:
  available: [orders]
  default: [orders]
authorize:
  url: {consent}/oauth/authorize
token:
  url: {token}/oauth/token
response:
  refresh_token: refresh_token
  account: shop.id
refresh:
  rotation: always
api:
  base: {consent}/api/
"""


class Ends:
    """Both ends, running.

    Args:
        folder: an empty folder.
        consent: origin of a provider at which merchants give their consent.
    """

    def __init__(self, folder: Path, consent: str) -> None:
        folder.mkdir(parents=True)
        self.locked = TlsEnd("good", folder)
        self.dead = DeadEnd()
        urls = {LOCKSIDE: self.locked.url, DEADEND: self.dead.url}
        self.descriptors = {
            name: _DESCRIPTOR.format(name=name, title=name.title(), consent=consent, token=url)
            for name, url in urls.items()
        }
        """By provider id, as an operator would write them."""

    def stop(self) -> None:
        """Let go of every port."""
        self.locked.stop()
        self.dead.stop()


class DeadEnd:
    """A port at which connections are refused, until it falls silent for good."""

    def __init__(self) -> None:
        self._bound = socket.socket()  # and so nobody else's
        self._bound.bind(("127.0.0.1", 0))
        self._waiting: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._bound.getsockname()[1]}"

    def fall_silent(self) -> None:
        """From now on whoever connects waits in vain: Linux drops a SYN while its queue is full."""
        if self._waiting:
            return
        self._bound.listen(0)
        for _ in range(_FULL):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(self._bound.getsockname())
            self._waiting.append(waiting)

    def stop(self) -> None:
        """Let go of the port."""
        for waiting in (*self._waiting, self._bound):
            waiting.close()


def planted(one: Upkeep, provider: str) -> Upkeep:
    """The same connection at another provider: a copy of its row, with its tokens sealed for there.

    It stands for what was connected while all was well.
    """
    stack, key = one.stack, Key(one.key.merchant_id, provider, one.key.account_id)
    row = stack.aws("dynamodb").get_item(
        TableName=stack.info["tables"]["connections"],
        Key={
            "merchant_id": {"S": key.merchant_id},
            "connection": {"S": f"{one.key.provider}#{key.account_id}"},
        },
        ConsistentRead=True,
    )["Item"]
    keys = EnvelopeSealer(Kms(stack.aws("kms"), _TOKEN_KEY), time.time).prepare(key.merchant_id, provider)
    fresh: dict[str, Any] = {"connection": {"S": f"{provider}#{key.account_id}"}}
    for field in ("access", "refresh"):
        sealed = keys.seal(field, key.account_id, opened(stack, one, field))
        fresh |= {field: {"B": sealed.ciphertext}, f"{field}_key": {"B": sealed.wrapped_key}}
    fresh["due_shard"] = {"S": due_shard(provider, key.merchant_id, key.account_id)}
    stack.aws("dynamodb").put_item(TableName=stack.info["tables"]["connections"], Item={**row, **fresh})
    return Upkeep(stack, key)
