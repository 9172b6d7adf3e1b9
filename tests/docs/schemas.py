"""The JSON Schemas of the events, and what an event has to be."""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from tests.docs.markdown import ROOT

FOLDER = ROOT / "docs/events"


def file_of(detail_type: str) -> str:
    """The name of the schema's file of a type of event."""
    return f"{detail_type.lower().replace(' ', '-')}.schema.json"


def schema_of(detail_type: str) -> dict[str, Any]:
    """The schema of a type of event."""
    found: dict[str, Any] = json.loads((FOLDER / file_of(detail_type)).read_text(encoding="utf-8"))
    return found


def check_event(event: Mapping[str, Any]) -> None:
    """Hold an event, as a rule's target gets it, against its schema; it has no more than that says.

    Raises:
        AssertionError: it is not as its schema says.
    """
    schema = schema_of(str(event["detail-type"]))
    found = [error.message for error in Draft202012Validator(schema).iter_errors(event)]
    assert found == []
    assert event["detail"].keys() == schema["properties"]["detail"]["properties"].keys()
