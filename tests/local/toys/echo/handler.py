"""Answers with what it got, or does what the query's `do` says."""

import base64
import json
import os
import sys
import time
from typing import Any
from urllib.parse import parse_qs

print("toy starts", file=sys.stderr)
_served = 0


def handler(event: dict[str, Any], context: Any) -> Any:
    """The toy function."""
    global _served
    _served += 1
    if "Records" in event:
        return _batch(event["Records"])
    asked = parse_qs(event.get("rawQueryString", ""))
    do = event.get("do") or asked.get("do", ["echo"])[0]
    seconds = float(event.get("seconds") or asked.get("seconds", ["0"])[0])
    print(json.dumps({"level": "INFO", "message": "toy", "outcome": do, "service": "toy"}))
    time.sleep(seconds)
    if do == "raise":
        raise ValueError("boom")
    if do == "exit":
        os._exit(3)
    return _ANSWERS[do](event, context)


def _echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
    left_ms = context.get_remaining_time_in_millis()
    about = {"event": event, "served": _served, "pid": os.getpid(), "left_ms": left_ms}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(about)}


def _batch(records: list[dict[str, Any]]) -> Any:
    """One line for each record; the body says whether it fails, breaks everything, or what is answered."""
    failures, answer = [], None
    for record in records:
        do = json.loads(record["body"]).get("do", "done")
        answer = json.loads(record["body"]).get("answer", answer)
        outcome = {"level": "INFO", "message": "toy", "outcome": do, "record": record}
        print(json.dumps(outcome))
        time.sleep(float(json.loads(record["body"]).get("seconds", 0)))
        if do == "raise":
            raise ValueError("boom")
        if do == "fail":
            failures.append({"itemIdentifier": record["messageId"]})
    return answer or {"batchItemFailures": failures}


_ANSWERS = {
    "tick": lambda *_: {"enqueued": 0},
    "echo": _echo,
    "environment": lambda *_: dict(os.environ),
    "modules": lambda *_: {"path": sys.path, "boto3": _has("boto3")},
    "cookies": lambda *_: {
        "statusCode": 303,
        "headers": {"location": "https://example.com/?a=b%20c"},
        "cookies": ["a=1; Path=/; HttpOnly", "b=2; Path=/; Secure"],
    },
    "binary": lambda *_: {
        "statusCode": 200,
        "headers": {"content-type": "application/octet-stream"},
        "body": base64.b64encode(bytes(range(256))).decode(),
        "isBase64Encoded": True,
    },
    "nonsense": lambda *_: {"statusCode": "many", "body": "x"},
    "bad_header": lambda *_: {"statusCode": 200, "headers": {"x-a": "1\r\nx-b: 2"}, "body": "x"},
    "error_shaped": lambda *_: {
        "statusCode": 200,
        "body": json.dumps({"errorType": "a", "errorMessage": "b"}),
    },
}


def _has(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True
