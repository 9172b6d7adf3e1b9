"""The signed HTTP API, as a service calls it: SigV4, one connection pool, no redirects, no retries."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from mooring.client.access_token import AccessToken, Facts
from mooring.client.errors import SetupError, TokenUnavailable
from mooring.client.failures import NO_CREDENTIALS, refused
from mooring.client.ports import Given, Report
from mooring.client.provider_api import parse_provider_api
from mooring.core.errors import Reason
from mooring.core.upkeep import Key, Seen

CONNECT_SECONDS, READ_SECONDS = 3, 29
"""The functions behind the API answer within 28 seconds."""
CONNECTIONS = 50
_SAFE = ("https://", "http://127.0.0.1:", "http://localhost:")
"""What a token may travel over; loopback for a local stack."""
_NO_URL = (
    "it is not known where Mooring's API is: give Connections the base_url, or set MOORING_API_URL, to the "
    "public base URL of the installation, such as https://connect.example.com"
)
_OK = 200


class SignedApi:
    """The routes that a service calls.

    Args:
        base_url: the installation's public base URL, or an empty text when that is not known.
        region: for the signature.
        credentials: gives those that are valid now, or None where there are none.
    """

    def __init__(
        self,
        base_url: str,
        region: str,
        credentials: Callable[[], Credentials | None],
    ) -> None:
        if base_url and (not base_url.startswith(_SAFE) or "@" in base_url):
            raise SetupError("the base URL must begin with https://, because tokens come back from there")
        self._base_url = base_url.rstrip("/")
        self._region = region
        self._credentials = credentials
        proxies = {} if base_url.startswith("http:") else get_environ_proxies(base_url)
        self._session = URLLib3Session(
            timeout=(CONNECT_SECONDS, READ_SECONDS),  # type: ignore[arg-type]  # the stubs know one number only
            proxies=proxies,
            max_pool_connections=CONNECTIONS,
        )

    def token(self, key: Key, min_ttl: int) -> Given:
        """A token that lives for `min_ttl` seconds, refreshed first if need be. Raises `MooringError`."""
        return _given(key, self._ask("GET", key, f"/token?min_ttl={min_ttl}"))

    def report(self, token: AccessToken) -> Report:
        """Say that the provider answered 401 to a token. Raises `MooringError`."""
        body = {"generation": token.generation, "version": token.version}
        answer = self._ask("POST", token.key, "/unauthorized", json.dumps(body).encode())
        try:
            return Report(str(answer["outcome"]), int(answer["generation"]), int(answer["version"]))
        except (KeyError, TypeError, ValueError):
            pass
        raise TokenUnavailable(Reason.API_UNAVAILABLE, "the answer to a report is not understood")

    def disconnect(self, key: Key) -> None:
        """Cut a connection off. Raises `MooringError`."""
        self._ask("DELETE", key, "")

    def _ask(self, method: str, key: Key, path: str, body: bytes = b"") -> Mapping[str, Any]:
        if not self._base_url:
            raise SetupError(_NO_URL)
        # A colon stays as it is: sent encoded, it is not the name that a policy of AWS's names.
        names = [quote(name, safe=":") for name in key]
        url = f"{self._base_url}/merchants/{names[0]}/connections/{names[1]}/{names[2]}{path}"
        headers = {"Accept": "application/json", **({"Content-Type": "application/json"} if body else {})}
        request = AWSRequest(method, url, data=body, headers=headers)
        self._sign(request)
        status, content = self._send(request)
        answer = _object(content)
        if status != _OK:
            raise refused(key, status, answer or {})
        if answer is None:
            raise TokenUnavailable(Reason.API_UNAVAILABLE, "the answer is not JSON")
        return answer

    def _sign(self, request: AWSRequest) -> None:
        try:
            found = self._credentials()
            frozen = found.get_frozen_credentials() if found else None
        except BotoCoreError as error:
            raise TokenUnavailable(Reason.API_UNAVAILABLE, type(error).__name__) from None
        if frozen is None:
            raise SetupError(NO_CREDENTIALS)
        SigV4Auth(frozen, "execute-api", self._region).add_auth(request)

    def _send(self, request: AWSRequest) -> tuple[int, bytes]:
        try:
            answer = self._session.send(request.prepare())
        except BotoCoreError as error:
            why = type(error).__name__
        else:
            return answer.status_code, answer.content
        # Outside of the handler, so that nothing of the request hangs on the exception.
        raise TokenUnavailable(Reason.API_UNAVAILABLE, why)


def _given(key: Key, answer: Mapping[str, Any]) -> Given:
    """The token route's answer, read strictly. Raises `TokenUnavailable`."""
    expires_at, warning = answer.get("expires_at"), answer.get("warning")
    try:
        facts = Facts(
            key,
            Seen(int(answer["generation"]), int(answer["version"])),
            tuple(str(scope) for scope in answer["scopes"]),
            None if expires_at is None else int(expires_at),
            str(warning) if warning else None,
        )
        value = answer["access_token"]
        if not isinstance(value, str) or not value:
            raise TypeError
    except (KeyError, TypeError, ValueError):
        pass
    else:
        return Given(AccessToken(value, facts), parse_provider_api(answer, value))
    raise TokenUnavailable(Reason.API_UNAVAILABLE, "the token's answer is not understood")


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
