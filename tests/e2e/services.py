"""Services of the running stack: each has a key of its own, and may do what a documented policy says."""

import json
from pathlib import Path
from typing import Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support import ROOT

#: What stands for the words in capitals of docs/policies.
WORDS = {"MERCHANT_ID": "m-reads", "PROVIDER": "whatconverts", "ACCOUNT_ID": "default"}
POLICIES = ROOT / "docs/policies"
_TIMEOUT_SECONDS = 60


def write_services(folder: Path) -> Path:
    """One service for each documented policy, called like it; the file that MOORING_SERVICES wants."""
    own = folder / "policies"
    own.mkdir()
    for path in POLICIES.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        for word, value in WORDS.items():
            text = text.replace(word, value)
        (own / path.name).write_text(text)
    services = own / "services.json"
    services.write_text(json.dumps({path.stem: path.name for path in POLICIES.glob("*.json")}))
    return services


class Caller:
    """Whoever signs with one of the keys in stack.json.

    Args:
        info: the content of stack.json.
        name: a service's name; without one it is the stack's own key, which may do everything.
    """

    def __init__(self, info: dict[str, Any], name: str | None = None) -> None:
        self.keys: dict[str, str] = info["services"][name] if name else info["credentials"]
        """Id, secret, and of a service the session token, in this order."""
        self._base_url, self._region = info["base_url"], info["region"]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that an AWS SDK and the programs of docs/reading-tokens.md look for."""
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        keys = dict(zip(names, self.keys.values(), strict=False))
        return {"MOORING_BASE_URL": self._base_url, "AWS_REGION": self._region, **keys}

    def ask(self, target: str, body: dict[str, Any] | None = None) -> requests.Response:
        """One signed request of a `METHOD /path`, which is sent as it is written."""
        method, _, path = target.partition(" ")
        data = b"" if body is None else json.dumps(body).encode()
        request = AWSRequest(method, self._base_url + path, {"Content-Type": "application/json"}, data)
        credentials = Credentials(*self.keys.values())
        SigV4Auth(credentials, "execute-api", self._region).add_auth(request)
        prepared = requests.Request(
            method, self._base_url, headers=dict(request.headers.items()), data=data
        ).prepare()
        prepared.url = self._base_url + path  # as it is: requests would tidy it up
        with requests.Session() as session:
            return session.send(prepared, timeout=_TIMEOUT_SECONDS, allow_redirects=False)

    def status(self, target: str, body: dict[str, Any] | None = None) -> int:
        """The status of its answer."""
        return self.ask(target, body).status_code
