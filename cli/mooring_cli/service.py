"""Calling Mooring's API as a service does: requests signed with SigV4."""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from mooring_cli.advice import Asked, what_to_do
from mooring_cli.errors import CommandError, UsageError
from mooring_cli.stack import Stack
from mooring_cli.stage import Stage, asking, find_stage, physical

_TIMEOUT_SECONDS = 30
_OK, _FORBIDDEN = 200, 403
_SAFE = ("https://", "http://127.0.0.1:", "http://localhost:")
"""What a token may travel over; loopback for a tunnel."""


class Api(NamedTuple):
    """Where the API is, and with what to sign. `local`: it is the stack on this machine.

    `options` lead another command to the same installation, with a space before them.
    """

    base_url: str
    region: str
    credentials: Any
    local: bool
    options: str = ""


def find_api(options: argparse.Namespace, start: Path) -> tuple[Api, Stage]:
    """The API of the installation that the options name.

    A deployed stage's address is `--url`, or what its function `connections` was deployed with.

    Raises:
        CommandError: no such installation, no credentials.
    """
    stage = find_stage(options, start)
    if stage.stack is not None:
        return local_api(stage.stack), stage
    url = options.url or _deployed_url(stage)
    if not url.startswith(_SAFE):
        raise UsageError("--url must begin with https://, because tokens come back from there")
    with asking(stage):
        held = stage.session.get_credentials()
        credentials = held.get_frozen_credentials() if held else None
    if credentials is None:
        raise CommandError("There are no AWS credentials. Choose some with AWS_PROFILE, or log in first")
    return Api(url.rstrip("/"), stage.region, credentials, local=False, options=stage.options), stage


def local_api(stack: Stack) -> Api:
    """The API of the local stack."""
    return Api(stack.base_url, stack.region, Credentials(*stack.credentials), local=True)


def _deployed_url(stage: Stage) -> str:
    with asking(stage):
        found = stage.client("lambda").get_function_configuration(
            FunctionName=physical(stage.name, "connections")
        )
    url = found.get("Environment", {}).get("Variables", {}).get("MOORING_BASE_URL")
    if not isinstance(url, str):
        raise CommandError(
            f"Stage {stage.name} does not say where its API is. Name it with --url https://..."
        )
    return url


class Service:
    """The API of an installation.

    Args:
        api: where it is, and with what to sign.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._signer = SigV4Auth(api.credentials, "execute-api", api.region)
        proxies = {} if api.local else get_environ_proxies(api.base_url)
        self._session = URLLib3Session(timeout=_TIMEOUT_SECONDS, proxies=proxies)

    def connections(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's connections as the API lists them, page by page. Raises CommandError."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self._ask("GET", _path(merchant) + after, merchant)
            found += [entry for entry in page.get("connections") or () if isinstance(entry, dict)]
            if not isinstance(page.get("next"), str):
                return found
            after = f"?next={quote(page['next'], safe='')}"

    def token(self, merchant: str, provider: str, account: str) -> dict[str, Any]:
        """The answer of the token route, with `access_token` in it. Raises CommandError."""
        answer = self._ask("GET", _path(merchant, provider, account, "token"), merchant, provider)
        if not isinstance(answer.get("access_token"), str):
            raise CommandError(f"{self._who()} answered without a token. {self._more({})}")
        return answer

    def refresh(self, merchant: str, provider: str, account: str) -> dict[str, Any]:
        """Have a connection refreshed: `outcome` (refreshed or fresh), `version`, `generation`, `expires_at`.

        Raises:
            CommandError: it was not refreshed; the message says why.
        """
        return self._ask("POST", _path(merchant, provider, account, "refresh"), merchant, provider)

    def disconnect(self, merchant: str, provider: str, account: str) -> dict[str, Any]:
        """Disconnect; once more does no harm. Raises CommandError, also when there never was such one."""
        return self._ask("DELETE", _path(merchant, provider, account), merchant, provider)

    def _ask(self, method: str, path: str, merchant: str, provider: str = "") -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        request = AWSRequest(method=method, url=self._api.base_url + path, headers=headers)
        self._signer.add_auth(request)
        try:
            answer = self._session.send(request.prepare())
        except BotoCoreError:
            advice = "Start it: make run" if self._api.local else "Look at the network, and at --url"
            raise CommandError(f"{self._who()} does not answer at {self._api.base_url}. {advice}") from None
        body = _object(answer.content)
        if answer.status_code != _OK or body is None:
            asked = Asked(merchant, provider, self._api.local, self._api.options)
            raise CommandError(self._explain(answer.status_code, body or {}, asked))
        return body

    def _explain(self, status: int, problem: dict[str, Any], asked: Asked) -> str:
        """What went wrong, from a problem document (RFC 9457), and what to do about it."""
        if status == _FORBIDDEN and "reason" not in problem:
            return self._unsigned()
        if not (problem.get("title") or problem.get("detail")):
            return f"{self._who()} answered with HTTP {status}. {self._more(problem)}"
        return what_to_do(problem, asked, status, self._more(problem))

    def _unsigned(self) -> str:
        if self._api.local:
            return "The local stack refused the signature. Was it restarted? Run the command again."
        return (
            "The API refused your credentials. They need execute-api:Invoke on this path, in this account and"
            " region: docs/quickstart.md"
        )

    def _who(self) -> str:
        return "The local stack" if self._api.local else "The API"

    def _more(self, problem: dict[str, Any]) -> str:
        if self._api.local:
            return "The stack's terminal says more."
        ref = f", ref {problem['ref']}" if isinstance(problem.get("ref"), str) else ""
        return f"The log says more{ref}: docs/runbook.md#a-merchant-gives-you-a-reference"


def _path(merchant: str, *more: str) -> str:
    # A colon stands for itself in a path, and encoded it is not the name that a policy names.
    names = [quote(name, safe=":") for name in (merchant, *more)]
    return "/".join(["/merchants", names[0], "connections", *names[1:]])


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
