"""Listing and ending a merchant's connections over Mooring's API, signed with SigV4 like any AWS call."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_TIMEOUT_SECONDS = (2, 15)
_OK, _NO_CONTENT = 200, 204


class Row(NamedTuple):
    """One connection as the API lists it; there is no token in the answer. Times are epoch seconds."""

    provider: str
    account_id: str
    status: str
    generation: int
    version: int
    scopes: tuple[str, ...]
    expires_at: int | None
    connected_at: int
    last_error: str | None
    revocation: str | None = None


class Listing(NamedTuple):
    """A merchant's connections. `trouble` says why there are none to show, None when all is well."""

    rows: tuple[Row, ...]
    trouble: str | None = None
    more: bool = False


class ConnectionsApi:
    """Calls `GET /merchants/{merchant_id}/connections` and `DELETE …/{provider}/{account_id}`.

    Args:
        base_url: Mooring's base URL.
        region: AWS region for the signature.
        credentials: access key id and secret access key.
    """

    def __init__(self, base_url: str, region: str, credentials: tuple[str, str]) -> None:
        self._base_url = base_url
        self._signer = SigV4Auth(Credentials(*credentials), "execute-api", region)

    def list(self, merchant: str, agent: str) -> Listing:
        """The merchant's connections; a fault becomes a `Listing` with `trouble`, never an exception.

        Args:
            merchant: a merchant id; all of its characters may stand in a path as they are.
            agent: User-Agent of the call, so that a poll can be told from a page view.
        """
        try:
            answer = self._call("GET", f"/merchants/{merchant}/connections", agent)
        except requests.RequestException:
            return Listing((), "Mooring does not answer. Is the local stack still starting, or stopped?")
        if answer.status_code != _OK:
            return Listing((), f"Mooring answered the list call with {answer.status_code}.")
        try:
            return _read(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            return Listing((), "Mooring's answer to the list call could not be read.")

    def disconnect(self, merchant: str, provider: str, account_id: str, agent: str) -> bool:
        """End one connection; whether that was done. A fault is an answer, never an exception.

        Args:
            merchant: a merchant id.
            provider: a provider id.
            account_id: which of the merchant's accounts there.
            agent: User-Agent of the call.
        """
        path = f"/merchants/{merchant}/connections/{provider}/{account_id}"
        try:
            return self._call("DELETE", path, agent).status_code in {_OK, _NO_CONTENT}
        except requests.RequestException:
            return False

    def _call(self, method: str, path: str, agent: str) -> requests.Response:
        url = self._base_url + path
        unsigned = AWSRequest(method=method, url=url, headers={"Accept": "application/json"})
        self._signer.add_auth(unsigned)
        with requests.Session() as session:
            session.trust_env = False
            headers = {**dict(unsigned.headers), "User-Agent": agent}
            return session.request(
                method, url, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            )


def _read(body: Mapping[str, Any]) -> Listing:
    return Listing(tuple(_row(item) for item in body["connections"]), more=body.get("next") is not None)


def _row(item: Mapping[str, Any]) -> Row:
    expires_at, last_error = item.get("expires_at"), item.get("last_error")
    revocation = item.get("revocation")
    return Row(
        provider=str(item["provider"]),
        account_id=str(item["account_id"]),
        status=str(item["status"]),
        generation=int(item["generation"]),
        version=int(item["version"]),
        scopes=tuple(str(scope) for scope in item.get("scopes") or ()),
        expires_at=None if expires_at is None else int(expires_at),
        connected_at=int(item["connected_at"]),
        last_error=None if last_error is None else str(last_error),
        revocation=None if revocation is None else str(revocation),
    )
