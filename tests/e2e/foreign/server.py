"""An authorization server that nobody here wrote: django-oauth-toolkit, on a loopback socket.

    python -m tests.e2e.foreign.server '{"port": ..., "database": ..., "client_id": ..., ...}'

What is ours is only its surroundings: settings, a login page, one user, one confidential application,
and a file with one line for each request (method, path, status; never a parameter). It insists on PKCE
and names itself in `iss` (RFC 9207). Prints `ready` once it listens.
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.types import StartResponse, WSGIEnvironment

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from werkzeug.serving import WSGIRequestHandler, make_server

USER, PASSWORD = "wile.e", "a-password-for-this-test-only"
_LOGIN = """<!doctype html><title>Sign in</title>
<form method="post">{% csrf_token %}{{ form.as_p }}
<input type="hidden" name="next" value="{{ next }}">
<button name="enter" value="yes">Sign in</button></form>"""


class Setup(NamedTuple):
    """Everything the server is told. `redirect_uris` is separated by spaces."""

    port: int
    database: str
    calls: str
    client_id: str
    client_secret: str
    redirect_uris: str

    @property
    def origin(self) -> str:
        """Its origin, which is also its issuer."""
        return f"http://127.0.0.1:{self.port}"


def configure(setup: Setup) -> None:
    """Django's settings: the toolkit, sessions and logins, one SQLite file."""
    loaders = [
        ("django.template.loaders.locmem.Loader", {"login.html": _LOGIN}),
        "django.template.loaders.app_directories.Loader",
    ]
    settings.configure(
        SECRET_KEY="only-for-this-test",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="tests.e2e.foreign.urls",
        STATIC_URL="static/",
        USE_TZ=True,
        LOGIN_URL="/login/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": setup.database}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": loaders,
                    "context_processors": ["django.template.context_processors.request"],
                },
            }
        ],
        LOGGING_CONFIG=None,
        OAUTH2_PROVIDER={
            "SCOPES": {"contacts": "See contacts", "orders": "See orders"},
            "PKCE_REQUIRED": True,
            "OIDC_ISS_ENDPOINT": setup.origin,
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
            "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
            "ACCESS_TOKEN_EXPIRE_SECONDS": 7200,
        },
    )
    django.setup()


def populate(setup: Setup) -> None:
    """Make the tables, the user and the application."""
    from django.contrib.auth import get_user_model
    from oauth2_provider.models import get_application_model

    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user(USER, password=PASSWORD)
    application = get_application_model()
    application.objects.create(
        name="Mooring",
        user=user,
        client_id=setup.client_id,
        client_secret=setup.client_secret,
        client_type=application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=setup.redirect_uris,
    )


class Recorded:
    """A WSGI application whose requests leave one line each in a file."""

    def __init__(self, app: Callable[..., Iterable[bytes]], calls: Path) -> None:
        self._app = app
        self._calls = calls

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request; WSGI."""

        def recording(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            with self._calls.open("a") as file:
                file.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {status.partition(' ')[0]}\n")
            return start_response(status, headers, *rest)

        return self._app(environ, recording)


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """Say nothing."""


def main(setup: Setup) -> None:
    """Serve until the process ends."""
    configure(setup)
    populate(setup)
    app = Recorded(get_wsgi_application(), Path(setup.calls))
    server = make_server("127.0.0.1", setup.port, app, threaded=True, request_handler=_Quiet)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Setup(**json.loads(sys.argv[1])))
