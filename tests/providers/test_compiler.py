"""What is compiled, for production and for one machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from mooring.core.provider import Api, Placement, Provider, Revoke, provider_from_compiled
from mooring.providers.compiler import LocalCompile, compile_project
from tests.providers.full import FULL, FULL_VALUE
from tests.providers.samples import Settings

REVOKE_URL = "https://revoke.acme.example/oauth/revoke"


def compiled(settings: Settings, local: LocalCompile | None = None, name: str = "acme") -> Provider:
    out = settings.folder / "out"
    compile_project(config=settings.config, catalog=settings.catalog, out=out, local=local)
    return provider_from_compiled(json.loads((out / "providers" / f"{name}.json").read_text()))


def test_every_knob_reaches_the_compiled_value(settings: Settings) -> None:
    settings.write_descriptor(FULL)
    settings.write_config({"providers.acme.refresh": "on_read"})
    assert compiled(settings) == FULL_VALUE


def test_minimal_descriptor_gets_the_standard(settings: Settings) -> None:
    provider = compiled(settings)
    assert provider.authorize.parameters == {
        name: name for name in ("response_type", "client_id", "redirect_uri", "state")
    }
    assert provider.token.parameters == {
        name: name for name in ("grant_type", "code", "redirect_uri", "client_id", "client_secret")
    }
    assert (provider.refresh, provider.revoke, provider.uninstall, provider.probe) == (None, None, None, None)
    assert provider.identity is None
    assert provider.api == Api(None, Placement("header", "Authorization", "Bearer "), None)
    assert provider.hosts == ("api.acme.example",)
    assert provider.refresh_policy == "eager"


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"token.client_authentication": "client_secret_basic"}, {"client_id", "client_secret"}),
        ({"token.client_authentication": "none"}, {"client_secret"}),
        ({}, set()),
    ],
)
def test_client_authentication_decides_what_a_body_carries(
    changes: dict[str, Any], absent: set[str], settings: Settings
) -> None:
    settings.write_descriptor(
        {**changes, "refresh": {"rotation": "never"}, "response.refresh_token": "refresh_token"}
    )
    provider = compiled(settings)
    assert provider.refresh is not None
    assert {"client_id", "client_secret"} - set(provider.token.parameters) == absent
    assert {"client_id", "client_secret"} - set(provider.refresh.parameters) == absent
    assert provider.refresh.url == provider.token.url


@pytest.mark.parametrize(
    ("changes", "method", "absent"),
    [
        ({"revoke": {"url": REVOKE_URL}}, "client_secret_post", {"account_id"}),
        (
            {"revoke": {"url": REVOKE_URL}, "token.client_authentication": "client_secret_basic"},
            "client_secret_basic",
            {"account_id", "client_id", "client_secret"},
        ),
        (
            {"revoke": {"url": REVOKE_URL, "client_authentication": "none"}},
            "none",
            {"account_id", "client_secret"},
        ),
    ],
)
def test_a_revocation_endpoint_is_that_of_rfc_7009_and_of_the_token_endpoints_client(
    changes: dict[str, Any], method: str, absent: set[str], settings: Settings
) -> None:
    settings.write_descriptor(changes)
    provider = compiled(settings)
    names = {"token", "token_type_hint", "client_id", "client_secret", "account_id"} - absent
    assert provider.revoke == Revoke(
        "endpoint",
        "POST",
        REVOKE_URL,
        "refresh_token",
        "grant",
        "form",
        method,
        {n: n for n in names},
        {},
        {},
    )
    assert provider.hosts == ("api.acme.example", "revoke.acme.example")


def test_a_call_that_revokes_is_made_with_the_access_token_alone(settings: Settings) -> None:
    settings.write_descriptor(
        {"revoke": {"way": "call", "method": "DELETE", "url": REVOKE_URL, "ends": "token"}}
    )
    assert compiled(settings).revoke == Revoke(
        "call", "DELETE", REVOKE_URL, "access_token", "token", "form", "none", {}, {}, {}
    )


def test_a_call_that_nobody_knows_is_none(settings: Settings) -> None:
    settings.write_descriptor({"revoke": {"way": "call", "url": None}})
    provider = compiled(settings)
    assert (provider.revoke, provider.hosts) == (None, ("api.acme.example",))


def test_scope_is_sent_only_where_scopes_are_asked_for(settings: Settings) -> None:
    settings.write_descriptor({"scopes": {"available": ["read"]}})
    assert "scope" not in compiled(settings).authorize.parameters
    settings.write_config({"providers.acme.scopes": ["read"]})
    provider = compiled(settings)
    assert (provider.authorize.parameters["scope"], provider.scopes) == ("scope", ("read",))


def test_without_state_the_referers_count(settings: Settings) -> None:
    settings.write_descriptor({"authorize.state": "none"})
    leg = compiled(settings).authorize
    assert (leg.state, leg.referers) == (False, ("https://acme.example",))
    assert "state" not in leg.parameters
    settings.write_descriptor(
        {"authorize.state": "none", "authorize.referers": ["https://login.acme.example"]}
    )
    assert compiled(settings).authorize.referers == ("https://login.acme.example",)


def test_never_expiring_token_has_no_expiry_field(settings: Settings) -> None:
    settings.write_descriptor({"lifetime.never_expires": True})
    assert compiled(settings).response.expires_in is None


def test_simulator_takes_every_origin_and_keeps_every_path(settings: Settings) -> None:
    settings.write_descriptor(FULL)
    provider = compiled(settings, LocalCompile(simulators={"acme": "http://127.0.0.1:9101"}))
    text = json.dumps(provider)
    assert "https://" not in text.replace("https://docs", "")
    assert provider.authorize.url == "http://127.0.0.1:9101/app/#/install/{client_id}"
    assert provider.token.url == "http://127.0.0.1:9101/oauth/token?v=2"
    assert provider.callback.issuer == "http://127.0.0.1:9101"
    assert provider.hosts == ("127.0.0.1:9101",)
    assert provider.local


def test_simulator_takes_referers_too(settings: Settings) -> None:
    settings.write_descriptor({"authorize.state": "none"})
    provider = compiled(settings, LocalCompile(simulators={"acme": "http://127.0.0.1:9101"}))
    assert provider.authorize.referers == ("http://127.0.0.1:9101",)


def test_provider_without_simulator_keeps_its_addresses(settings: Settings) -> None:
    provider = compiled(settings, LocalCompile(simulators={"other": "http://127.0.0.1:9101"}))
    assert (provider.token.url, provider.local) == ("https://api.acme.example/oauth/token", True)


def test_settings_file(settings: Settings) -> None:
    compiled(settings)
    assert json.loads((settings.folder / "out" / "settings.json").read_text()) == {
        "return_to_origins": ["https://app.brightcart.example"],
        "link_keys": {"k-1": "A" * 43},
        "origin_secret_hashes": [],
        "branding": {"product": "Brightcart", "support_url": None, "colour": None},
        "providers": {"acme": "Acme"},
    }


def test_local_keys_and_origins_are_added(settings: Settings) -> None:
    local = LocalCompile(link_keys={"local-1": "B" * 42 + "A"}, return_to_origins=["http://127.0.0.1:8001"])
    compiled(settings, local)
    content = json.loads((settings.folder / "out" / "settings.json").read_text())
    assert content["link_keys"] == {"k-1": "A" * 43, "local-1": "B" * 42 + "A"}
    assert content["return_to_origins"] == ["https://app.brightcart.example", "http://127.0.0.1:8001"]


def test_overlay_merges_mappings_and_replaces_lists(settings: Settings) -> None:
    overlay = settings.folder / "overlay.yaml"
    overlay.write_text(
        "return_to_origins: ['http://127.0.0.1:9000']\nproviders:\n  two: {client_id: second}\n"
    )
    settings.write_descriptor({}, name="two")
    assert compiled(settings, LocalCompile(config_overlay=overlay), "two").client_id == "second"
    content = json.loads((settings.folder / "out" / "settings.json").read_text())
    assert content["providers"] == {"acme": "Acme", "two": "Acme"}
    assert content["return_to_origins"] == ["http://127.0.0.1:9000"]


def test_extra_catalog_adds_and_replaces(settings: Settings, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    text = (settings.catalog / "acme.yaml").read_text().replace("api.acme.example", "127.0.0.1:9999")
    (extra / "acme.yaml").write_text(text.replace("https://127", "http://127"))
    (extra / "fifth.yaml").write_text(text.replace("id: acme", "id: fifth"))
    local = LocalCompile(extra_catalog=extra)
    assert compiled(settings, local).token.url == "http://127.0.0.1:9999/oauth/token"
    assert settings.load(local).warnings == (
        f"{extra}/acme.yaml replaces that provider",
        f"{extra}/fifth.yaml is not enabled: add providers.fifth.client_id to your settings",
    )


def test_compiling_twice_gives_the_same_bytes_and_removes_what_is_gone(settings: Settings) -> None:
    settings.write_descriptor({}, name="two")
    settings.write_config({"providers.two": {"client_id": "second"}})
    compiled(settings)
    out = settings.folder / "out"
    first = {path.name: path.read_bytes() for path in out.rglob("*.json")}
    compiled(settings)
    assert {path.name: path.read_bytes() for path in out.rglob("*.json")} == first
    settings.write_config({})
    compiled(settings)
    assert {path.name for path in out.rglob("*.json")} == {"acme.json", "settings.json"}
    assert b" " not in first["acme.json"].replace(b"Bearer ", b"").replace(b'" "', b"")


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"link_keys": []}, "link_keys is empty"),
        ({"return_to_origins": []}, "return_to_origins is empty"),
        ({"providers": {}}, "providers is empty"),
        ({"providers.acme.client_id": "sample-acme"}, "providers.acme.client_id is a sample"),
    ],
)
def test_legal_but_odd(changes: dict[str, Any], warning: str, settings: Settings) -> None:
    settings.write_descriptor({"sample_client_id": "sample-acme"})
    assert settings.load().warnings == ()
    settings.write_config(changes)
    found = settings.load().warnings
    assert len(found) == 1
    assert found[0].startswith(warning)


def test_samples_are_welcome_on_one_machine(settings: Settings) -> None:
    settings.write_descriptor({"sample_client_id": "acme-client"})
    settings.write_config({"link_keys": [], "return_to_origins": []})
    local = LocalCompile(link_keys={"k": "A" * 43}, return_to_origins=["http://127.0.0.1:1"])
    assert settings.load(local).warnings == ()
