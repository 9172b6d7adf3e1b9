"""The bucket of what could not be told, in S3.

An object has the form in which Lambda itself leaves there what it gives up, so that both are read alike:
`payload` is the event, as JSON in a text.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mooring.adapters.aws_errors import failing_as
from mooring.core.errors import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "mooring/announce/"
CONDITION = "NotUnderstood"


class S3Undelivered:
    """A bucket in S3.

    Args:
        client: an S3 client.
        bucket: its name.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def keep(self, record: Mapping[str, object]) -> None:
        """Keep a record of the stream; its own id is the object's name. Raises `Failure`, see the port."""
        body = {
            "version": "1.0",
            "requestContext": {"condition": CONDITION},
            "payload": json.dumps({"Records": [record]}),
        }
        with failing_as(Reason.STORAGE_UNAVAILABLE):
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{PREFIX}{_name(record)}.json",
                Body=json.dumps(body).encode(),
                ContentType="application/json",
            )


def _name(record: Mapping[str, object]) -> str:
    """The record's own id, of which S3 and people take every character."""
    found = "".join(letter for letter in str(record.get("eventID")) if letter.isalnum() and letter.isascii())
    return found[:64] or "nameless"
