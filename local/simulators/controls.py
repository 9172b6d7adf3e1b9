"""Test controls of a simulated provider, under /_sim/: what it saw, what it should do wrong."""

from itertools import count
from threading import Lock

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
        strays.reset()
        return jsonify(ok=True)

    app.add_url_rule("/elsewhere", view_func=elsewhere, methods=["GET", "POST"])
    app.add_url_rule("/_sim/reset", view_func=reset, methods=["POST"])
    app.add_url_rule("/_sim/elsewhere", "strays", lambda: jsonify(count=strays.value))
    app.add_url_rule("/_sim/calls", "calls", lambda: jsonify(site.calls.list()))
    app.add_url_rule("/_sim/tokens", "tokens", lambda: jsonify([t.shown() for t in site.grants.live()]))
    app.add_url_rule("/_sim/misbehave", "misbehave", lambda: _misbehave(site), methods=["POST"])


def _misbehave(site: Site) -> Response:
    wish = request.get_json()
    try:
        site.trouble.plan(str(wish["endpoint"]), str(wish["mode"]), int(wish.get("times", 1)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        answer = jsonify(error=str(error))
        answer.status_code = 400
        return answer
    return jsonify(ok=True)
