"""The test controls of one simulated provider, and its own API as a product would call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

_TIMEOUT_SECONDS = 15


class Simulator:
    """The controls under `/_sim/` of one simulated provider.

    Args:
        provider: its id.
        base_url: its origin.
    """

    def __init__(self, provider: str, base_url: str) -> None:
        self.provider = provider
        self.base_url = base_url

    def calls(self, endpoint: str = "token") -> list[dict[str, Any]]:
        """What it saw at an endpoint, oldest first."""
        return [call for call in self._get("calls") if call["endpoint"] == endpoint]

    def tokens(self) -> list[dict[str, Any]]:
        """The tokens that it accepts now, oldest first."""
        found: list[dict[str, Any]] = self._get("tokens")
        return found

    def newest(self, account: str = "default") -> dict[str, Any]:
        """The token of an account that it issued last and accepts now."""
        return [token for token in self.tokens() if token["account"] == account][-1]

    def refresh_tokens(self) -> list[dict[str, Any]]:
        """The refresh tokens that it accepts now, oldest first."""
        found: list[dict[str, Any]] = self._get("refresh_tokens")
        return found

    def accepts(self, account: str, token: str) -> bool:
        """Whether its API takes a token."""
        bearer = {"Authorization": f"Bearer {token}"}
        path, headers = {
            "notifyvisitors": ("/api/v1/campaigns", bearer),
            "yotpo": (f"/v2/{account}/info", {"X-Yotpo-Token": token}),
            "xeno": ("/api/me", bearer),
            "whatconverts": ("/api/v1/leads", bearer),
            "quayside": ("/api/shop", bearer),
        }[self.provider]
        answer = requests.get(f"{self.base_url}{path}", headers=headers, timeout=_TIMEOUT_SECONDS)
        return answer.status_code == 200

    def followed(self) -> int:
        """How many requests followed its misguiding redirect."""
        return int(self._get("elsewhere")["count"])

    def misbehave(self, mode: str, endpoint: str = "token", times: int = 1) -> None:
        """Let the next requests of an endpoint go wrong."""
        self._post("misbehave", endpoint=endpoint, mode=mode, times=times)

    @contextmanager
    def behaving(self, **options: object) -> Iterator[None]:
        """While it lasts, it behaves otherwise (see `local.simulators.behaviour`)."""
        before = self._get("options")
        self._post("options", **options)
        try:
            yield
        finally:
            self._post("options", **before)

    def revoke(self, **which: str) -> None:
        """End tokens without telling anybody: `account`, or `token` for one of them and its family."""
        self._post("revoke", **which)

    def disconnect(self, account: str) -> str:
        """Press the button on its admin page; the id of the notice that follows."""
        return str(self._post("disconnect", account=account)["message_id"])

    def redeliver(self, message_id: str) -> int:
        """Have an old notice sent again, byte for byte; what we answered."""
        return int(self._post("redeliver", message_id=message_id)["status"])

    def notices(self) -> list[dict[str, Any]]:
        """Every notice as it was sent, oldest first."""
        found: list[dict[str, Any]] = self._get("notices")
        return found

    def deliveries(self, message_id: str) -> list[dict[str, Any]]:
        """Every attempt to deliver a notice, oldest first."""
        return [one for one in self._get("deliveries") if one["message_id"] == message_id]

    def _get(self, name: str) -> Any:
        answer = requests.get(f"{self.base_url}/_sim/{name}", timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def _post(self, name: str, **wish: object) -> Any:
        answer = requests.post(f"{self.base_url}/_sim/{name}", json=wish, timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        return answer.json()
