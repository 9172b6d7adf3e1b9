"""The quickstart's code runs as it stands there: links are accepted, signed reads are answered."""

import json
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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.event import http_event
from local.request import HttpRequest
from local.sigv4 import verify as verify_signature
from mooring.adapters.ed25519 import verify
from mooring.core.connection import Account, NewConnection
from mooring.core.link import Link, LinkPolicy, verify_link
from mooring.core.tokens import SealedTokens
from mooring.entry.service_api import answer
from mooring.flows.read import ReadPorts
from mooring.providers.catalog import Catalog
from mooring.providers.compiler import compile_project
from tests.docs.markdown import ROOT, document, names
from tests.fakes.connections import FakeConnections
from tests.fakes.flows import FakeFlows
from tests.fakes.sealer import FakeSealer

QUICKSTART = document("docs/quickstart.md")
CATALOG = ROOT / "layers/mooring/mooring/providers/catalog"
BASE_URL, KID, REGION = "https://connect.example.com", "backend-1", "eu-central-1"
CREDENTIALS = {"AKIAIOSFODNN7EXAMPLE": "an example secret"}
LIST = "/merchants/{merchant_id}/connections"
TOKEN = LIST + "/{provider}/{account_id}/token"


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
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The reading snippet, next to an API that checks signatures and holds one connection."""
    with an_api() as base_url:
        monkeypatch.setenv("MOORING_BASE_URL", base_url)
        monkeypatch.setenv("AWS_REGION", REGION)
        ((access_key, secret),) = CREDENTIALS.items()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        yield run(QUICKSTART.fences("python")[1])


def test_the_list_has_the_fields_that_the_text_names(reads: dict[str, Any]) -> None:
    (connection,) = reads["connections"]("m-1")
    text = QUICKSTART.text.partition("each connection has")[2].partition("Times are epoch")[0]
    assert set(connection) == set(names(text))


def test_the_token_is_read(reads: dict[str, Any]) -> None:
    assert reads["access_token"]("m-1", "xeno", "team-1") == "the-token"
    whole = reads["ask_mooring"]("/merchants/m-1/connections/xeno/team-1/token")
    text = QUICKSTART.text.partition("The token answers")[2].partition("Where the")[0]
    assert set(whole) == set(names(text)) - {"Bearer"}


def test_a_failure_is_the_problem_document_that_the_text_describes(reads: dict[str, Any]) -> None:
    with pytest.raises(HTTPError) as refused:
        reads["access_token"]("m-1", "xeno", "team-2")
    with refused.value as error:
        problem = json.load(error)
    text = QUICKSTART.text.partition("A failure is a problem document")[2].partition("\n")[0]
    assert set(problem) == set(names(text)) | {"type"}
    assert (refused.value.code, problem["reason"]) == (404, "connection_not_found")


def test_a_wrong_signature_reads_nothing(reads: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    with pytest.raises(HTTPError) as refused:
        reads["access_token"]("m-1", "xeno", "team-1")
    refused.value.close()
    assert refused.value.code == 403


@contextmanager
def an_api() -> Iterator[str]:
    """The service routes on a socket: signatures checked, then the functions' own code over fakes."""
    ports = stored()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            request = HttpRequest("GET", self.path, tuple(self.headers.items()))
            status, body = served(request, ports)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

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


def served(request: HttpRequest, ports: ReadPorts) -> tuple[int, bytes]:
    try:
        verify_signature(request, credentials=CREDENTIALS, region=REGION)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is refused
        return 403, b'{"message":"Forbidden"}'
    parts = request.path.strip("/").split("/")
    route = TOKEN if parts[-1] == "token" else LIST
    values = dict(zip(("merchant_id", "provider", "account_id"), [parts[1], *parts[3:5]], strict=False))
    event = http_event(request, route_key=f"GET {route}", path_parameters=values)
    response = answer(event, ports, {"xeno"}.__contains__, lambda _line: None)
    return response["statusCode"], response["body"].encode()


def stored() -> ReadPorts:
    """Reading ports with one connection of m-1: team-1 at xeno."""
    flows, sealer = FakeFlows(), FakeSealer()
    connections = FakeConnections(flows)
    now = int(time.time())
    access = sealer.prepare("m-1", "xeno").seal("access", "team-1", "the-token")
    tokens = SealedTokens(access, None, ("widgets",), None, None, {})
    link = Link("", "m-1", "connect", "xeno", "", "j-1", now, now + 600, None, None, False)
    flows.burn(link, "state", now)
    new = NewConnection("m-1", "xeno", Account("team-1", True), tokens, now, now, None)
    connections.connect(new, link, "state")
    return ReadPorts(connections, sealer, time.time)
