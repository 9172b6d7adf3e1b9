"""The check from outside finds nothing in a right installation, and each single thing that is wrong."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mooring.entry.http_api import HEADERS
from tests.template.translated import Stack
from tools.smoke import OWN_NAMES, Check, Site, checks, enabled_provider, main, requests, site_from

ROOT = Path(__file__).resolve().parents[2]
PAGE = {
    **HEADERS,
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'",
}
PROVIDER = "xeno"
ONE = f"/merchants/smoke-test/connections/{PROVIDER}/default"


class Installation:
    """Answers as an installation does; `answers` may be changed request by request."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], str]] = {}
        for expected in requests(PROVIDER):
            headers = dict(PAGE) if expected.ours else {"content-type": "application/json"}
            body = "<title>No</title>" if expected.ours else '{"message":"Forbidden"}'
            self.answers[f"{expected.method} {expected.path}"] = (expected.statuses[0], headers, body)
        self.seen: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._answer
                raise AttributeError(name)

            def _answer(self) -> None:
                key = f"{self.command} {self.path}"
                outer.seen.append(key)
                status, headers, body = outer.answers[key]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def site(self) -> Site:
        return Site("http", "127.0.0.1", self.server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def change(self, key: str, **changes: Any) -> None:
        status, headers, body = self.answers[key]
        self.answers[key] = (
            changes.get("status", status),
            {name: value for name, value in {**headers, **changes.get("headers", {})}.items() if value},
            changes.get("body", body),
        )

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def installation() -> Iterator[Installation]:
    running = Installation()
    yield running
    running.stop()


def failures(site: Site) -> list[Check]:
    return [check for check in checks(site, PROVIDER) if not check.ok]


# -- a right one ---------------------------------------------------------------------------------------------


def test_a_right_installation_passes_every_check(installation: Installation) -> None:
    found = list(checks(installation.site, PROVIDER))
    assert [check for check in found if not check.ok] == []
    assert len(found) == len(requests(PROVIDER)) + 3
    assert installation.seen == [f"{expected.method} {expected.path}" for expected in requests(PROVIDER)]


def test_every_route_of_the_template_is_asked() -> None:
    paths = Stack().properties("HttpApi")["Body"]["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    asked = [(expected.method, expected.path) for expected in requests(PROVIDER)]
    for method, path in routes:
        if method == "POST" and path.startswith(("/authorize/", "/callback/")):
            continue  # answered by the functions that GET asks
        names = path.replace("{merchant_id}", "smoke-test").replace("{account_id}", "default")
        names = names.replace("{provider+}", PROVIDER)
        assert {(method, names.replace("{provider}", name)) for name in (PROVIDER, "no-such-provider")} & set(
            asked
        ), f"{method} {path}"


def test_the_iam_routes_are_those_that_are_expected_to_refuse() -> None:
    refused = {(e.method, e.path) for e in requests(PROVIDER) if e.statuses == (403,)}
    assert {path.startswith("/merchants/") for _, path in refused} == {True}
    assert len(refused) == 6


# -- what can be wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", requests(PROVIDER), ids=lambda e: f"{e.method} {e.path}")
def test_a_wrong_status_is_found_with_what_was_expected_and_seen(
    installation: Installation, expected: Any
) -> None:
    installation.change(f"{expected.method} {expected.path}", status=200)
    (failure,) = failures(installation.site)
    assert failure.name == f"{expected.method} {expected.path}"
    assert str(expected.statuses[0]) in failure.expected
    assert (failure.seen, bool(failure.advice)) == ("200", True)
    assert failure.line().startswith(f"FAIL  {failure.name}: expected ")


@pytest.mark.parametrize("header", [*HEADERS, "content-security-policy"])
def test_a_missing_header_is_found_with_its_place(installation: Installation, header: str) -> None:
    place = f"GET /callback/{PROVIDER}"
    installation.change(place, headers={header: ""})
    (failure,) = failures(installation.site)
    assert failure.name == "security headers"
    assert failure.seen == f"{header} missing or changed on {place}"


def test_a_weakened_header_is_found(installation: Installation) -> None:
    installation.change("POST /uninstall/no-such-provider", headers={"cache-control": "max-age=60"})
    (failure,) = failures(installation.site)
    assert "cache-control missing or changed on POST /uninstall/" in failure.seen


@pytest.mark.parametrize(
    "told",
    [
        "arn:aws:dynamodb:eu-central-1:111122223333:table/x",
        "table mooring-prod-connections not found",
        "https://abc.execute-api.eu-central-1.amazonaws.com",
        "Traceback (most recent call last)",
        "/var/task/handler",
        "in http_api.py",
    ],
)
def test_what_tells_about_the_stack_is_found(installation: Installation, told: str) -> None:
    installation.change(f"GET {ONE}/token", body=told)
    (failure,) = failures(installation.site)
    assert failure.name == "names of the stack"
    assert f"GET {ONE}/token" in failure.seen


_NAMING = ("FunctionName", "RoleName", "QueueName", "TableName", "BucketName", "AliasName")


def test_every_name_of_the_template_would_be_found() -> None:
    everybody = Stack(OperatorPrincipals="arn:aws:iam::111122223333:role/x", ReaderPrincipals="111122223333")
    of_all = [resource.get("Properties", {}) for resource in everybody.resources.values()]
    named = {str(of_one[each]) for of_one in of_all for each in _NAMING if each in of_one}
    assert len(named) >= 20
    assert [name for name in sorted(named) if not OWN_NAMES.search(name)] == []


def test_a_name_in_a_header_is_found_too(installation: Installation) -> None:
    installation.change("GET /no-such-route", headers={"x-served-by": "mooring-prod-authorize"})
    (failure,) = failures(installation.site)
    assert "mooring-prod-authorize" in failure.seen


# -- https ---------------------------------------------------------------------------------------------------


def over_https(plain_port: int) -> Check:
    """The check of https on a host where nobody answers to https, but somebody may to http."""
    (first, *_) = checks(Site("https", "127.0.0.1", 1), PROVIDER, plain_port)
    return first


def test_http_that_leads_to_https_is_well(installation: Installation) -> None:
    key = "GET /authorize/no-such-provider"
    installation.change(key, status=301, headers={"location": "https://connect.shop.test/"})
    assert over_https(installation.server.server_port).seen == "http is redirected to https"
    installation.change(key, status=403)
    assert over_https(installation.server.server_port).ok
    assert over_https(1).seen == "nobody answers to http"


def test_http_that_is_answered_is_not(installation: Installation) -> None:
    assert not over_https(installation.server.server_port).ok
    key = "GET /authorize/no-such-provider"
    installation.change(key, status=302, headers={"location": "http://connect.shop.test/"})
    assert not over_https(installation.server.server_port).ok


def test_an_address_with_http_elsewhere_is_refused_without_a_request() -> None:
    (failure,) = checks(Site("http", "connect.shop.test", 80), PROVIDER)
    assert (failure.ok, failure.seen) == (False, "an address with http")


def test_nobody_there_is_one_failure_and_not_a_dozen() -> None:
    (failure,) = failures(Site("http", "127.0.0.1", 1))
    assert failure.seen.startswith("no answer (")
    assert "DNS" in failure.advice


# -- the command ---------------------------------------------------------------------------------------------


def test_one_line_for_each_check_and_exit_code_0(installation: Installation) -> None:
    done = command(installation.url + "/", "--provider", PROVIDER)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(requests(PROVIDER)) + 4
    assert {line[:6] for line in lines[:-1]} == {"ok    "}
    assert lines[-1].endswith("all well")


def test_a_failure_is_exit_code_1(installation: Installation) -> None:
    installation.change(f"DELETE {ONE}", status=204)
    done = command(installation.url, "--provider", PROVIDER)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert line.startswith(f"FAIL  DELETE {ONE}: expected 403, saw 204. ")
    assert done.stdout.splitlines()[-1].endswith(" checks, 1 failed")


def test_json_says_the_same(installation: Installation) -> None:
    installation.change(f"GET {ONE}/token", status=500)
    said: list[str] = []
    assert main([installation.url, "--provider", PROVIDER, "--json"], said.append) == 1
    (text,) = said
    answer = json.loads(text)
    assert (answer["url"], answer["ok"]) == (installation.url, False)
    (failure,) = [check for check in answer["checks"] if not check["ok"]]
    assert (failure["name"], failure["expected"], failure["seen"]) == (f"GET {ONE}/token", "403", "500")


@pytest.mark.parametrize(
    "url", ["connect.shop.test", "ftp://connect.shop.test", "https://x.test/path", "https://"]
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        site_from(url)
    with pytest.raises(SystemExit) as ended:
        main([url])
    assert ended.value.code == 2


def test_the_provider_comes_from_the_settings(tmp_path: Path) -> None:
    assert enabled_provider(ROOT / "mooring.yaml") == "notifyvisitors"
    with pytest.raises(ValueError, match="--provider"):
        enabled_provider(tmp_path / "mooring.yaml")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.smoke", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
