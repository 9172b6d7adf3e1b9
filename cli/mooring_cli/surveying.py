"""Reading all connections of an installation, and what is enabled there, for whoever judges them."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mooring.core.connection import Status
from mooring.core.errors import Failure
from mooring.core.provider import Provider
from mooring.providers.catalog import Catalog
from mooring_cli.output import progress
from mooring_cli.project import enabled_providers, known_providers
from mooring_cli.rows import about, pages, scan
from mooring_cli.stack import Stack
from mooring_cli.stage import Stage, asking
from mooring_cli.survey import ATTRIBUTES, Survey
from mooring_cli.unwatched import Place, Unwatched

_KEYS = ("merchant_id", "connection")
_REFRESHABLE: Mapping[str, Any] = {
    "FilterExpression": "#status = :active AND attribute_exists(#refresh) AND attribute_not_exists(#due_at)",
    "ExpressionAttributeNames": {"#status": "status", "#refresh": "refresh", "#due_at": "due_at"},
    "ExpressionAttributeValues": {":active": {"S": Status.ACTIVE.value}},
}


def enabled(stage: Stage) -> tuple[frozenset[str] | None, str]:
    """Which providers are enabled, if that can be told, and where it stands."""
    if stage.stack is not None:
        # None where the stack was not compiled from here.
        return frozenset(stage.stack.providers) or None, "in the running stack"
    # A deployed stage does not say; what it is deployed from does.
    found = enabled_providers(Path.cwd())
    return (None, "") if found is None else (found.ids, f"in {found.file}")


def surveyed(stage: Stage, enabled: frozenset[str] | None, now: int) -> Survey:
    """Read all connections; once more where only their refresh tokens tell whether a time is missing.

    Raises:
        CommandError: AWS does not let us.
    """
    client, table = stage.client("dynamodb"), stage.connections_table
    survey = Survey(enabled, unwatched=Unwatched(_known(stage)))
    with asking(stage), progress("Reading connections", lambda: about(client, table)) as step:
        for row in scan(client, table, ATTRIBUTES, step):
            survey.add(row, now)
    if survey.unwatched.unsure:
        with asking(stage), progress("Looking for refresh tokens", lambda: about(client, table)) as step:
            # That they are there, and not what they are, is all that comes back.
            found = pages(client, table, _KEYS, step, **_REFRESHABLE)
            survey.unwatched.settle({_place(row) for page in found for row in page})
    return survey


def _place(row: Mapping[str, Any]) -> Place:
    return row["merchant_id"]["S"], row["connection"]["S"]


def _known(stage: Stage) -> Mapping[str, Provider]:
    return known_providers(Path.cwd()) if stage.stack is None else _compiled(stage.stack)


def _compiled(stack: Stack) -> Mapping[str, Provider]:
    catalog, known = Catalog(str(stack.compiled)), dict[str, Provider]()
    for name in stack.providers:
        with suppress(Failure):
            known[name] = catalog.get(name)
    return known
