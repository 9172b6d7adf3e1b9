"""The names that are accepted, and the addresses that lie under an origin."""

import pytest

from mooring.core.names import connection_key, is_name, is_provider_id, origin_of, within_origins

APP = ("https://app.example.com",)


@pytest.mark.parametrize("text", ["yotpo", "a1", "notify-visitors", "x" * 32])
def test_provider_ids(text: str) -> None:
    assert is_provider_id(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "1a", "-a", "Yotpo", "yotpo/", "yotpo\n", "../../etc", "%2e%2e", "x" * 33, "y\u043etpo",
     "yotpo\0", "constructor ", "yo tpo", "x" * 300, "__proto__"],
)  # fmt: skip
def test_what_is_no_provider_id(text: str) -> None:
    assert not is_provider_id(text)


@pytest.mark.parametrize("text", ["m-1", "A.b_c:d-E", "x" * 128, "0", "a.", ".a", "..."])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text", ["", " ", "a b", "a/b", "a#b", "a~b", "a@b", "m\n", "m\0", "é", "x" * 129, "٣", ".", ".."]
)
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


def test_a_connection_key_can_be_split_at_its_only_hash() -> None:
    assert connection_key("yotpo", "store:1") == "yotpo#store:1"


@pytest.mark.parametrize(
    "url",
    ["https://app.example.com", "https://app.example.com/", "https://app.example.com?a=1", "https://app.example.com#x",
     "https://app.example.com/a//b?next=//evil.example#@x"],
)  # fmt: skip
def test_addresses_under_an_origin(url: str) -> None:
    assert within_origins(url, APP)


def test_any_of_several_origins_will_do_and_a_port_belongs_to_one() -> None:
    origins = (*APP, "http://127.0.0.1:8080")
    assert within_origins("http://127.0.0.1:8080/x", origins)
    assert not within_origins("http://127.0.0.1:80801/x", origins)
    assert not within_origins("http://127.0.0.1/x", origins)


@pytest.mark.parametrize("url", ["", "/", "https://app.example.com/", "anything"])
def test_an_empty_list_allows_nothing(url: str) -> None:
    assert not within_origins(url, ())


@pytest.mark.parametrize(
    "char", [*map(chr, range(33)), *"\\\"'<>`{}|^", "\x7f", "\x80", "é", "。", "\u2028", "\ud800"]
)
def test_a_character_that_a_browser_or_header_might_read_otherwise(char: str) -> None:
    assert not within_origins(f"https://app.example.com/a{char}b", APP)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://p.example/a?b#c", "https://p.example"),
        ("https://p.example", "https://p.example"),
        ("http://127.0.0.1:9101/", "http://127.0.0.1:9101"),
        ("https://p.example?x", "https://p.example"),
        ("https://p.example#x", "https://p.example"),
        ("", ""),
        ("p.example/", ""),
        ("ftp://p.example/", ""),
        ("about:blank", ""),
        ("https://user@p.example/", ""),
        ("https://p.example\\@evil.example/", ""),
        ("https:///p.example", ""),
        (" https://p.example/", ""),
        ("https://p example/", ""),
    ],
)
def test_origin_of(url: str, origin: str) -> None:
    assert origin_of(url) == origin
