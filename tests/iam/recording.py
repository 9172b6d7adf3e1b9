"""Clients of the simulated AWS whose calls are remembered at their own end, as a policy would see them."""

import io
import time
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config

from local.aws_requests import Record, Requests
from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer


class Recording:
    """Whoever reads the table directly. `records` has every call.

    Args:
        info: the content of stack.json.
    """

    def __init__(self, info: dict[str, Any]) -> None:
        self.records: list[Record] = []
        self._requests = Requests()
        own = info["credentials"]
        self._session = boto3.session.Session(
            own["access_key_id"], own["secret_access_key"], region_name=info["region"]
        )
        self.dynamodb: Any = self._client("dynamodb", info["aws_endpoint_url"])
        self.kms: Any = self._client("kms", info["aws_endpoint_url"])
        self.sealer = self.fresh_sealer()

    def fresh_sealer(self) -> EnvelopeSealer:
        """A sealer that remembers no key."""
        return EnvelopeSealer(Kms(self.kms), time.time)

    def close(self) -> None:
        """Close the clients."""
        self.dynamodb.close()
        self.kms.close()

    def _client(self, service: str, endpoint_url: str) -> Any:
        settings = Config(retries={"max_attempts": 1}, proxies={})
        client = self._session.client(service, endpoint_url=endpoint_url, config=settings)  # type: ignore[call-overload]
        client.meta.events.register("before-send", self._note)
        return client

    def _note(self, request: AWSPreparedRequest, **_: Any) -> None:
        body = request.body or b""
        sent = body if isinstance(body, bytes) else str(body).encode()
        headers = {
            f"HTTP_{name.upper().replace('-', '_')}": _text(value) for name, value in request.headers.items()
        }
        length = {"CONTENT_LENGTH": str(len(sent)), "wsgi.input": io.BytesIO(sent)}
        self.records.append(self._requests.note({**headers, **length, "REQUEST_METHOD": request.method}))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
