"""Services that call the local HTTP API under IAM policies of their own.

The stack's own access key may do anything. A service named in the file of `MOORING_SERVICES` gets a key that
may do what its policy says and nothing else, so that a policy can be tried before anything is deployed.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from local import REGION
from local.policy import Decision, PolicyError, Request, Statement, decide, listed, matches
from local.request import HttpRequest
from local.sigv4 import SERVICE
from local.stack_dir import StackError
from local.template import ACCOUNT

API_ARN = f"arn:aws:{SERVICE}:{REGION}:{ACCOUNT}:local/$default"
"""What stands before the method in the resource of a policy: the stack's output ApiArn."""

PLACEHOLDER = "API_ARN"
"""In a policy file, what the local stack reads as `API_ARN`'s value."""

_SECRET = "mooring-local"  # noqa: S105 - no secret: good for this machine alone
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Service(NamedTuple):
    """One service: its access key, which is temporary as a role's is, and the statements of its policy."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    statements: Sequence[Statement]

    @property
    def credentials(self) -> dict[str, str]:
        """Its access key, as stack.json tells it."""
        return {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "session_token": self.session_token,
        }


Services = Mapping[str, Service]
"""Services by name."""


def read_services(path: Path | None) -> Services:
    """Services from a JSON file with the policy file of each: `{"orders": "orders-policy.json"}`.

    Args:
        path: the file; policies are looked for beside it. None: there is no such service.

    Raises:
        StackError: unreadable, or not as it should be; says where.
    """
    if path is None:
        return {}
    named = _json(path)
    if not isinstance(named, dict) or not all(
        _NAME.fullmatch(name) and isinstance(file, str) for name, file in named.items()
    ):
        raise StackError(
            f'MOORING_SERVICES: {path} must hold policy files by service: {{"orders": "orders.json"}}'
        )
    return {
        name: Service(f"mooring-service-{name}", _SECRET, _token(name), _statements(path.parent / file))
        for name, file in named.items()
    }


def allowed(services: Services, access_key_id: str, request: HttpRequest) -> bool:
    """Whether whoever signed a request may make it.

    AWS does not say whether policies see a path as it was sent or decoded. A request must be allowed in both
    readings here; written without percent-encoding, it has only one.

    Args:
        services: who has a policy; every other key may do anything.
        access_key_id: who signed.
        request: what is asked.
    """
    for service in services.values():
        if service.access_key_id == access_key_id:
            paths = {request.path, unquote(request.path)}
            return all(_decide(service, f"{API_ARN}/{request.method}{path}") for path in paths)
    return True


def _token(name: str) -> str:
    # Like a real one in the signs that it has, which some programs forget to encode, or encode in vain.
    return f"mooring+local/{name}=="


def _decide(service: Service, resource: str) -> bool:
    principal = f"arn:aws:iam::{ACCOUNT}:user/{service.access_key_id}"
    request = Request(principal, f"{SERVICE}:Invoke", resource)
    return decide(request, service.statements) is Decision.ALLOWED


def _statements(path: Path) -> Sequence[Statement]:
    """The statements of a policy file that speak of the API; the others are about what is not simulated."""
    policy = _json(path)
    found = policy.get("Statement") if isinstance(policy, dict) else None
    statements = [found] if isinstance(found, dict) else found
    if not isinstance(statements, list) or not all(isinstance(each, dict) for each in statements):
        raise StackError(f"MOORING_SERVICES: {path} must be an IAM policy with a list of statements")
    about = [_with_api_arn(each) for each in statements if _speaks_of_the_api(each)]
    try:
        for each in about:
            _check(each)
    except PolicyError as error:
        raise StackError(f"MOORING_SERVICES: {path}: {error}") from error
    return about


def _check(statement: Statement) -> None:
    """Evaluate all of a statement once: what is not understood is said at the start, not later."""
    if statement.get("Effect") not in ("Allow", "Deny") or not {"Resource", "NotResource"} & statement.keys():
        raise PolicyError("each statement needs an Effect and a Resource")
    for arn in listed(statement.get("Resource", "*")):
        matches(statement, Request("", f"{SERVICE}:Invoke", arn))


def _speaks_of_the_api(statement: Statement) -> bool:
    actions = listed(statement.get("Action", [f"{SERVICE}:"]))
    return any(action == "*" or action.lower().startswith(f"{SERVICE}:") for action in actions)


def _with_api_arn(statement: Statement) -> dict[str, Any]:
    filled: dict[str, Any] = dict(statement)
    for element in ("Resource", "NotResource"):
        if element in filled:
            filled[element] = [arn.replace(PLACEHOLDER, API_ARN) for arn in listed(filled[element])]
    return filled


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise StackError(f"MOORING_SERVICES: cannot read {path}: {reason}") from None
    except json.JSONDecodeError as error:
        raise StackError(f"MOORING_SERVICES: {path}:{error.lineno} is not JSON: {error.msg}") from None
