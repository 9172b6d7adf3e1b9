"""Every answer of the services' routes, held against the models that `docs/openapi.yaml` is made of."""

import json

from pydantic import BaseModel

from mooring.entry import service_api as api
from mooring.entry import service_models as models
from mooring.entry.http_api import HEADERS, Response

OK, CONFLICT = 200, 409
ANSWERS: dict[str, type[BaseModel]] = {
    api.LIST_ROUTE: models.ConnectionList,
    api.CONNECTION_ROUTE: models.Connection,
    api.TOKEN_ROUTE: models.Token,
    api.UNAUTHORIZED_ROUTE: models.Renewed,
    api.REFRESH_ROUTE: models.Renewed,
    api.DISCONNECT_ROUTE: models.Disconnected,
}


def check(route: object, response: Response) -> None:
    """An answer is what its model says, with nothing besides, and nobody caches it.

    Raises:
        AssertionError: it is not.
    """
    status, headers = response["statusCode"], response["headers"]
    model: type[BaseModel] = models.ConnectionProblem if status == CONFLICT else models.Problem
    kind = "application/problem+json"
    if status == OK:
        model, kind = ANSWERS[str(route)], "application/json"
    assert headers == {**HEADERS, "content-type": kind}
    assert headers["cache-control"] == "no-store"
    found = model.model_validate_json(response["body"])
    body = json.loads(response["body"])
    assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == body
    assert status == OK or body["status"] == status
