"""Every file in `events/` goes through its function's code, at the time it was made and long after.

The flows, pages and catalog are the real ones; behind the ports stand fakes.
"""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters.changes import parse
from mooring.adapters.ed25519 import verify
from mooring.core.connection import Account
from mooring.core.errors import Failure, Reason
from mooring.core.link import LinkPolicy
from mooring.core.provider import Probe
from mooring.entry.announcing import Doors, run
from mooring.entry.http_api import Browser, Line, respond
from mooring.entry.pages import Branding, Pages
from mooring.flows.announce import AnnouncePorts, announce
from mooring.flows.authorize import AuthorizePorts, authorize
from mooring.flows.callback import CallbackPorts, callback
from mooring.providers.authorization_request import authorization_url
from mooring.providers.catalog import Catalog
from mooring.providers.compiler import compile_project
from tests.entry.deployed import Deployed
from tests.events.samples import (
    BASE_URL,
    FOLDER,
    KEY,
    KID,
    MADE_AT,
    PRODUCT,
    PROFILE,
    STORE,
    sample_events,
    text,
)
from tests.fakes.authorization_server import FakeAuthorizationServer
from tests.fakes.bus import FakeBus, FakeUndelivered
from tests.fakes.revocations import FakeRevocations
from tests.flows.upkeep_world import UpkeepWorld

ROOT = FOLDER.parent
CATALOG = ROOT / "layers/mooring/mooring/providers/catalog"
LATER = MADE_AT + 86_400

AT_ITS_TIME = {
    "authorize": (302, "redirected", None),
    "authorize_post": (303, "redirected", None),
    "callback": (303, "connected", None),
    "callback_denied": (303, "denied", "access_denied"),
    "callback_trailing_slash": (303, "connected", None),
    "callback_post": (303, "connected", None),
    "connections_list": (200, "listed", None),
    "connections_one": (404, "failed", "connection_not_found"),
    "connections_token": (404, "failed", "connection_not_found"),
    "connections_unauthorized": (404, "failed", "connection_not_found"),
    "connections_refresh": (404, "failed", "connection_not_found"),
    "connections_disconnect": (404, "failed", "connection_not_found"),
    "uninstall": (200, "accepted", None),
}
LONG_AFTER = {
    "authorize": (403, "failed", "link_expired"),
    "authorize_post": (403, "failed", "link_expired"),
    "callback": (400, "failed", "flow_expired"),
    "callback_denied": (400, "failed", "flow_expired"),
    "callback_trailing_slash": (400, "failed", "flow_expired"),
    "callback_post": (400, "failed", "flow_expired"),
    **{name: said for name, said in AT_ITS_TIME.items() if name.startswith(("connections", "uninstall"))},
}
NO_REQUEST: dict[str, list[tuple[str, str | None, str | None]]] = {
    "refresh": [
        ("skipped", "connection_not_found", "whatconverts"),
        ("skipped", None, "yotpo"),
        ("ignored", None, "yotpo"),
        ("ignored", None, "xeno"),
    ],
    "refresh_recovery": [("recovered", None, "yotpo"), ("skipped", None, "whatconverts")],
    "refresh_order": [("skipped", "connection_not_found", "whatconverts")],
    "sweep": [("swept", None, None)],
    "announce": [
        ("announced", None, "yotpo"),
        ("announced", None, "whatconverts"),
        ("announced", None, "yotpo"),
    ],
    "revoke": [("unsupported", None, "yotpo"), ("unsupported", None, "whatconverts")],
}
"""The lines of what comes without a request where nothing is connected; only a recovery stores something."""


class Installation:
    """One installation that trusts the sample key; `now` is epoch seconds."""

    def __init__(self, compiled: Path, now: float, *, trusting: bool = True) -> None:
        self.catalog = Catalog(str(compiled))
        self.world = UpkeepWorld()
        self.world.clock.now = now
        names = self.catalog.settings().providers
        self.world.providers = {name: self.catalog.get(name) for name in names}
        self.world.secrets.values = dict.fromkeys(names, "a secret")
        self.deployed = Deployed(self.world)
        self.flows, self.connections = self.world.flows, self.world.connections
        self.lines = self.deployed.lines
        self.server = FakeAuthorizationServer()
        keys = {KID: KEY.public_key().public_bytes_raw()} if trusting else {}
        self.policy = LinkPolicy(BASE_URL, keys, (PRODUCT,), verify)

    def send(self, event: dict[str, Any]) -> dict[str, Any]:
        """What the function of this event's route answers."""
        match event["routeKey"].split("/")[1]:
            case "authorize":
                return respond(
                    event,
                    lambda visit, _ref: authorize(visit, self._authorize()),
                    self._browser("/authorize/"),
                )
            case "callback":
                return respond(
                    event,
                    lambda visit, ref: callback(visit, self._callback(), ref, lambda: 28.0),
                    self._browser("/callback/"),
                )
            case "uninstall":
                return self.deployed.uninstall(event)
        return self.deployed.connections(event)

    def _browser(self, prefix: str) -> Browser:
        settings = self.catalog.settings()
        pages = Pages(Branding(settings.product, settings.support_url), dict(settings.providers))
        known = settings.providers.__contains__
        return Browser(prefix, known, pages.question, pages.failure, self.lines.append)

    def _authorize(self) -> AuthorizePorts:
        return AuthorizePorts(
            self.catalog.get, self.policy, authorization_url, self.world.clock, lambda: "r" * 43
        )

    def _callback(self) -> CallbackPorts:
        return CallbackPorts(
            provider=self.catalog.get,
            policy=self.policy,
            flows=self.flows,
            connections=self.connections,
            sealer=self.world.sealer,
            secrets=self.world.secrets,
            server=self.server,
            recovery=self.world.recovery,
            revocations=self.world.revocations,
            clock=self.world.clock,
            jitter=lambda: 0.0,
        )


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    compile_project(config=ROOT / "mooring.yaml", catalog=CATALOG, out=folder)
    return folder


def event(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def ending(installation: Installation, name: str) -> tuple[int, str, str | None]:
    """HTTP status, outcome and reason; status and log line agree, and there is one line."""
    response = installation.send(event(name))
    line = installation.lines[-1]  # before it stands the one of the refresh function, if that was asked
    assert len(installation.lines) == 1 + len(installation.deployed.orders)
    assert line.status == response["statusCode"]
    assert line.request_id == event(name)["requestContext"]["requestId"]
    return response["statusCode"], line.outcome, line.reason


def test_every_file_is_what_the_samples_say() -> None:
    samples = sample_events()
    assert {path.stem for path in FOLDER.glob("*")} == set(samples) == {*AT_ITS_TIME, *NO_REQUEST}
    assert set(AT_ITS_TIME) == set(LONG_AFTER)
    stale = [
        name for name, sample in samples.items() if (FOLDER / f"{name}.json").read_text() != text(sample)
    ]
    assert not stale, "write them again: python -m tests.events.samples"


@pytest.mark.parametrize("name", sorted(AT_ITS_TIME))
def test_an_event_does_its_work_at_the_time_it_was_made(name: str, compiled: Path) -> None:
    assert ending(Installation(compiled, MADE_AT + 5), name) == AT_ITS_TIME[name]


@pytest.mark.parametrize("name", sorted(LONG_AFTER))
def test_an_event_says_clearly_that_it_is_old(name: str, compiled: Path) -> None:
    installation = Installation(compiled, LATER)
    assert ending(installation, name) == LONG_AFTER[name]
    assert not installation.server.exchanges
    assert not installation.flows.flows


def test_every_function_has_an_event() -> None:
    functions = {folder.name for folder in (ROOT / "functions").iterdir() if folder.is_dir()}
    assert {path.stem.partition("_")[0] for path in FOLDER.glob("*")} == functions


@pytest.mark.parametrize("name", ["refresh", "refresh_recovery", "refresh_order"])
@pytest.mark.parametrize("now", [MADE_AT + 5, LATER])
def test_what_comes_to_refresh_does_no_harm_where_nothing_is_connected(
    name: str, now: int, compiled: Path
) -> None:
    installation = Installation(compiled, now)
    answered = installation.deployed.refresh(event(name))
    assert answered.get("batchItemFailures", []) == []
    # The records of a batch are told as they end, in any order.
    told = [(line.outcome, line.reason, line.provider) for line in installation.lines]
    assert Counter(told) == Counter(NO_REQUEST[name])
    assert not installation.world.keeper.refreshes
    assert not installation.world.keeper.probes
    assert not installation.world.queue.messages


def test_the_revoke_events_providers_cannot_be_told(compiled: Path) -> None:
    installation = Installation(compiled, LATER)
    assert installation.deployed.revoke(event("revoke")) == {"batchItemFailures": []}
    told = [(line.outcome, line.reason, line.provider) for line in installation.lines]
    assert Counter(told) == Counter(NO_REQUEST["revoke"])
    assert not installation.world.revoker.calls


def test_the_streams_event_is_told(compiled: Path) -> None:
    lines: list[Line] = []
    bus, revocations = FakeBus(), FakeRevocations()
    doors = Doors(
        known=Catalog(str(compiled)).settings().providers.__contains__,
        parse=parse,
        announce=lambda changes: announce(changes, AnnouncePorts(bus, revocations)),
        keep=FakeUndelivered().keep,
    )
    assert run(event("announce"), doors, lines.append) == {"batchItemFailures": []}
    assert [(line.outcome, line.reason, line.provider) for line in lines] == NO_REQUEST["announce"]
    assert [told.detail_type for told in bus.events] == [
        "Connection Established",
        "Connection Needs Reconnect",
        "Connection Disconnected",
    ]
    assert [asked.key for asked in revocations.messages] == [STORE]


def test_the_schedules_event_sweeps(compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    assert event("sweep") == {}
    assert 'Input: "{}"' in (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert installation.deployed.sweep()["enqueued"] == 0
    assert [(line.outcome, line.reason, line.provider) for line in installation.lines] == NO_REQUEST["sweep"]


def test_a_batch_has_each_kind_of_work_once(compiled: Path) -> None:
    bodies = [json.loads(record["body"]) for record in event("refresh")["Records"]]
    assert [body["kind"] for body in bodies] == ["refresh", "hint", "confirm", "notice"]
    bodies = [json.loads(record["body"]) for record in event("refresh_recovery")["Records"]]
    assert [body["kind"] for body in bodies] == ["connected", "refreshed"]


def test_the_uninstall_event_ends_what_the_callback_event_stored(compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    installation.server.account = Account("sample-store", verified=True)
    installation.send(event("callback"))
    installation.world.keeper.said = Probe.REFUSED
    assert json.loads(installation.send(event("uninstall"))["body"]) == {"outcome": "accepted"}
    assert [line.outcome for line in installation.deployed.deliver()] == ["probed", "uninstalled"]
    assert installation.send(event("connections_token"))["statusCode"] == 409


def test_the_disconnect_event_ends_it_too(compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    installation.send(event("callback"))
    assert json.loads(installation.send(event("connections_unauthorized"))["body"])["outcome"] == "reported"
    assert installation.send(event("connections_disconnect"))["statusCode"] == 200
    assert installation.send(event("connections_token"))["statusCode"] == 409


@pytest.mark.parametrize("name", ["refresh", "refresh_order"])
def test_a_due_connection_is_refreshed(name: str, compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    installation.world.stands(PROFILE, generation=1, version=1, issued_at=MADE_AT - 3_600, due_at=MADE_AT)
    installation.deployed.refresh(event(name))
    assert "refreshed" in [line.outcome for line in installation.lines]
    assert installation.world.row(PROFILE).version == 2


def test_the_refresh_event_says_how_the_connection_stands_then(compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    installation.world.stands(PROFILE, generation=1, version=1)
    body = json.loads(installation.send(event("connections_refresh"))["body"])
    assert (body["outcome"], body["version"]) == ("refreshed", 2)


def test_the_samples_are_old_today() -> None:
    assert time.time() > MADE_AT + 3_600 + 600


def test_no_installation_trusts_the_sample_key(compiled: Path) -> None:
    assert KID not in Catalog(str(compiled)).settings().link_keys
    installation = Installation(compiled, MADE_AT + 5, trusting=False)
    assert ending(installation, "authorize") == (403, "failed", "link_key_unknown")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("callback", "yotpo#sample-store"),
        ("callback_trailing_slash", "notifyvisitors#default"),
        ("callback_post", "notifyvisitors#default"),
    ],
)
def test_a_return_in_time_is_stored_sealed_and_can_be_read(name: str, key: str, compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    installation.send(event(name))
    assert list(installation.connections.rows) == [("m-1", key)]
    assert len(installation.server.exchanges) == 1
    listed = json.loads(installation.send(event("connections_list"))["body"])["connections"]
    assert [f"{row['provider']}#{row['account_id']}" for row in listed] == [key]


def test_the_token_event_reads_what_the_callback_event_stored(compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    installation.send(event("callback"))
    response = installation.send(event("connections_token"))
    assert response["statusCode"] == 200
    assert json.loads(response["body"])["access_token"] == "access-token-of-the-fake"


def test_the_slash_that_a_provider_adds_is_taken_off(compiled: Path) -> None:
    assert event("callback_trailing_slash")["rawPath"].endswith("/")
    installation = Installation(compiled, MADE_AT + 5)
    installation.send(event("callback_trailing_slash"))
    (exchange,) = installation.server.exchanges
    assert exchange.redirect_uri == f"{BASE_URL}/callback/notifyvisitors"


def test_a_provider_that_keeps_no_state_leads_to_a_question_without_a_referer(compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    asked = event("callback_trailing_slash")
    del asked["headers"]["referer"]
    response = installation.send(asked)
    assert (response["statusCode"], installation.lines[-1].outcome) == (200, "asked")
    assert not installation.server.exchanges


def test_a_failing_exchange_leaves_a_reason_and_no_row(compiled: Path) -> None:
    installation = Installation(compiled, MADE_AT + 5)
    installation.server.tokens = Failure(Reason.GRANT_REFUSED)
    response = installation.send(event("callback"))
    assert (response["statusCode"], installation.lines[-1].reason) == (400, "grant_refused")
    assert not installation.connections.rows
