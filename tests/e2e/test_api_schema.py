"""What `docs/openapi.yaml` says, against what the stack answers to requests that nobody thought of.

Schemathesis makes them from the description: some as they should be, most not, all of them signed. It checks
that there is no 5xx, that statuses, content types, headers and bodies are described, that what is wrong is
refused and what is right accepted, that nothing is served without a signature. In CI the requests are the
same each time.
"""

from typing import Any

import pytest
import requests
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import settings
from schemathesis.specs.openapi.schemas import OpenApiSchema

from mooring.core.upkeep import Key
from tests.e2e.running import RunningStack
from tests.e2e.story import Merchant
from tests.e2e.visitor import Page
from tests.support import ROOT

FILE = ROOT / "docs/openapi.yaml"
PROVIDERS = ("whatconverts", "xeno", "yotpo")
OK, FORBIDDEN, SECONDS = 200, 403, 60


class Signature(requests.auth.AuthBase):
    """Signs each request as it goes out, whatever is in it; `signer` is there once the stack is."""

    signer: SigV4Auth

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        same = AWSRequest(request.method, request.url, data=request.body or b"")
        self.signer.add_auth(same)
        request.headers.update(dict(same.headers.items()))
        return request


SIGNATURE = Signature()


def description(mode: str, auth: Signature | None = SIGNATURE) -> OpenApiSchema:
    """What is described, as schemathesis reads it."""
    # One check insists on 401 where nobody signed. API Gateway answers 403, and a test below looks at that.
    checks = {"missing_required_header": {"enabled": False}}
    config = schemathesis.Config.from_dict({"generation": {"mode": mode}, "checks": checks})
    found = schemathesis.openapi.from_path(FILE, config=config)
    if auth is not None:
        found.auth.set_from_requests(auth)
    return found


API, GOOD, UNSIGNED = description("all"), description("positive"), description("positive", None)


@pytest.fixture(autouse=True, scope="module")
def signer(stack: RunningStack) -> None:
    """The stack's own key signs."""
    own = stack.info["credentials"]
    credentials = Credentials(own["access_key_id"], own["secret_access_key"])
    SIGNATURE.signer = SigV4Auth(credentials, "execute-api", stack.info["region"])


@pytest.fixture(scope="module")
def connected(stack: RunningStack, seen: list[Page]) -> dict[str, dict[str, Key]]:
    """Two merchants with a connection of each provider: one to read, and one to cut off."""
    found: dict[str, dict[str, Key]] = {}
    for purpose in ("read", "cut off"):
        merchant = Merchant(stack, seen)
        for provider in PROVIDERS:
            account = merchant.connect(provider).query["connection"][0].partition("#")[2]
            found.setdefault(purpose, {})[provider] = Key(merchant.name, provider, account)
    return found


def send(case: Any, stack: RunningStack) -> Any:
    """Send it; a token that comes back is noted."""
    response = case.call(base_url=stack.base_url, timeout=SECONDS, allow_redirects=False)
    if response.status_code == OK and "access_token" in response.text:
        stack.given_out.add(response.json()["access_token"])
    return response


def without_made_up_cursor(case: Any) -> None:
    """No schema tells a cursor that we gave from one that somebody made up, and we refuse those."""
    if case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE:
        case.query.pop("next", None)


@API.parametrize()
@settings(max_examples=25)
def test_whatever_is_asked(case: Any, stack: RunningStack) -> None:
    without_made_up_cursor(case)
    case.validate_response(send(case, stack))


@pytest.mark.parametrize("provider", PROVIDERS)
@GOOD.parametrize()
@settings(max_examples=4)
def test_whatever_is_asked_of_a_connection_that_is_there(
    case: Any, provider: str, stack: RunningStack, connected: dict[str, dict[str, Key]]
) -> None:
    key = connected["cut off" if case.method == "DELETE" else "read"][provider]
    case.path_parameters.update(
        {name: value for name, value in key._asdict().items() if name in case.path_parameters}
    )
    without_made_up_cursor(case)
    response = send(case, stack)
    case.validate_response(response)
    assert case.method == "POST" or response.status_code == OK


@UNSIGNED.parametrize()
@settings(max_examples=2)
def test_without_a_signature_the_gateway_answers_and_as_described(case: Any, stack: RunningStack) -> None:
    response = send(case, stack)
    assert (response.status_code, response.json()) == (FORBIDDEN, {"message": "Forbidden"})
    case.validate_response(response, excluded_checks=[accepted()])


def accepted() -> Any:
    """The check that what is right is accepted, which it is not from somebody without a name."""
    return schemathesis.checks.CHECKS.get_one("positive_data_acceptance")


@pytest.mark.parametrize("path", ["/merchants", "/merchants/m-1/connections/", "/merchants//connections"])
def test_a_path_that_nobody_has_is_answered_as_described(path: str, stack: RunningStack) -> None:
    response = requests.get(f"{stack.base_url}{path}", auth=SIGNATURE, timeout=SECONDS)
    operation = API["/merchants/{merchant_id}/connections"]["GET"]
    assert (response.status_code, response.json()) == (404, {"message": "Not Found"})
    operation.validate_response(response)
