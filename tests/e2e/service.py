"""A service of the product: it reads tokens and says what became of them, and signs every request."""

import json
from typing import Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from mooring.core.upkeep import Key
from tests.e2e.running import RunningStack

_TIMEOUT_SECONDS = 60


class Service:
    """Calls the routes that services call; each method gives back the answer, whatever it is.

    Args:
        stack: the running stack; it learns of every token that is given out here.
    """

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack

    def list(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's connections."""
        found: list[dict[str, Any]] = self._call("GET", f"/merchants/{merchant}/connections").json()[
            "connections"
        ]
        return found

    def page(self, merchant: str, query: str) -> requests.Response:
        """One page of a merchant's connections, narrowed by a query."""
        return self._call("GET", f"/merchants/{merchant}/connections?{query}")

    def one(self, key: Key) -> requests.Response:
        """Look at one connection."""
        return self._call("GET", _path(key))

    def token(self, key: Key, min_ttl: int | None = None) -> requests.Response:
        """Ask for a token, good for `min_ttl` seconds more."""
        asked = "" if min_ttl is None else f"?min_ttl={min_ttl}"
        answer = self._call("GET", f"{_path(key)}/token{asked}")
        if answer.ok:
            self._stack.given_out.add(answer.json()["access_token"])
        return answer

    def report(self, key: Key, token: dict[str, Any]) -> requests.Response:
        """Say that the provider answered 401 to a token, which is given as the token route gave it."""
        told = {"generation": token["generation"], "version": token["version"]}
        return self._call("POST", f"{_path(key)}/unauthorized", json.dumps(told).encode())

    def refresh(self, key: Key) -> requests.Response:
        """Have it refreshed now."""
        return self._call("POST", f"{_path(key)}/refresh")

    def disconnect(self, key: Key) -> requests.Response:
        """Cut it off."""
        return self._call("DELETE", _path(key))

    def _call(self, method: str, path: str, body: bytes = b"") -> requests.Response:
        own = self._stack.info["credentials"]
        credentials = Credentials(own["access_key_id"], own["secret_access_key"])
        url = f"{self._stack.base_url}{path}"
        request = AWSRequest(method, url, data=body, headers={"Content-Type": "application/json"})
        SigV4Auth(credentials, "execute-api", self._stack.info["region"]).add_auth(request)
        headers = dict(request.headers.items())
        return requests.request(
            method, url, data=body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
        )


def _path(key: Key) -> str:
    return f"/merchants/{key.merchant_id}/connections/{key.provider}/{key.account_id}"
