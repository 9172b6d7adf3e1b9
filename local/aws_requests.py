"""What the simulated AWS was asked, cut down to what a policy decides on.

Kept are the caller, the operation and such parameters as resources and conditions of IAM policies speak
of: tables, indexes, keys, the attributes that expressions name, KMS keys and encryption contexts, names of
parameters, queues, functions and event buses. Values that a call writes, ciphertexts and message bodies are
not kept.
"""

import http.client
import io
import json
import re
from base64 import b64decode
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.callers import POLLER, function_of

_Environ = dict[str, Any]
Record = dict[str, Any]
"""One call: caller (function or null), service, operation, target, parameters, left_out, polled."""

#: Calls that are remembered; the oldest go first, so that a stack can run for weeks.
_REMEMBERED = 50_000
_NOTE_SECONDS = 5
_CREDENTIAL = re.compile(r"\bCredential=([^/,\s]+)/[^/,\s]+/[^/,\s]+/([^/,\s]+)/")
_PLACEHOLDER = re.compile(r":\w+")
_KEY_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEPT: Mapping[str, frozenset[str]] = {
    "dynamodb": frozenset(
        {"TableName", "IndexName", "Key", "Keys", "ConsistentRead", "Limit", "ScanIndexForward", "Select"}
        | {"ProjectionExpression", "KeyConditionExpression", "UpdateExpression", "ConditionExpression"}
        | {"FilterExpression", "ExpressionAttributeNames", "AttributesToGet"}
        | {"ReturnValues", "ReturnValuesOnConditionCheckFailure"}
    ),
    "kms": frozenset(
        {"KeyId", "EncryptionContext", "KeySpec", "NumberOfBytes", "EncryptionAlgorithm"}
        | {"SourceEncryptionContext", "DestinationEncryptionContext", "DestinationKeyId"}
    ),
    "lambda": frozenset({"FunctionName", "InvocationType"}),
    "sqs": frozenset(
        {"QueueUrl", "QueueName", "AttributeNames", "MessageSystemAttributeNames", "DelaySeconds"}
        | {"VisibilityTimeout"}
    ),
    "ssm": frozenset({"Name", "Names", "Path", "Recursive", "WithDecryption"}),
}


class Requests:
    """The calls that were seen, oldest first. Not safe for many threads: whoever has it takes turns."""

    def __init__(self) -> None:
        self._seen: deque[Record] = deque(maxlen=_REMEMBERED)
        self._polls: set[str] = set()
        self._table_keys: dict[str, frozenset[str]] = {}

    def note(self, environ: _Environ) -> Record:
        """Remember one HTTP request, whatever AWS protocol it speaks; what was remembered.

        `target` is empty in protocols without targets; `polled` marks Lambda's own look into a queue.
        """
        body = _take_body(environ)
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        service = _credential(environ)[1]
        operation = target.rpartition(".")[2] or _operation(environ, body)
        given = _parsed(body)
        if target.endswith(".CreateTable"):
            self._learn_table(given)
        polled = POLLER in environ.get("HTTP_USER_AGENT", "")
        record: Record = {
            "caller": caller_of(environ),
            "service": service,
            "operation": operation,
            "target": target,
            "parameters": self._view(service, given),
            "left_out": sorted(given.keys() - _KEPT.get(service, frozenset())),
            "polled": polled,
        }
        if polled:
            self._add_poll(record)
        else:
            self._seen.append(record)
        return record

    def add(self, record: object) -> Record:
        """Remember a call that was made elsewhere; gives it back.

        Raises:
            TypeError: not an object with a target.
        """
        if not isinstance(record, dict) or not isinstance(record.get("target"), str):
            raise TypeError("the body must be an object with a target")
        self._seen.append(record)
        return record

    def of(self, function: str | None) -> list[Record]:
        """The calls of one function, or all of them."""
        return [record for record in self._seen if function in (None, record.get("caller"))]

    def clear(self) -> None:
        """Forget all calls."""
        self._seen.clear()
        self._polls.clear()

    def _add_poll(self, record: Record) -> None:
        # One every second says nothing new.
        shape = json.dumps(record, sort_keys=True)
        if shape not in self._polls:
            self._polls.add(shape)
            self._seen.append(record)

    def _learn_table(self, given: Mapping[str, Any]) -> None:
        names = frozenset(part["AttributeName"] for part in given.get("KeySchema", []))
        self._table_keys[str(given.get("TableName"))] = names

    def _view(self, service: str, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in given.items() if name in _KEPT.get(service, frozenset())}
        if service == "dynamodb":
            kept |= self._expressed(given)
        if service == "events":
            kept["EventBusNames"] = sorted({str(e.get("EventBusName")) for e in given.get("Entries", [])})
        if service == "kms" and "KeyId" not in given and (key := _key_of(given.get("CiphertextBlob"))):
            kept["KeyId"] = key
        return kept

    def _expressed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What DynamoDB's nested parameters say, without the values that are written."""
        said: dict[str, Any] = {}
        if isinstance(item := given.get("Item"), dict):
            names = self._table_keys.get(str(given.get("TableName")), frozenset())
            said["ItemAttributes"] = sorted(item)
            said["Key"] = {name: item[name] for name in sorted(names & item.keys())}
        if condition := given.get("KeyConditionExpression"):
            values = given.get("ExpressionAttributeValues", {})
            named = _PLACEHOLDER.findall(condition)
            said["KeyConditionValues"] = {name: values[name] for name in named if name in values}
        if actions := given.get("TransactItems"):
            said["TransactItems"] = [self._each(action) for action in actions]
        if tables := given.get("RequestItems"):
            said["RequestItems"] = {table: self._of_table(table, asked) for table, asked in tables.items()}
        return said

    def _each(self, action: Mapping[str, Any]) -> dict[str, Any]:
        return {kind: self._view("dynamodb", inner) for kind, inner in action.items()}

    def _of_table(self, table: str, asked: Any) -> Any:
        if isinstance(asked, list):
            named = [{kind: {**inner, "TableName": table} for kind, inner in each.items()} for each in asked]
            return [self._each(action) for action in named]
        return self._view("dynamodb", asked)


def caller_of(environ: _Environ) -> str | None:
    """The function that made a request; None for anybody else."""
    return function_of(_credential(environ)[0])


def _take_body(environ: _Environ) -> bytes:
    """The body, which stays readable for whoever comes next."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if "wsgi.input" not in environ or not length.isdecimal():
        return b""
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _credential(environ: _Environ) -> tuple[str, str]:
    """Access key id and signing name of the service; empty without a signature."""
    match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (match[1], match[2]) if match else ("", "")


def _operation(environ: _Environ, body: bytes) -> str:
    """The operation in protocols without targets: query's Action, or else method and path."""
    if "form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        action = parse_qs(body.decode("utf-8", "replace")).get("Action")
        if action:
            return action[0]
    return f"{environ.get('REQUEST_METHOD', '')} {environ.get('PATH_INFO', '')}"


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body) if body else {}
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _key_of(ciphertext: object) -> str | None:
    """The KMS key that the simulated KMS wrote at the head of a ciphertext."""
    try:
        found = _KEY_ID.match(b64decode(str(ciphertext)))
    except ValueError:
        return None
    return found[0].decode() if found else None


def note_call(endpoint_url: str, call: Mapping[str, Any]) -> None:
    """Tell the simulated AWS of a call that was made elsewhere; a stack that is just ending cannot."""
    address = urlsplit(endpoint_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=_NOTE_SECONDS)
    try:
        connection.request("POST", "/_local/requests", body=json.dumps(call))
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()
