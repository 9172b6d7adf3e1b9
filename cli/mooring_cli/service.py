"""Calling Mooring's API as a service does: GET requests signed with SigV4."""

import json
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from mooring_cli.errors import CommandError
from mooring_cli.stack import Stack

_TIMEOUT_SECONDS = 30
_OK, _FORBIDDEN = 200, 403
_WHAT_TO_DO = {
    "connection_not_found": "See what is there: mooring connections {merchant}",
    "connection_not_active": "Connect it again, starting with: mooring link --merchant {merchant} ...",
    "token_expired": "Connect it again, starting with: mooring link --merchant {merchant} ...",
}


class Service:
    """The API of a running stack.

    Args:
        stack: where it is, and with what to sign.
    """

    def __init__(self, stack: Stack) -> None:
        self._base_url = stack.base_url
        self._signer = SigV4Auth(Credentials(*stack.credentials), "execute-api", stack.region)
        self._session = URLLib3Session(timeout=_TIMEOUT_SECONDS, proxies={})

    def connections(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's connections as the API lists them. Raises CommandError."""
        found = self._get(f"/merchants/{quote(merchant, safe='')}/connections", merchant).get("connections")
        return [entry for entry in found or () if isinstance(entry, dict)]

    def token(self, merchant: str, provider: str, account: str) -> dict[str, Any]:
        """The answer of the token route, with `access_token` in it. Raises CommandError."""
        names = [quote(name, safe="") for name in (merchant, provider, account)]
        answer = self._get("/merchants/{}/connections/{}/{}/token".format(*names), merchant)
        if not isinstance(answer.get("access_token"), str):
            raise CommandError("The local stack answered without a token. Its terminal says more.")
        return answer

    def _get(self, path: str, merchant: str) -> dict[str, Any]:
        request = AWSRequest(method="GET", url=self._base_url + path, headers={"Accept": "application/json"})
        self._signer.add_auth(request)
        try:
            answer = self._session.send(request.prepare())
        except BotoCoreError:
            raise CommandError(
                f"The local stack does not answer at {self._base_url}. Start it: make run"
            ) from None
        body = _object(answer.content)
        if answer.status_code != _OK or body is None:
            raise CommandError(_explain(answer.status_code, body or {}, merchant))
        return body


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _explain(status: int, problem: dict[str, Any], merchant: str) -> str:
    """What went wrong, from a problem document (RFC 9457), and what to do about it."""
    if status == _FORBIDDEN and "reason" not in problem:
        return "The local stack refused the signature. Was it restarted? Run the command again."
    said = [str(problem[key]) for key in ("title", "detail") if problem.get(key)]
    text = ": ".join(said).rstrip(".") or f"The stack answered with HTTP {status}"
    advice = _WHAT_TO_DO.get(str(problem.get("reason")), "The stack's terminal says more.")
    return f"{text}. {advice.format(merchant=merchant)}"
