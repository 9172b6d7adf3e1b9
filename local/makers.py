"""How single resources are made through their services' APIs (see `provision`)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local import REGION
from local.template import TemplateError

_FIRST_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Made:
    """What a reference to a resource, and to its attributes, stands for."""

    ref: str
    attributes: Mapping[str, str]


def call(name: str, operation: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """Call an AWS operation for a resource.

    Raises:
        TemplateError: it was refused; names the resource.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return operation(**parameters)
    except (BotoCoreError, ClientError) as error:
        # A property that boto3 does not take under the same name ends here as well.
        raise TemplateError(f"{name}: {' '.join(str(error).split())}") from error


def queue_attributes(properties: Mapping[str, Any]) -> dict[str, str]:
    """A queue's properties as SQS takes them: everything is a text."""
    return {name: _text(value) for name, value in properties.items()}


def bus(name: str, properties: dict[str, Any], events: Any) -> Made:
    """Make an `AWS::Events::EventBus`."""
    arn = call(name, events.create_event_bus, properties)["EventBusArn"]
    return Made(properties["Name"], {"Arn": arn, "Name": properties["Name"]})


def bucket(name: str, properties: dict[str, Any], s3: Any) -> Made:
    """Make an `AWS::S3::Bucket`, private and encrypted as it is declared.

    Raises:
        TemplateError: it has a property that is not understood here.
    """
    properties = dict(properties)
    found = properties.pop("BucketName", f"mooring-local-{name.lower()}")
    region = {} if REGION == _FIRST_REGION else {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    call(name, s3.create_bucket, {"Bucket": found, **region})
    for key, value in properties.items():
        if key not in _BUCKET_MAKERS:
            raise TemplateError(f"{name}: the local stack does not know {key} of a bucket")
        operation, parameter, shape = _BUCKET_MAKERS[key]
        call(name, getattr(s3, operation), {"Bucket": found, parameter: shape(value)})
    return Made(found, {"Arn": f"arn:aws:s3:::{found}"})


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encryption(given: Mapping[str, Any]) -> dict[str, Any]:
    rules = []
    for rule in given["ServerSideEncryptionConfiguration"]:
        usual = dict(rule["ServerSideEncryptionByDefault"])
        rules.append({**rule, "ApplyServerSideEncryptionByDefault": usual})
        del rules[-1]["ServerSideEncryptionByDefault"]
    return {"Rules": rules}


def _lifecycle(given: Mapping[str, Any]) -> dict[str, Any]:
    rules = []
    for rule in given["Rules"]:
        said = {key: value for key, value in rule.items() if key not in ("Id", "ExpirationInDays")}
        more = {"Expiration": {"Days": int(rule["ExpirationInDays"])}} if "ExpirationInDays" in rule else {}
        rules.append({"ID": rule["Id"], "Filter": {"Prefix": ""}, **said, **more})
    return {"Rules": rules}


def _same(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return given


_BUCKET_MAKERS: Mapping[str, tuple[str, str, Callable[[Any], Any]]] = {
    "BucketEncryption": ("put_bucket_encryption", "ServerSideEncryptionConfiguration", _encryption),
    "LifecycleConfiguration": ("put_bucket_lifecycle_configuration", "LifecycleConfiguration", _lifecycle),
    "OwnershipControls": ("put_bucket_ownership_controls", "OwnershipControls", _same),
    "PublicAccessBlockConfiguration": (
        "put_public_access_block",
        "PublicAccessBlockConfiguration",
        _same,
    ),
    "VersioningConfiguration": ("put_bucket_versioning", "VersioningConfiguration", _same),
}
"""Operation and parameter of each property of a bucket, and how CloudFormation's shape becomes the API's."""
