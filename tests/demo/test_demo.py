"""The demo product over HTTP: the links it signs, the list it asks for, what it says and what it does not."""

import re
import socket
import time
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local.demo import Demo, DemoConfig, start_demo
from local.demo.words import left_words, reaction
from mooring.core.announcement import DETAIL_TYPES
from tests.demo.fake_mooring import FakeMooring, connection


def get(demo: Demo, path: str = "/", **headers: str) -> requests.Response:
    return requests.get(demo.url + path, headers=headers, timeout=10, allow_redirects=False)


def post(demo: Demo, path: str, **headers: str) -> requests.Response:
    return requests.post(demo.url + path, headers=headers, timeout=10, allow_redirects=False)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def shown(html: str) -> str:
    """The visible text, white space squeezed."""
    parser = _Text()
    parser.feed(html)
    return " ".join(" ".join(parser.parts).split())


def test_the_page_offers_every_provider(demo: Demo) -> None:
    text = shown(get(demo).text)
    assert "Mooring" in text
    assert "Nothing is connected yet." in text
    assert "0 of 5 connected" in text
    for name in ("NotifyVisitors", "Yotpo", "Xeno", "WhatConverts", "Acme <CRM>"):
        assert f"Connect {name}" in text


def test_connect_redirects_with_a_link_that_mooring_can_verify(
    demo: Demo, mooring: FakeMooring, key: Ed25519PrivateKey
) -> None:
    answer = get(demo, "/connect/yotpo")
    assert answer.status_code == 303
    location = urlsplit(answer.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{mooring.base_url}/authorize/yotpo"
    (link,) = parse_qs(location.query, strict_parsing=True)["link"]
    claims = jwt.decode(link, key.public_key(), algorithms=["EdDSA"], audience=mooring.base_url)
    assert jwt.get_unverified_header(link) == {"alg": "EdDSA", "kid": "local-1", "typ": "JWT"}
    assert len(link) <= 1_000
    assert set(claims) == {"aud", "sub", "use", "provider", "return_to", "iat", "exp", "jti"}
    assert (claims["sub"], claims["use"], claims["provider"]) == ("m-1", "connect", "yotpo")
    assert claims["return_to"] == f"{demo.url}/"
    assert claims["exp"] - claims["iat"] == 300
    assert abs(claims["iat"] - time.time()) < 10


def test_two_links_differ(demo: Demo) -> None:
    first, second = (get(demo, "/connect/xeno").headers["Location"] for _ in range(2))
    assert first != second


def test_another_merchant_stays_the_merchant_all_the_way(demo: Demo, mooring: FakeMooring) -> None:
    page = get(demo, "/?merchant=shop:42").text
    assert mooring.seen[-1][0] == "/merchants/shop:42/connections"
    assert '<input type="hidden" name="merchant" value="shop:42">' in page
    location = get(demo, "/connect/xeno?merchant=shop:42").headers["Location"]
    link = parse_qs(urlsplit(location).query)["link"][0]
    claims = jwt.decode(link, options={"verify_signature": False})
    assert (claims["sub"], claims["return_to"]) == ("shop:42", f"{demo.url}/?merchant=shop:42")


@pytest.mark.parametrize("merchant", ["", "a b", "<b>", "a/b", "ü", "a" * 129, "m-1%0A"])
@pytest.mark.parametrize("path", ["/", "/connections.json", "/connect/yotpo"])
def test_a_merchant_that_is_none_is_refused(
    demo: Demo, mooring: FakeMooring, merchant: str, path: str
) -> None:
    answer = get(demo, f"{path}?merchant={merchant}")
    assert answer.status_code == 400
    assert "<b>" not in answer.text
    assert mooring.seen == []


def test_an_unknown_provider_is_refused(demo: Demo) -> None:
    assert get(demo, "/connect/shopify").status_code == 404


def test_without_its_key_the_demo_says_what_to_do(demo: Demo, key_path: Path) -> None:
    for broken in (lambda: key_path.write_text("no key"), key_path.unlink):
        broken()
        answer = get(demo, "/connect/yotpo")
        assert answer.status_code == 503
        assert "Start the local stack again." in shown(answer.text)


def test_the_list_call_is_signed_for_execute_api(demo: Demo, mooring: FakeMooring) -> None:
    get(demo)
    path, headers = mooring.seen[-1]
    assert path == "/merchants/m-1/connections"
    assert headers["Authorization"] == expected_signature(mooring.base_url + path, headers)
    assert "/eu-west-1/execute-api/aws4_request" in headers["Authorization"]


def expected_signature(url: str, headers: Mapping[str, str], method: str = "GET") -> str:
    request = AWSRequest(method=method, url=url, headers={"Accept": headers["Accept"]})
    request.context["timestamp"] = headers["X-Amz-Date"]
    request.headers["X-Amz-Date"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKIDLOCAL", "dummy"), "execute-api", "eu-west-1")
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signed}, Signature={signature}"
    )


def test_polls_can_be_told_from_page_views(demo: Demo, mooring: FakeMooring) -> None:
    get(demo)
    get(demo, "/connections.json")
    agents = [headers["User-Agent"] for _, headers in mooring.seen]
    assert agents == ["brightcart-demo", "brightcart-demo-poll"]


def test_connections_are_shown_in_words(demo: Demo, mooring: FakeMooring) -> None:
    now = int(time.time())
    mooring.show(
        [
            connection("yotpo", "store-1", generation=2, version=5, connected_at=now - 7_300),
            connection("xeno", "team-1", scopes=["widgets", "faqs"], connected_at=now),
            connection("whatconverts", status="needs_reconnect", expires_at=now - 120, last_error=None),
            connection("notifyvisitors", expires_at=now + 3_630),
        ]
    )
    text = shown(get(demo).text)
    assert "Yotpo store-1 Active 2 5 no end 2 hours ago Disconnect" in text
    assert "Xeno team-1 Allowed: widgets faqs Active 1 1 no end just now Disconnect" in text
    assert "WhatConverts default Needs reconnect WhatConverts does not accept us any more. 1 1 over" in text
    assert "1 h 0 min" in text
    assert "3 of 5 connected" in text
    assert "Reconnect Yotpo" in text
    assert "Connect Acme" in text


def test_an_ended_connection_can_be_connected_again(demo: Demo, mooring: FakeMooring) -> None:
    mooring.show([connection("yotpo", "s", status="disconnected")])
    text = shown(get(demo).text)
    assert "Yotpo Disconnected" in text
    assert "Reconnect Yotpo" not in text


@pytest.mark.parametrize(
    ("status", "button", "why"),
    [
        ("active", "Disconnect", None),
        ("needs_reconnect", "Connect again", "Xeno does not accept us any more."),
        ("uninstalled", "Connect again", "Removed at Xeno."),
        ("disconnected", "Connect again", "Ended here."),
        ("pending_confirmation", None, None),
        ("unheard_of", None, None),
    ],
)
def test_every_status_has_its_button(
    demo: Demo, mooring: FakeMooring, status: str, button: str | None, why: str | None
) -> None:
    mooring.show([connection("xeno", "team-1", status=status)])
    text = shown(get(demo).text)
    assert [word for word in ("Disconnect Xeno team-1", "Connect again Xeno team-1") if word in text] == (
        [f"{button} Xeno team-1"] if button else []
    )
    assert why is None or why in text


@pytest.mark.parametrize(
    ("revocation", "said"),
    [
        (None, "Ended here."),
        ("revoked", "Ended here. Xeno has taken our access back."),
        ("unsupported", "Ended here. Xeno cannot be told: to end it there as well, remove the app there."),
        ("skipped", "Ended here. Xeno was not told, because it would end your other connection too."),
        ("failed", "Ended here. Xeno could not be told: to end it there as well, remove the app there."),
        ("unheard_of", "Ended here."),
    ],
)
def test_an_ended_connection_says_what_the_provider_did(
    demo: Demo, mooring: FakeMooring, revocation: str | None, said: str
) -> None:
    mooring.show([connection("xeno", "team-1", status="disconnected", revocation=revocation)])
    text = shown(get(demo).text)
    assert said in text
    assert ("told" in text or "taken" in text) is (said != "Ended here.")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("provider_unavailable", "Xeno cannot be reached right now."),
        ("unheard_of", "Last problem: unheard of."),
        (None, None),
    ],
)
def test_the_last_problem_is_told_in_words(
    demo: Demo, mooring: FakeMooring, error: str | None, said: str | None
) -> None:
    mooring.show([connection("xeno", "team-1", last_error=error)])
    text = shown(get(demo).text)
    assert said in text if said else "problem" not in text


def test_two_stores_of_one_provider_are_two_rows(demo: Demo, mooring: FakeMooring) -> None:
    mooring.show([connection("yotpo", "store-1"), connection("yotpo", "store-2", status="uninstalled")])
    html = get(demo).text
    assert html.count('data-connection="yotpo#') == 2
    assert 'action="/disconnect/yotpo/store-1"' in html
    assert '<input type="hidden" name="account" value="store-2">' in html


def test_connecting_again_names_the_account_that_is_expected(demo: Demo) -> None:
    assert claims_of(get(demo, "/connect/yotpo?account=store-2"))["account_id"] == "store-2"
    assert "account_id" not in claims_of(get(demo, "/connect/whatconverts?account=default"))
    assert get(demo, "/connect/yotpo?account=a%20b").status_code == 400


def claims_of(answer: requests.Response) -> dict[str, object]:
    link = parse_qs(urlsplit(answer.headers["Location"]).query)["link"][0]
    claims: dict[str, object] = jwt.decode(link, options={"verify_signature": False})
    return claims


def test_disconnecting_is_a_signed_call_and_leads_back(demo: Demo, mooring: FakeMooring) -> None:
    answer = post(demo, "/disconnect/yotpo/store:1?merchant=m-2")
    method, path, headers = mooring.calls[-1]
    assert (method, path) == ("DELETE", "/merchants/m-2/connections/yotpo/store:1")
    assert headers["Authorization"] == expected_signature(mooring.base_url + path, headers, "DELETE")
    assert answer.status_code == 303
    home, _, query = answer.headers["Location"].partition("?")
    assert home == f"{demo.url}/"
    assert parse_qs(query) == {
        "merchant": ["m-2"],
        "status": ["disconnected"],
        "connection": ["yotpo#store:1"],
    }
    assert "Yotpo is disconnected." in shown(get(demo, f"/?{query}").text)


@pytest.mark.parametrize("status", [400, 403, 404, 500, 503, 302])
def test_a_disconnect_that_failed_is_said(demo: Demo, mooring: FakeMooring, status: int) -> None:
    mooring.status = status
    location = post(demo, "/disconnect/yotpo/store-1").headers["Location"]
    assert location == f"{demo.url}/?status=not_disconnected&connection=yotpo%23store-1"
    mooring.status = 200
    assert "Yotpo could not be disconnected." in shown(get(demo, location.removeprefix(demo.url)).text)


def test_a_disconnect_without_mooring_is_said(demo: Demo, mooring: FakeMooring) -> None:
    mooring.stop()
    assert "status=not_disconnected" in post(demo, "/disconnect/xeno/team-1").headers["Location"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/disconnect/yotpo/store-1", {"Origin": "https://evil.example"}, 403),
        ("/disconnect/yotpo/store-1", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("/disconnect/shopify/store-1", {}, 404),
        ("/disconnect/yotpo/a%20b", {}, 400),
        ("/disconnect/yotpo/store-1?merchant=a%2Fb", {}, 400),
    ],
)
def test_a_disconnect_that_is_none_is_refused(
    demo: Demo, mooring: FakeMooring, path: str, headers: dict[str, str], status: int
) -> None:
    assert post(demo, path, **headers).status_code == status
    assert get(demo, path).status_code == 405
    assert [method for method, *_ in mooring.calls if method == "DELETE"] == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(5, "5 s"), (60, "1 min 0 s"), (192, "3 min 12 s"), (3_720, "1 h 2 min"), (172_800, "2 days")],
)
def test_what_is_left_is_told_to_the_second_where_that_matters(seconds: int, said: str) -> None:
    assert left_words(seconds + 0.9) == said


def test_no_word_of_the_protocol_stands_on_the_page(demo: Demo, mooring: FakeMooring) -> None:
    mooring.show([connection("whatconverts", expires_at=int(time.time()) + 60), connection("yotpo", "s")])
    text = shown(get(demo, "/?status=connected&connection=yotpo%23s").text).lower()
    jargon = ("oauth", "token", "scope", "grant", "refresh", "redirect", "consent", "callback")
    assert [word for word in jargon if word in text] == []


def test_the_poll_answers_the_same_list_and_no_more(demo: Demo, mooring: FakeMooring) -> None:
    mooring.show([connection("yotpo", "store-1", access_token="canary", details={"x": "canary"})], "more")
    answer = get(demo, "/connections.json")
    (row,) = answer.json()["connections"]
    assert answer.json()["trouble"] is None
    assert (row["provider"], row["account_id"], row["status"], row["scopes"]) == (
        "yotpo",
        "store-1",
        "active",
        [],
    )
    assert "canary" not in answer.text + get(demo).text
    assert "only the first page is shown" in get(demo).text


@pytest.mark.parametrize("status", [403, 500, 302])
def test_a_refusal_of_the_list_call_is_said_on_the_page(
    demo: Demo, mooring: FakeMooring, status: int
) -> None:
    mooring.status = status
    answer = get(demo)
    assert answer.status_code == 200
    assert f"Mooring answered the list call with {status}." in shown(answer.text)
    assert "Unknown" in answer.text


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"connections": 7}', b'{"connections": [{}]}'])
def test_an_answer_that_makes_no_sense_is_said_on_the_page(
    demo: Demo, mooring: FakeMooring, body: bytes
) -> None:
    mooring.body = body
    assert "could not be read" in get(demo, "/connections.json").json()["trouble"]
    assert "could not be read" in get(demo).text


def test_a_mooring_that_is_down_is_said_on_the_page(demo: Demo, mooring: FakeMooring) -> None:
    mooring.stop()
    answer = get(demo)
    assert answer.status_code == 200
    assert "Mooring does not answer." in shown(answer.text)
    assert "Connect Yotpo" in shown(answer.text)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "status=connected&connection=yotpo%23store-1",
            "Yotpo is connected. Brightcart can use it now. Account store-1.",
        ),
        (
            "status=connected&connection=xeno%23default",
            "Xeno is connected. Brightcart can use it now. Dismiss",
        ),
        ("status=denied&connection=xeno%23", "Xeno was not connected. You chose not to give access."),
        (
            "status=failed&connection=yotpo&reason=provider_timeout&ref=01HX-a_b",
            "The provider did not answer in time. You can try again. Reference 01HX-a_b",
        ),
        ("status=failed&reason=unheard_of", "The provider could not be connected. Reason: unheard_of."),
        ("status=pending_confirmation&connection=acme%23a", "Acme <CRM> is almost connected."),
    ],
)
def test_the_result_is_told_in_words(demo: Demo, query: str, words: str) -> None:
    assert words in shown(get(demo, f"/?{query}").text)


def test_an_unknown_status_is_not_told_at_all(demo: Demo) -> None:
    assert 'role="status"' not in get(demo, "/?status=wonderful").text


@pytest.mark.parametrize("name", ["connection", "status", "reason", "ref"])
@pytest.mark.parametrize("status", ["connected", "failed"])
def test_return_parameters_cannot_bring_markup_in(demo: Demo, name: str, status: str) -> None:
    attack = "%3Cscript%3Ealert(1)%3C/script%3E%22%20onload=x"
    parameters = {"status": status, "connection": "yotpo%23a"} | {name: f"yotpo%23{attack}"}
    html = get(demo, "/?" + "&".join(f"{n}={v}" for n, v in parameters.items())).text
    assert "<script>alert" not in html
    assert "onload" not in html


def test_what_mooring_lists_cannot_bring_markup_in_either(demo: Demo, mooring: FakeMooring) -> None:
    attack = '"><img src=x onerror=alert(1)>'
    mooring.show([connection("yotpo", attack, status=attack, scopes=[attack], last_error=attack)])
    html = get(demo).text
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_pages_run_nothing_but_their_own_files(demo: Demo) -> None:
    answer = get(demo)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert re.search(r"\son\w+=", answer.text) is None
    assert "<style" not in answer.text
    assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["Cache-Control"] == "no-store"


def test_nothing_comes_from_elsewhere(demo: Demo) -> None:
    for path in ("/", "/static/demo.css", "/static/demo.js"):
        text = get(demo, path).text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text


def test_other_host_names_are_refused(demo: Demo) -> None:
    assert get(demo, Host="evil.example").status_code == 421


def test_a_taken_port_is_an_os_error(mooring: FakeMooring, key_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = DemoConfig(
            mooring.base_url, key_path, "k", "eu-west-1", ("a", "b"), [], port=taken.getsockname()[1]
        )
        with pytest.raises(OSError, match="in use"):
            start_demo(config)


def test_the_credentials_do_not_stand_in_the_configs_repr() -> None:
    config = DemoConfig("http://127.0.0.1", "k.pem", "k", "eu-west-1", ("id", "canary"), [])
    assert "canary" not in repr(config)


def told(kind: str, number: int = 1, merchant: str = "m-1", **detail: object) -> dict[str, object]:
    """An event as EventBridge writes it."""
    said = {
        "id": f"event-{number}",
        "merchant_id": merchant,
        "provider": "yotpo",
        "account_id": "store-1",
        "generation": 1,
        "version": 1,
        "status": "active",
        "reason": None,
        "time": int(time.time()),
    }
    return {"source": "mooring", "detail-type": kind, "detail": {**said, **detail}}


def test_events_are_shown_with_what_the_product_does(demo: Demo) -> None:
    assert "What Mooring told Brightcart" not in get(demo).text
    waiting = [
        [told("Connection Established")],
        [told("Connection Needs Reconnect", 2, account_id="default")],
    ]
    demo.listen(lambda: waiting.pop(0) if waiting else [])
    assert "Connection Established · Yotpo store-1 Brightcart fetches everything once. just now" in shown(
        get(demo).text
    )
    html = get(demo).text
    assert shown(html).index("Connection Needs Reconnect · Yotpo Brightcart stops") < shown(html).index(
        "Connection Established"
    )
    assert [each["id"] for each in get(demo, "/connections.json").json()["events"]] == ["event-2", "event-1"]


def test_an_event_that_comes_twice_is_shown_once_and_only_to_its_merchant(demo: Demo) -> None:
    demo.listen(lambda: [told("Connection Established"), told("Connection Disconnected", 2, "m-2")])
    html = "".join(get(demo).text for _ in range(3))
    assert html.count("data-event=") == 3, "once on each of three looks"
    assert "Connection Disconnected" not in html
    assert "Connection Disconnected" in get(demo, "/?merchant=m-2").text


def test_the_latest_five_events_are_enough(demo: Demo) -> None:
    demo.listen(lambda: [told("Connection Established", number) for number in range(9)])
    shown_events = re.findall(r'data-event="event-(\d)"', get(demo).text)
    assert shown_events == ["8", "7", "6", "5", "4"]


@pytest.mark.parametrize(
    "odd", [{}, {"detail": None}, {"detail": {"id": "x"}}, {"detail-type": "x", "detail": {}}]
)
def test_what_is_no_event_is_passed_over(demo: Demo, odd: dict[str, object]) -> None:
    demo.listen(lambda: [odd, told("Connection Established")])
    assert get(demo).text.count("data-event=") == 1


def test_an_event_cannot_bring_markup_in(demo: Demo) -> None:
    attack = '"><img src=x onerror=alert(1)>'
    demo.listen(lambda: [told(attack, account_id=attack, provider=attack, id=attack)])
    html = get(demo).text
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_each_kind_of_event_has_its_words() -> None:
    assert {kind: bool(reaction(kind)) for kind in DETAIL_TYPES.values()} == dict.fromkeys(
        DETAIL_TYPES.values(), True
    )
    assert reaction("Connection Unheard Of") == ""
