"""The quickstart's code runs as it stands there: links are accepted, signed reads are answered."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.event import http_event
from local.request import HttpRequest
from local.sigv4 import verify as verify_signature
from mooring.adapters.ed25519 import verify
from mooring.core.connection import Status
from mooring.core.link import Link, LinkPolicy, verify_link
from mooring.core.upkeep import Key
from mooring.entry import service_api
from mooring.providers.catalog import Catalog
from mooring.providers.compiler import compile_project
from tests.core.signing import NOW
from tests.docs.markdown import ROOT, document, names
from tests.entry.deployed import Deployed
from tests.flows.upkeep_world import EAGER, PROBED, provider_of

QUICKSTART = document("docs/quickstart.md")
CATALOG = ROOT / "layers/mooring/mooring/providers/catalog"
BASE_URL, KID, REGION = "https://connect.example.com", "backend-1", "eu-central-1"
CREDENTIALS = {"AKIAIOSFODNN7EXAMPLE": "an example secret"}
LIVING, DYING = Key("m-1", "xeno", "team-1"), Key("m-1", "whatconverts", "default")
"""A token without an end; and one that has just expired and can be refreshed."""


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ed25519PrivateKey:
    """The product's key, where the snippets look for it."""
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "link.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name, value in (("MOORING_BASE_URL", BASE_URL), ("LINK_KEY_FILE", str(path)), ("LINK_KEY_ID", KID)):
        monkeypatch.setenv(name, value)
    return key


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, "docs/quickstart.md", "exec"), names)
    return names


def accepted(url: str, key: Ed25519PrivateKey) -> Link:
    """The link of a connect URL, verified as an installation would."""
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{BASE_URL}/authorize/xeno"
    (token,) = parse_qs(parts.query)["link"]
    policy = LinkPolicy(
        BASE_URL, {KID: key.public_key().public_bytes_raw()}, ("https://app.example.com",), verify
    )
    return verify_link(token, policy, time.time())


def test_the_python_link_is_accepted(key: Ed25519PrivateKey) -> None:
    link = accepted(run(QUICKSTART.fences("python")[0])["connect_url"]("m-1", "xeno"), key)
    assert (link.merchant_id, link.provider, link.use) == ("m-1", "xeno", "connect")


def test_the_node_link_is_accepted(key: Ed25519PrivateKey) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js here: the quickstart's Node example was not run")
    (block,) = QUICKSTART.fences("js")
    script = f'{block}\nprocess.stdout.write(connectUrl("m-1", "xeno"));'
    ran = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True, timeout=60)
    assert accepted(ran.stdout, key).merchant_id == "m-1"


def test_the_claims_are_those_that_a_link_must_have(key: Ed25519PrivateKey) -> None:
    rows = QUICKSTART.rows("claim")
    needed = {name for row in rows if row[1] == "yes" for name in names(row[0])}
    url = run(QUICKSTART.fences("python")[0])["connect_url"]("m-1", "xeno")
    body = accepted(url, key).token.split(".")[1]
    claims = json.loads(__import__("base64").urlsafe_b64decode(body + "=="))
    assert set(claims) == needed
    optional = {name for row in rows if row[1] == "no" for name in names(row[0])}
    assert optional <= set(Link._fields)


def test_the_settings_compile_for_production(tmp_path: Path) -> None:
    (settings,) = QUICKSTART.fences("yaml")
    config = tmp_path / "mooring.yaml"
    config.write_text(settings, encoding="utf-8")
    assert compile_project(config=config, catalog=CATALOG, out=tmp_path / "out") == ()
    compiled = Catalog(str(tmp_path / "out"))
    assert list(compiled.settings().link_keys) == ["backend-2026-11"]
    assert compiled.get("xeno").scopes == ("widgets", "contacts")


@pytest.fixture
def deployed() -> Deployed:
    """Two connections of m-1, behind the functions' own code."""
    deployed = Deployed()
    world = deployed.world
    world.providers |= {"xeno": PROBED._replace(id="xeno"), "whatconverts": EAGER._replace(id="whatconverts")}
    world.secrets.values["whatconverts"] = "a client secret"
    world.stands(LIVING, access="the-token", refresh=None, expires_at=None)
    world.stands(DYING)
    provider_of(world)
    return deployed


@pytest.fixture
def service(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """All that the snippets for services define, next to an API that checks signatures."""
    with an_api(deployed) as base_url:
        monkeypatch.setenv("MOORING_BASE_URL", base_url)
        monkeypatch.setenv("AWS_REGION", REGION)
        ((access_key, secret),) = CREDENTIALS.items()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        yield run("\n".join(QUICKSTART.fences("python")[1:]))


def test_the_list_has_the_fields_that_the_text_names(service: dict[str, Any]) -> None:
    first, second = service["connections"]("m-1")
    text = QUICKSTART.text.partition("Each connection has")[2].partition("Times are epoch")[0]
    assert set(first) == set(second) == set(names(text))


def test_the_token_is_read(service: dict[str, Any]) -> None:
    whole = service["access_token"](*LIVING)
    assert whole["access_token"] == "the-token"
    text = QUICKSTART.text.partition("The token answers")[2].partition(". Put")[0]
    assert set(whole) == set(names(text)) - {"Bearer"}


def test_a_token_that_would_not_last_is_refreshed_first(service: dict[str, Any], deployed: Deployed) -> None:
    assert service["access_token"](*DYING)["version"] == 6
    assert deployed.world.row(DYING).expires_at == NOW + 3_600


def test_a_401_is_reported_and_brings_another_token(service: dict[str, Any], deployed: Deployed) -> None:
    refused = service["access_token"](*DYING)
    deployed.world.clock.advance(61)
    again = service["after_a_401"](*DYING, refused)
    assert (again["version"], again["access_token"] != refused["access_token"]) == (7, True)
    assert service["after_a_401"](*DYING, refused) == again


def test_a_report_answers_what_the_text_says(service: dict[str, Any]) -> None:
    path = f"/merchants/m-1/connections/{LIVING.provider}/{LIVING.account_id}/unauthorized"
    said = service["ask_mooring"](path, "POST", {"generation": 2, "version": 5})
    text = QUICKSTART.text.partition("The answer has")[2].partition("as they are then")[0]
    words = {"refreshed", "fresh", "reported", "probed", "skipped"}
    assert set(names(text)) == set(said) | words
    assert said["outcome"] == "reported"


def test_a_connection_is_refreshed_now(service: dict[str, Any]) -> None:
    assert [service["refresh"](*DYING)["version"] for _ in range(2)] == [6, 7]


def test_a_connection_is_cut_off(service: dict[str, Any], deployed: Deployed) -> None:
    service["disconnect"](*LIVING)
    service["disconnect"](*LIVING)
    assert deployed.world.row(LIVING).status is Status.DISCONNECTED
    with pytest.raises(HTTPError) as refused:
        service["access_token"](*LIVING)
    with refused.value as error:
        assert json.load(error)["reason"] == "connection_not_active"


def test_a_failure_is_the_problem_document_that_the_text_describes(service: dict[str, Any]) -> None:
    with pytest.raises(HTTPError) as refused:
        service["access_token"]("m-1", "xeno", "team-2")
    with refused.value as error:
        problem = json.load(error)
    text = QUICKSTART.text.partition("A failure is a problem document")[2].partition("\n")[0]
    assert set(problem) == set(names(text)) | {"type"}
    assert (refused.value.code, problem["reason"]) == (404, "connection_not_found")


@pytest.mark.parametrize("call", ["access_token", "refresh", "disconnect"])
def test_a_wrong_signature_does_nothing(
    call: str, service: dict[str, Any], deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    with pytest.raises(HTTPError) as refused:
        service[call](*DYING)
    refused.value.close()
    assert (refused.value.code, deployed.lines) == (403, [])


def test_the_addresses_at_the_providers_are_those_of_the_catalog() -> None:
    rows = QUICKSTART.rows("provider", "redirect URI", "uninstall notices")
    told = {names(provider)[0]: (uri, notices) for provider, uri, notices in rows}
    descriptors = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in CATALOG.glob("*.yaml")}
    assert set(told) == set(descriptors)
    for provider, descriptor in descriptors.items():
        uri, notices = told[provider]
        assert names(uri) == [f"{BASE_URL}/callback/{provider}"]
        uninstall = descriptor.get("uninstall")
        if uninstall is None:
            assert notices == "sends none"
            continue
        assert names(notices) == [f"{BASE_URL}/uninstall/{provider}", uninstall["event"]["equals"]]
        assert ("unsigned" in notices) is (uninstall["proof"] == "none")


def test_the_secrets_are_where_the_functions_look_for_them() -> None:
    (client, webhook) = [fence for fence in QUICKSTART.fences("sh") if "put-parameter" in fence]
    assert "--name /mooring/prod/xeno/client_secret " in client
    assert "--name /mooring/prod/acme/webhook_secret " in webhook
    code = (ROOT / "layers/mooring/mooring/adapters/ssm.py").read_text("utf-8")
    assert all(f'"{name}"' in code for name in ("client_secret", "webhook_secret"))


@contextmanager
def an_api(deployed: Deployed) -> Iterator[str]:
    """The service routes on a socket: signatures checked, then the functions' own code over fakes."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, said = served(
                HttpRequest(self.command, self.path, tuple(self.headers.items()), body), deployed
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


ROUTES = (
    service_api.LIST_ROUTE,
    service_api.CONNECTION_ROUTE,
    service_api.TOKEN_ROUTE,
    service_api.UNAUTHORIZED_ROUTE,
    service_api.REFRESH_ROUTE,
    service_api.DISCONNECT_ROUTE,
)


def served(request: HttpRequest, deployed: Deployed) -> tuple[int, bytes]:
    try:
        verify_signature(request, credentials=CREDENTIALS, region=REGION)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is refused
        return 403, b'{"message":"Forbidden"}'
    for route in ROUTES:
        method, _, path = route.partition(" ")
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path), request.path)
        if found and method == request.method:
            event = http_event(request, route_key=route, path_parameters=found.groupdict())
            response = deployed.connections(event)
            return response["statusCode"], response["body"].encode()
    return 404, b'{"message":"Not Found"}'
