"""Every rule of the descriptor: what breaks it, where the problem is shown, and what it says to do."""

from typing import Any

import pytest

from mooring.providers.compiler import LocalCompile
from tests.providers.samples import Settings

URL = "https://acme.example/"
HMAC = {"proof": "hmac_sha256_hex", "signature_header": "X-Acme-Signature", "account": "body:shop"}
REFRESH = {"refresh": {"rotation": "always"}, "response.refresh_token": "refresh_token"}

CONTRADICTIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "reserved id": ({"id": "default"}, "id", "reserved"),
    "source without place": (
        {"sources": [{"title": "x", "read": "2026-11-22"}]},
        "sources[0]",
        "either `url` or",
    ),
    "unverified names nothing": (
        {"unverified": {"token.bodyy": "why"}},
        "unverified.token.bodyy",
        "names no field of a descriptor",
    ),
    "default scope not available": (
        {"scopes": {"available": ["read"], "default": ["raed"]}},
        "scopes.default",
        "raed: not among scopes.available",
    ),
    "client id twice": (
        {"authorize.url": URL + "{client_id}/go"},
        "authorize.parameters",
        "add `client_id: null`",
    ),
    "client id never": (
        {"authorize.parameters": {"client_id": None}},
        "authorize.parameters.client_id",
        "must be sent, or stand as {client_id} in the URL",
    ),
    "fragment unannounced": (
        {"authorize.url": URL + "#/go"},
        "authorize.parameters_in",
        "must be `fragment`",
    ),
    "fragment missing": (
        {"authorize.parameters_in": "fragment"},
        "authorize.parameters_in",
        "must be `fragment`",
    ),
    "state renamed though none": (
        {"authorize.state": "none", "authorize.parameters": {"state": "s"}},
        "authorize.parameters.state",
        "never sent with `state: none`",
    ),
    "state null though required": (
        {"authorize.parameters": {"state": None}},
        "authorize.parameters.state",
        "say `state: none`",
    ),
    "referers though state": (
        {"authorize.referers": ["https://acme.example"]},
        "authorize.referers",
        "only looked at with `state: none`",
    ),
    "pkce without challenge": (
        {"authorize.pkce": True, "authorize.parameters": {"code_challenge": None}},
        "authorize.parameters",
        "needs code_challenge",
    ),
    "pkce without verifier": (
        {"authorize.pkce": True, "token.parameters": {"code_verifier": None}},
        "token.parameters.code_verifier",
        "cannot be null with `pkce: true`",
    ),
    "secret in no place": (
        {"token.parameters": {"client_secret": None}},
        "token.parameters.client_secret",
        "say `client_authentication: none`",
    ),
    "public client without id": (
        {"token.client_authentication": "none", "token.parameters": {"client_id": None}},
        "token.parameters.client_id",
        "RFC 6749 3.2.1",
    ),
    "two parameters of one name": (
        {"token.parameters": {"code": "client_id"}},
        "token.parameters",
        "client_id: two parameters would have this name",
    ),
    "extra repeats a parameter": (
        {"authorize.extra": {"state": "fixed"}},
        "authorize.extra.state",
        "is sent already",
    ),
    "never expires, yet a lifetime": (
        {"lifetime": {"never_expires": True, "access_token_seconds": 60}},
        "lifetime.never_expires",
        "remove one of them",
    ),
    "never expires, yet expires_in": (
        {"lifetime": {"never_expires": True}, "response": {"expires_in": "expires_in"}},
        "lifetime.never_expires",
        "remove one of them",
    ),
    "no lifetime at all": ({"response": {"expires_in": None}}, "lifetime", "must say how long a token lives"),
    "refresh without refresh token": (
        {"refresh": {"rotation": "always"}},
        "response.refresh_token",
        "must name the field with the refresh token",
    ),
    "refresh token without refresh": (
        {"response.refresh_token": "refresh_token"},
        "response.refresh_token",
        "of no use without a `refresh` part",
    ),
    "never expires, yet refresh": (
        {**REFRESH, "lifetime.never_expires": True},
        "lifetime.never_expires",
        "contradicts the `refresh` part",
    ),
    "grace without rotation": (
        {**REFRESH, "refresh": {"rotation": "never", "grace_seconds": 5}},
        "refresh.grace_seconds",
        "no meaning without rotation",
    ),
    "refresh without secret": (
        {**REFRESH, "refresh": {"rotation": "always", "parameters": {"client_secret": None}}},
        "refresh.parameters.client_secret",
        "the token endpoint wants the client secret",
    ),
    "refresh extra repeats": (
        {**REFRESH, "refresh": {"rotation": "always", "extra": {"grant_type": "x"}}},
        "refresh.extra.grant_type",
        "is sent already",
    ),
    "access token kept": (
        {"response.keep": {"access_token": "token"}},
        "response.keep.access_token",
        "stored in the clear",
    ),
    "renamed access token kept": (
        {"response": {"access_token": "data.t", "keep": {"data.t": "thing"}}},
        "response.keep.data.t",
        "stored in the clear",
    ),
    "kept as a secret's name": (
        {"callback.keep": {"shop": "client_secret"}},
        "callback.keep.shop",
        "stored in the clear",
    ),
    "kept twice": (
        {"callback.keep": {"shop": "shop"}, "response.keep": {"store": "shop"}},
        "callback.keep.shop",
        "would be kept twice",
    ),
    "code is the account": ({"callback.account": "code"}, "callback.code", "neither kept nor the account"),
    "identity names nothing": ({"identity": {"url": URL + "me"}}, "identity", "must name the account"),
    "identity needs the account it names": (
        {"identity": {"url": URL + "{account_id}/me", "account": "id"}},
        "identity",
        "must name the account",
    ),
    "probe of no account": ({"probe": {"url": URL + "{account_id}"}}, "probe.url", "nothing names one"),
    "revoke of no account": ({"revoke": {"url": URL + "{account_id}"}}, "revoke.url", "nothing names one"),
    "revoke names no account": (
        {"revoke": {"url": URL, "parameters": {"account_id": "shop"}}},
        "revoke.parameters.account_id",
        "nothing names one",
    ),
    "revoke names nothing": (
        {"revoke": {"url": URL, "parameters": {"token": None}}},
        "revoke.parameters",
        "must name the token or the account",
    ),
    "revoke without secret": (
        {"revoke": {"url": URL, "parameters": {"client_secret": None}}},
        "revoke.parameters.client_secret",
        "say `client_authentication: none`",
    ),
    "method of an endpoint": (
        {"revoke": {"url": URL, "method": "DELETE"}},
        "revoke.method",
        "a revocation endpoint takes POST alone",
    ),
    "parameters of a call": (
        {"revoke": {"url": URL, "way": "call", "parameters": {"token": "key"}}},
        "revoke.parameters",
        "is only of a revocation endpoint",
    ),
    "token of a call": (
        {"revoke": {"url": URL, "way": "call", "token": "access_token"}},
        "revoke.token",
        "is only of a revocation endpoint",
    ),
    "revoke extra repeats": (
        {"revoke": {"url": URL, "extra": {"token": "x"}}},
        "revoke.extra.token",
        "is sent already",
    ),
    "revoke detail that is not kept": (
        {"revoke": {"url": URL, "details": {"plan": "plan"}}},
        "revoke.details.plan",
        "is not kept",
    ),
    "revoke detail repeats": (
        {"response.keep": {"plan": "plan"}, "revoke": {"url": URL, "details": {"plan": "token"}}},
        "revoke.details.plan",
        "two parameters would have this name",
    ),
    "api of no account": ({"api": {"base": URL + "{account_id}/"}}, "api.base", "nothing names one"),
    "notice of no account": ({"uninstall": HMAC}, "uninstall.account", "nothing names one"),
    "proof without header": (
        {"callback.account": "shop", "uninstall": {**HMAC, "signature_header": None}},
        "uninstall.signature_header",
        "with every proof but `none`",
    ),
    "header without proof": (
        {"callback.account": "shop", "uninstall": {**HMAC, "proof": "none"}, "probe": {"url": URL}},
        "uninstall.signature_header",
        "with every proof but `none`",
    ),
    "hint without probe": (
        {"callback.account": "shop", "uninstall": {"proof": "none", "account": "body:shop"}},
        "uninstall.proof",
        "`none` needs a `probe`",
    ),
    "proven account in a header": (
        {"callback.account": "shop", "uninstall": {**HMAC, "account": "header:X-Acme-Shop"}},
        "uninstall.account",
        "the signature covers no header",
    ),
    "time in a header": (
        {"callback.account": "shop", "uninstall": {**HMAC, "time": "header:X-Acme-Time"}},
        "uninstall.time",
        "in the body of a notice with a proof",
    ),
    "proof without a time, and nobody to ask": (
        {"callback.account": "shop", "uninstall": HMAC},
        "uninstall.time",
        "add a `probe` or a `refresh` part, because somebody must be asked",
    ),
    "time without proof": (
        {
            "callback.account": "shop",
            "uninstall": {"proof": "none", "account": "header:X-Shop", "time": "body:at"},
            "probe": {"url": URL},
        },
        "uninstall.time",
        "in the body of a notice with a proof",
    ),
    "prefix in a query": (
        {"api": {"token": {"where": "query", "name": "access_token"}}},
        "api.token.prefix",
        'must be empty ("")',
    ),
    "header of no header's name": (
        {"api": {"token": {"name": "token[]"}}},
        "api.token.name",
        "must be a header name",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS, ids=str)
def test_contradiction_is_shown_where_it_stands(case: str, settings: Settings) -> None:
    changes, path, text = CONTRADICTIONS[case]
    settings.write_descriptor(changes)
    problems = settings.problems()
    assert path in problems, problems
    assert text in problems[path]


WRONG_VALUES: dict[str, tuple[dict[str, Any], str, str]] = {
    "upper-case id": ({"id": "Acme"}, "id", "must be a provider id"),
    "name with a line break": ({"name": "A\nB"}, "name", "one line of text"),
    "no source": ({"sources": []}, "sources", "at least one entry"),
    "no date": (
        {"sources": [{"title": "t", "document": "d", "read": "some day"}]},
        "sources[0].read",
        "must be a date",
    ),
    "body of another kind": ({"token.body": "xml"}, "token.body", "must be one of 'form', 'json'"),
    "state of another kind": ({"authorize.state": "maybe"}, "authorize.state", "'required', 'none'"),
    "text for a switch": ({"authorize.pkce": "yes"}, "authorize.pkce", "must be true or false"),
    "number for a text": ({"token.extra": {"v": 2}}, "token.extra.v", "must be text: put it in quotes"),
    "text for a number": (
        {"lifetime.access_token_seconds": "60"},
        "lifetime.access_token_seconds",
        "whole number",
    ),
    "zero seconds": ({"lifetime.access_token_seconds": 0}, "lifetime.access_token_seconds", "at least 1"),
    "too many days": (
        {"refresh": {"rotation": "never", "idle_days": 9999}},
        "refresh.idle_days",
        "at most 3650",
    ),
    "list for a part": ({"token": ["https://acme.example"]}, "token", "must be a mapping"),
    "list for a mapping": ({"token.extra": ["a"]}, "token.extra", "must be a mapping"),
    "text for a list": ({"scopes": {"default": "read"}}, "scopes.default", "must be a list"),
    "missing field": ({"token.url": ...}, "token.url", "is missing: The token endpoint"),
    "missing part": ({"authorize": ...}, "authorize", "is missing: The way to the consent page"),
    "scope with a space": ({"scopes": {"default": ["a b"]}}, "scopes.default[0]", "must be a scope"),
    "separator of letters": (
        {"authorize.scope_separator": "and"},
        "authorize.scope_separator",
        "must be one of",
    ),
    "parameter with a space": (
        {"token.parameters": {"code": "the code"}},
        "token.parameters.code",
        "parameter name",
    ),
    "path with a gap": ({"response": {"account": "a..b"}}, "response.account", "must be a dotted path"),
    "detail in upper case": ({"callback.keep": {"shop": "Shop"}}, "callback.keep.shop", "a key of `details`"),
    "locator of no place": (
        {"callback.account": "a", "uninstall": {**HMAC, "time": "created_at"}},
        "uninstall.time",
        "must be `header:Name` or `body:dotted.path`",
    ),
    "unknown outcome": (
        {"response.errors": {"gone": "lost"}},
        "response.errors.gone",
        "'grant_lost', 'misconfigured', 'transient'",
    ),
    "success without a value": (
        {"response": {"success": {"field": "ok"}}},
        "response.success.equals",
        "is missing",
    ),
}


@pytest.mark.parametrize("case", WRONG_VALUES, ids=str)
def test_wrong_value_is_shown_with_what_it_must_be(case: str, settings: Settings) -> None:
    changes, path, text = WRONG_VALUES[case]
    settings.write_descriptor(changes)
    problems = settings.problems()
    assert path in problems, problems
    assert text in problems[path]


def test_minimal_descriptor_is_enough(settings: Settings) -> None:
    assert settings.problems() == {}
    assert settings.load().descriptors["acme"].response.expires_in == "expires_in"


def test_all_contradictions_are_listed_at_once(settings: Settings) -> None:
    settings.write_descriptor(
        {"response.refresh_token": "r", "callback.account": "code", "scopes.default": ["a"]}
    )
    assert set(settings.problems()) == {"response.refresh_token", "callback.code"}


def test_stateless_with_pkce_is_legal(settings: Settings) -> None:
    settings.write_descriptor({"authorize.state": "none", "authorize.pkce": True})
    assert settings.problems() == {}


def test_a_hint_may_name_its_account_in_a_header(settings: Settings) -> None:
    hint = {"proof": "none", "account": "header:X-Shop", "event_id": "header:X-Id"}
    settings.write_descriptor({"callback.account": "shop", "uninstall": hint, "probe": {"url": URL}})
    assert settings.problems() == {}


@pytest.mark.parametrize(
    "asked",
    [
        {"uninstall": {**HMAC, "time": "body:created_at"}},
        {"uninstall": HMAC, "probe": {"url": URL}},
        {"uninstall": HMAC, **REFRESH},
    ],
    ids=["it has a time", "the probe", "the refresh"],
)
def test_a_signed_notice_has_a_time_or_somebody_to_ask(asked: dict[str, Any], settings: Settings) -> None:
    settings.write_descriptor({"callback.account": "shop", **asked})
    assert settings.problems() == {}


def test_values_cannot_be_changed_afterwards(settings: Settings) -> None:
    descriptor = settings.load(LocalCompile()).descriptors["acme"]
    with pytest.raises(ValueError, match="frozen"):
        descriptor.name = "Other"  # type: ignore[misc]
