"""A probe tells a live token from a dead one, and never takes a fault for either."""

import pytest

from mooring.core.ports import HttpFault, HttpResponse
from mooring.core.provider import Call, Placement, Probe, Provider
from mooring.providers.oauth2 import IDENTITY_CALL_SECONDS, OAuth2
from tests.fakes.http import FakeHttp
from tests.protocol.shapes import ACME, ACME_URL

PROBED = ACME._replace(probe=Call("GET", f"{ACME_URL}/api/{{account_id}}/info"))


def probe(answer: HttpResponse | HttpFault, provider: Provider = PROBED) -> tuple[Probe, FakeHttp]:
    http = FakeHttp(answer)
    return OAuth2(http).probe(provider, "at+/=", "shop:9/.."), http


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_means_live(status: int) -> None:
    assert probe(HttpResponse(status, {}, b'{"error":"whatever it says"}'))[0] is Probe.LIVE


def test_401_means_refused() -> None:
    assert probe(HttpResponse(401, {}, b""))[0] is Probe.REFUSED


@pytest.mark.parametrize(
    "answer",
    [
        *(
            HttpResponse(status, {}, b"")
            for status in (301, 302, 304, 400, 402, 403, 404, 407, 408, 410, 418, 429, 500, 502, 503, 504)
        ),
        *(HttpFault(kind, sent=True) for kind in ("timeout", "broken", "too_large")),
        *(HttpFault(kind, sent=False) for kind in ("connect", "tls", "refused_address", "timeout")),
    ],
    ids=repr,
)
def test_anything_else_means_that_nobody_can_tell(answer: HttpResponse | HttpFault) -> None:
    found, http = probe(answer)
    assert (found, len(http.requests)) == (Probe.UNKNOWN, 1)


def test_without_a_probe_nobody_is_asked() -> None:
    http = FakeHttp()
    assert OAuth2(http).probe(ACME, "at", "shop-9") is Probe.UNKNOWN
    assert http.requests == []


def test_account_and_token_stand_where_the_descriptor_says() -> None:
    _, http = probe(HttpResponse(200, {}, b""))
    (request,) = http.requests
    assert (request.method, request.url) == ("GET", "https://acme.example/api/shop%3A9%2F../info")
    assert request.headers == {"accept": "application/json", "authorization": "Bearer at+/="}
    assert (request.body, request.hosts) == (None, ("acme.example",))
    assert request.deadline == IDENTITY_CALL_SECONDS


def test_a_token_in_the_query_is_encoded() -> None:
    api = PROBED.api._replace(token=Placement("query", "access_token", ""))
    _, http = probe(HttpResponse(200, {}, b""), PROBED._replace(api=api))
    (request,) = http.requests
    assert request.url.endswith("/info?access_token=at%2B%2F%3D")
    assert request.headers == {"accept": "application/json"}


def test_a_host_that_the_descriptor_does_not_pin_gets_no_token() -> None:
    found, http = probe(HttpResponse(401, {}, b""), PROBED._replace(hosts=("other.example",)))
    assert (found, http.requests) == (Probe.UNKNOWN, [])
