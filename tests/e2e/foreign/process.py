"""The foreign authorization server as a child process, and what its database and its log of requests say."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from local.processes import free_port
from tests.e2e.foreign.server import PASSWORD, USER, Setup
from tests.support import ROOT

# A secret with every kind of character that form-encoding changes (RFC 6749 2.3.1).
CLIENT_SECRET = "canary-acme: a+b/c%d&e=f~100%"
CLIENT_ID = "acme:client/1"


class ForeignServer:
    """A running django-oauth-toolkit.

    Args:
        folder: an empty folder for its database and its list of requests.
        redirect_uris: what the application may be sent back to.
    """

    def __init__(self, folder: Path, redirect_uris: list[str]) -> None:
        self._database, self._calls = folder / "foreign.sqlite3", folder / "calls.txt"
        setup = Setup(
            free_port(),
            str(self._database),
            str(self._calls),
            CLIENT_ID,
            CLIENT_SECRET,
            " ".join(redirect_uris),
        )
        self.base_url = setup.origin
        self.login = {"username": USER, "password": PASSWORD}
        self._errors = folder / "foreign.log"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.foreign.server", json.dumps(setup._asdict())],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def wait(self) -> None:
        """Return when it listens; start other things meanwhile.

        Raises:
            AssertionError: it does not start; with what it said.
        """
        assert self._process.stdout is not None
        first = self._process.stdout.readline().strip()
        assert first == b"ready", self._errors.read_text()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def requests(self, path: str) -> list[str]:
        """`METHOD path status` of each request of a path, oldest first."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [line for line in lines if line.split(" ")[1] == path]

    def access_tokens(self) -> list[str]:
        """Every access token it ever issued, oldest first, from its own database."""
        return self._column("select token from oauth2_provider_accesstoken order by id")

    def revoked(self) -> list[bool]:
        """Of every refresh token that it ever issued, oldest first, whether it was revoked."""
        return self._column("select revoked is not null from oauth2_provider_refreshtoken order by id")

    def secrets(self) -> list[str]:
        """Every token and every code that its database knows."""
        refresh = self._column("select token from oauth2_provider_refreshtoken")
        return [*self.access_tokens(), *refresh, *self._column("select code from oauth2_provider_grant")]

    def _column(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self._database)) as connection:
            return [row[0] for row in connection.execute(query)]


def descriptor(provider: str, base_url: str, ends: str = "token") -> str:
    """The whole description of the foreign server, as an operator would write it.

    `ends` is what its revocations are said to end.
    """
    return f"""
id: {provider}
name: Acme CRM
sources:
  - {{title: RFC 6749, url: "https://www.rfc-editor.org/rfc/rfc6749", read: 2026-11-22}}
scopes:
  available: [contacts, orders]
  default: [contacts]
authorize:
  url: {base_url}/o/authorize/
  pkce: true
callback:
  issuer: {base_url}
token:
  url: {base_url}/o/token/
  client_authentication: client_secret_basic
response:
  refresh_token: refresh_token
refresh:
  rotation: always
revoke:
  url: {base_url}/o/revoke_token/
  ends: {ends}
"""
