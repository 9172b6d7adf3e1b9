"""To whom a token may be sent, and how it is placed."""

from typing import Any

import pytest

from mooring.client.errors import NotTheProvider, SetupError, TokenUnavailable
from mooring.client.provider_api import ProviderApi, parse_provider_api
from mooring.core.provider import RateLimit

API = ProviderApi(
    "https://api.acme.example/v1/", ("api.acme.example", "cdn.acme.example"), "header", "X-Token", "", None
)
LOCAL = API._replace(base_url="http://127.0.0.1:4103/v1/", hosts=("127.0.0.1:4103",))
QUERY = API._replace(where="query", name="access_token")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.acme.example",
        "https://api.acme.example/",
        "https://api.acme.example?x=1",
        "https://api.acme.example#x",
        "https://cdn.acme.example/a/b?c=d#e",
        "https://API.ACME.example/v1",
    ],
)
def test_the_providers_own_hosts(url: str) -> None:
    assert API.may_carry(url)
    API.check(url, None)


def test_loopback_over_http_is_for_descriptors_that_name_it() -> None:
    assert LOCAL.may_carry("http://127.0.0.1:4103/v1/things")
    assert not LOCAL.may_carry("http://127.0.0.1:4104/v1/things")
    assert not LOCAL.may_carry("http://127.0.0.1/v1/things")
    assert not API.may_carry("http://127.0.0.1:4103/v1/things")
    named = API._replace(hosts=("localhost:4103", "api.acme.example:4103", "[::1]:4103"))
    assert named.may_carry("http://localhost:4103/")
    assert not named.may_carry("http://api.acme.example:4103/"), "plain http to another machine"
    assert not named.may_carry("http://[::1]:4103/"), "no descriptor is compiled with it"


def test_what_is_refused_is_told_without_path_query_or_user() -> None:
    with pytest.raises(NotTheProvider) as refused:
        API.check("https://user:canary-1@evil.example/canary-2?canary-3#canary-4", None)
    assert "evil.example" in str(refused.value)
    assert "canary" not in str(refused.value)
    with pytest.raises(NotTheProvider, match="without a host"):
        API.check("canary", None)


def test_without_hosts_the_token_is_sent_to_nobody() -> None:
    with pytest.raises(NotTheProvider) as refused:
        API._replace(hosts=()).check("https://api.acme.example/canary", None)
    assert str(refused.value) == (
        "the token is sent to nobody, so not to api.acme.example: Mooring names no host of this provider, "
        "as when it is not enabled any more"
    )


@pytest.mark.parametrize("host", ["evil.example", "api.acme.example.evil.example", "cdn.acme.example", ""])
def test_a_host_header_must_be_that_of_the_address(host: str) -> None:
    API.check("https://api.acme.example/x", "API.acme.example")
    with pytest.raises(NotTheProvider, match="Host header"):
        API.check("https://api.acme.example/x", host)


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("things", "https://api.acme.example/v1/things"),
        ("/things?a=b", "https://api.acme.example/v1/things?a=b"),
        ("", "https://api.acme.example/v1/"),
        ("//evil.example/x", "https://api.acme.example/v1/evil.example/x"),
        ("https:evil.example", "https://api.acme.example/v1/https:evil.example"),
        ("https://evil.example/x", "https://evil.example/x"),
        ("HTTP://evil.example/x", "HTTP://evil.example/x"),
    ],
)
def test_a_path_is_appended_to_the_base_url(path: str, whole: str) -> None:
    assert API.absolute(path) == whole
    assert LOCAL._replace(base_url="http://127.0.0.1:4103").absolute("/x") == "http://127.0.0.1:4103/x"


def test_without_a_base_url_addresses_must_be_whole() -> None:
    with pytest.raises(SetupError, match="whole URLs"):
        API._replace(base_url=None).absolute("things")


def test_a_token_in_a_header() -> None:
    placed = API._replace(name="Authorization", prefix="Bearer ").place("https://x/?a#b", "canary")
    assert (placed.url, placed.header) == ("https://x/?a#b", ("Authorization", "Bearer canary"))
    assert "canary" not in repr(placed)


@pytest.mark.parametrize(
    "token", ["", "canary\r\nX-Evil: 1", "canary\x00", " canary", "canary ", "ключ", "canary\x7f"]
)
def test_a_token_that_no_header_may_have_is_not_sent(token: str) -> None:
    with pytest.raises(TokenUnavailable, match="cannot stand in a header") as refused:
        API.place("https://x/", token)
    assert token not in str(refused.value) or not token


@pytest.mark.parametrize(
    ("url", "placed"),
    [
        ("https://x/p", "https://x/p?access_token=a%2Fb%26c%2B"),
        ("https://x/p?a=b&c", "https://x/p?a=b&c&access_token=a%2Fb%26c%2B"),
        ("https://x/p?access_token=old&a=b#f?g", "https://x/p?a=b&access_token=a%2Fb%26c%2B#f?g"),
        ("https://x/p?%61ccess_token=old", "https://x/p?access_token=a%2Fb%26c%2B"),
        ("https://x/p?", "https://x/p?access_token=a%2Fb%26c%2B"),
    ],
)
def test_a_token_in_the_query_stands_there_once(url: str, placed: str) -> None:
    found = QUERY.place(url, "a/b&c+")
    assert (found.url, found.header) == (placed, None)


@pytest.mark.parametrize(
    ("location", "bare"),
    [
        ("/p?access_token=a%2Fb%26c%2B", "/p"),
        ("/p?a=b&access_token=a/b%26c%2b&c#f?g", "/p?a=b&c#f?g"),
        ("https://x/p?%61ccess_token=a%2Fb%26c%2B&a=b", "https://x/p?a=b"),
        ("https://x/p?access_token=another&&a=b#", "https://x/p?access_token=another&&a=b#"),
        ("/p?other=a%2Fb%26c%2B", "/p?other=a%2Fb%26c%2B"),
    ],
)
def test_a_redirect_leaves_out_what_was_placed(location: str, bare: str) -> None:
    assert QUERY.bare(location, "a/b&c+") == bare
    assert API.bare(location, "a/b&c+") == location


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "placement": {"in": "header", "name": "Authorization", "value": "Bearer canary"},
        "api": {
            "base_url": "https://api.acme.example/",
            "hosts": ["API.acme.example"],
            "rate_limit": {
                "requests": 5,
                "seconds": 1,
                "per": "account",
                "remaining_header": "Left",
                "reset_header": None,
            },
        },
        **changes,
    }


def test_the_token_answer_says_how_the_api_is_used() -> None:
    limit = RateLimit(5, 1, "account", "Left", None)
    assert parse_provider_api(answer(), "canary") == ProviderApi(
        "https://api.acme.example/", ("api.acme.example",), "header", "Authorization", "Bearer ", limit
    )
    bare: dict[str, Any] = {"base_url": None, "hosts": [], "rate_limit": None}
    assert parse_provider_api(answer(api=bare), "canary").base_url is None


@pytest.mark.parametrize(
    "changes",
    [
        {"placement": None},
        {"placement": {"in": "header", "name": "A", "value": "Bearer another"}},
        {"placement": {"in": "body", "name": "A", "value": "canary"}},
        {"api": None},
        {"api": {"base_url": None, "hosts": None, "rate_limit": None}},
        {"api": {"base_url": None, "hosts": [], "rate_limit": {"requests": 1}}},
        {"api": {"base_url": None}},
    ],
)
def test_an_answer_that_does_not_say_it_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenUnavailable, match="older than this library") as refused:
        parse_provider_api(answer(**changes), "canary")
    assert "canary" not in str(refused.value)
