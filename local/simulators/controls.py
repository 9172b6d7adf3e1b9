"""Test controls of a simulated provider, under /_sim/: what it saw, what it should do wrong.

| path | what |
|---|---|
| `GET calls` | every request so far: names of parameters, never values |
| `GET tokens`, `GET refresh_tokens` | what the provider would accept now |
| `GET`, `POST options` | how it behaves: see `Behaviour` |
| `POST misbehave` | let the next requests of an endpoint go wrong |
| `POST revoke` | end tokens without telling anybody: `{"account"}`, or `{"token"}` for one of them |
| `POST disconnect` | what the button on the admin page does: `{"account"}`; answers the notice's id |
| `GET notices`, `GET deliveries` | uninstall notices, and every attempt to deliver one |
| `POST redeliver` | send an old notice again, now and byte for byte: `{"message_id"}` |
| `POST hold` | keep notices back, or let them go: `{"held"}` |
| `POST reset` | forget everything, behave as at the start |
"""

from collections.abc import Callable
from itertools import count
from threading import Lock
from typing import Any

from flask import Flask, Response, jsonify, request

from local.simulators.site import Site


class _Counter:
    def __init__(self) -> None:
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        self._numbers = count(1)
        self.value = 0

    def add(self) -> None:
        with self._lock:
            self.value = next(self._numbers)


def mount_controls(app: Flask, site: Site) -> None:
    """Add the /_sim/ routes, and /elsewhere, which counts who followed the `redirect` mode there."""
    strays = _Counter()

    def elsewhere() -> Response:
        strays.add()
        return jsonify({"access_token": "from-elsewhere", "token_type": "bearer"})

    def reset() -> Response:
        site.grants.clear()
        site.calls.clear()
        site.trouble.clear()
        site.notices.clear()
        site.reset_behaviour()
        strays.reset()
        return jsonify(ok=True)

    app.add_url_rule("/elsewhere", view_func=elsewhere, methods=["GET", "POST"])
    app.add_url_rule("/_sim/reset", view_func=reset, methods=["POST"])
    app.add_url_rule("/_sim/elsewhere", "strays", lambda: jsonify(count=strays.value))
    _show(app, site)
    for name, act in _ACTS.items():
        app.add_url_rule(f"/_sim/{name}", f"do_{name}", _acting(site, act), methods=["POST"])


def _show(app: Flask, site: Site) -> None:
    shown: dict[str, Callable[[], object]] = {
        "calls": site.calls.list,
        "tokens": lambda: _tokens(site),
        "refresh_tokens": lambda: site.grants.refreshable(site.behaviour.rules),
        "options": lambda: site.behaviour.shown(site.settable),
        "notices": site.notices.shown,
        "deliveries": lambda: [one._asdict() for one in site.notices.deliveries()],
    }
    for name, look in shown.items():
        app.add_url_rule(f"/_sim/{name}", f"show_{name}", _showing(look))


def _showing(look: Callable[[], object]) -> Callable[[], Response]:
    return lambda: jsonify(look())


def _tokens(site: Site) -> list[dict[str, str | int | None]]:
    """Live access tokens; each with its refresh token, if that is still accepted."""
    accepted = {one["refresh_token"] for one in site.grants.refreshable(site.behaviour.rules)}
    shown = [token.shown() for token in site.grants.live()]
    return [one if one["refresh_token"] in accepted else {**one, "refresh_token": None} for one in shown]


_Act = Callable[[Site, dict[str, Any]], dict[str, object]]


def _acting(site: Site, act: _Act) -> Callable[[], Response]:
    def view() -> Response:
        try:
            return jsonify(ok=True, **act(site, _wish()))
        except (KeyError, TypeError, ValueError) as error:
            answer = jsonify(error=str(error))
            answer.status_code = 400
            return answer

    return view


def _wish() -> dict[str, Any]:
    wish = request.get_json()
    if not isinstance(wish, dict):
        raise TypeError("send a JSON object")
    return wish


def _misbehave(site: Site, wish: dict[str, Any]) -> dict[str, object]:
    site.trouble.plan(str(wish["endpoint"]), str(wish["mode"]), int(wish.get("times", 1)))
    return {}


def _options(site: Site, wish: dict[str, Any]) -> dict[str, object]:
    site.behaviour = site.behaviour.changed(wish, site.settable)
    return {"options": site.behaviour.shown(site.settable)}


def _revoke(site: Site, wish: dict[str, Any]) -> dict[str, object]:
    if "token" in wish:
        return site.grants.end_one(str(wish["token"]))._asdict()
    return site.grants.end(str(wish["account"]))._asdict()


def _disconnect(site: Site, wish: dict[str, Any]) -> dict[str, object]:
    notice = site.disconnect(str(wish["account"]))
    return {"message_id": notice.message_id if notice else None}


def _redeliver(site: Site, wish: dict[str, Any]) -> dict[str, object]:
    return {"status": site.notices.redeliver(str(wish["message_id"]))}


def _hold(site: Site, wish: dict[str, Any]) -> dict[str, object]:
    if not isinstance(wish["held"], bool):
        raise TypeError("held is true or false")
    site.notices.hold(wish["held"])
    return {}


_ACTS: dict[str, _Act] = {
    "misbehave": _misbehave,
    "options": _options,
    "revoke": _revoke,
    "disconnect": _disconnect,
    "redeliver": _redeliver,
    "hold": _hold,
}
