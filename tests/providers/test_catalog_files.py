"""The four descriptors: what their sources say, and that what no source says is marked."""

import re
from pathlib import Path

import pytest
import yaml

import mooring.providers
from mooring.core.names import is_provider_id
from mooring.core.notice import Notice
from mooring.core.provider import Provider
from mooring.providers.authorization_request import authorization_url
from mooring.providers.compiled import provider
from mooring.providers.compiler import load_project
from mooring.providers.descriptor import Descriptor
from mooring.providers.fields import has_field
from mooring.providers.notices import read_notice

ROOT = Path(__file__).parents[2]
CATALOG = Path(mooring.providers.__path__[0]) / "catalog"
PROJECT = load_project(config=ROOT / "mooring.yaml", catalog=CATALOG)
NAMES = sorted(PROJECT.descriptors)
BACK = "https://connect.example.com/callback/x"


def enabled(name: str) -> Provider:
    return provider(PROJECT.descriptors[name], PROJECT.config.providers[name])


def url(name: str) -> str:
    found = enabled(name)
    return authorization_url(found, "S", "v" * 43, BACK, found.scopes)


def test_the_four_are_there_and_enabled() -> None:
    assert NAMES == ["notifyvisitors", "whatconverts", "xeno", "yotpo"]
    assert sorted(PROJECT.config.providers) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_unverified_fields_exist(name: str) -> None:
    descriptor = PROJECT.descriptors[name]
    assert descriptor.unverified
    assert [path for path in descriptor.unverified if not has_field(Descriptor, path)] == []


@pytest.mark.parametrize("path", sorted(CATALOG.glob("*.yaml")), ids=lambda path: path.stem)
def test_files_hold_no_secret_and_help_editors(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(
        "# yaml-language-server: $schema=../../../../../docs/schemas/descriptor.schema.json"
    )
    assert (path.parent / "../../../../../docs/schemas/descriptor.schema.json").resolve().is_file()
    assert is_provider_id(path.stem)
    assert re.findall(r"eyJ[A-Za-z0-9_-]{10,}|[A-Fa-f0-9]{32,}|BEGIN [A-Z ]*KEY", text) == []


def test_settings_hold_samples_only() -> None:
    content = yaml.safe_load((ROOT / "mooring.yaml").read_text())
    assert content["link_keys"] == []
    assert content["return_to_origins"] == ["https://app.example.com"]
    samples = {name: PROJECT.descriptors[name].sample_client_id for name in NAMES}
    assert {name: value["client_id"] for name, value in content["providers"].items()} == samples


def test_notifyvisitors() -> None:
    found = enabled("notifyvisitors")
    assert url("notifyvisitors") == (
        "https://analytics.notifyvisitors.com/api/oauth/authorize"
        "?app_client_id=4USNMF8KX5BLS560EEG4ADSW%2F9HCNTN6LF0"
        "&app_redirect_uri=https%3A%2F%2Fconnect.example.com%2Fcallback%2Fx"
    )
    assert (found.authorize.state, found.authorize.referers) == (
        False,
        ("https://analytics.notifyvisitors.com",),
    )
    assert found.token.parameters == {"code": "auth_code", "client_secret": "app_client_secret"}
    assert (found.response.access_token, found.response.success) == (
        "App_access_token",
        ("status", "success"),
    )
    assert (found.response.keep, found.lifetime.never_expires, found.refresh) == ({}, True, None)
    assert "token.body" in PROJECT.descriptors["notifyvisitors"].unverified


def test_yotpo() -> None:
    found = enabled("yotpo")
    assert url("yotpo") == (
        "https://integrations-center.yotpo.com/app/#/install/applications/sample-yotpo-application-id?state=S"
    )
    assert (found.token.url, found.token.body) == ("https://developers.yotpo.com/v2/oauth2/token", "json")
    assert set(found.token.parameters) == {"grant_type", "client_id", "client_secret", "redirect_uri", "code"}
    assert (found.callback.account, found.callback.keep) == ("app_key", {"app_key": "app_key"})
    assert found.identity is not None
    assert (found.identity.account, found.identity.call) == (None, found.probe)
    assert (found.lifetime.never_expires, found.refresh) == (True, None)
    assert found.api.token == ("header", "X-Yotpo-Token", "")
    assert {"identity", "probe", "uninstall.account", "api.token.name"} <= set(
        PROJECT.descriptors["yotpo"].unverified
    )


def test_yotpo_s_call_that_removes_us_is_not_known_and_never_made() -> None:
    revoke, unverified = PROJECT.descriptors["yotpo"].revoke, PROJECT.descriptors["yotpo"].unverified
    assert revoke is not None
    assert (revoke.way, revoke.url, revoke.ends) == ("call", None, "grant")
    assert {"revoke", "revoke.url", "revoke.ends"} <= set(unverified)
    assert enabled("yotpo").revoke is None


def test_yotpo_s_notice_is_a_hint() -> None:
    found = enabled("yotpo")
    sent = {
        "webhookmessageid": "7b1e",
        "x-yotpo-webhooks-event-type": "integrations.applications.disconnected.v3",
        "x-yotpo-webhooks-tenant-type": "application",
    }
    notice = read_notice(found, sent, b'{"app_key":"store-1"}', [], 1_800_000_000)
    assert notice == Notice("store-1", "7b1e", None, proven=False)
    other = {**sent, "x-yotpo-webhooks-event-type": "core.customers.created.v3"}
    assert read_notice(found, other, b"{}", [], 1_800_000_000) is None


def test_xeno() -> None:
    found = enabled("xeno")
    assert url("xeno") == (
        "https://xeno.app/oauth/authorize?client_id=sample-xeno-client-id"
        "&redirect_uri=https%3A%2F%2Fconnect.example.com%2Fcallback%2Fx"
        "&scope=widgets%20faqs%20contacts%20conversations&state=S"
    )
    assert (found.token.url, found.token.body) == ("https://xeno.app/oauth/token", "form")
    assert set(found.token.parameters) == {"client_id", "client_secret", "code", "redirect_uri"}
    assert found.identity is not None
    assert (found.identity.call.url, found.identity.account) == ("https://xeno.app/api/me", "team.uid")
    assert (found.lifetime.never_expires, found.response.scope) == (True, "scope")
    assert "identity" in PROJECT.descriptors["xeno"].unverified


def test_whatconverts() -> None:
    found = enabled("whatconverts")
    assert url("whatconverts") == (
        "https://app.whatconverts.com/oauth/authorize?response_type=code&client_id=sample-whatconverts-client-id"
        "&redirect_uri=https%3A%2F%2Fconnect.example.com%2Fcallback%2Fx&scope=read_leads&state=S"
    )
    assert (found.token.body, found.token.url) == ("json", "https://app.whatconverts.com/oauth/token")
    assert found.refresh is not None
    assert (found.refresh.url, found.refresh.rotation) == (found.token.url, "sometimes")
    assert found.lifetime == (False, 3600)
    assert {"authorize", "callback", "token", "response", "refresh", "lifetime.access_token_seconds"} <= set(
        PROJECT.descriptors["whatconverts"].unverified
    )
