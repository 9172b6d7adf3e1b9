"""The provider that exists in tests alone: its server, its events, and that its description fits both."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import yaml

from mooring.core.errors import Failure, Reason
from mooring.core.provider import Provider, provider_from_compiled
from mooring.providers.compiler import LocalCompile, compile_project
from mooring.providers.notices import read_notice
from tests.e2e.fifth.events import EVENT_ID, SIGNATURE, Encoding, Event, send
from tests.e2e.fifth.provider import CLIENT_ID, FifthProvider
from tests.simulators.receiver import Receiver, wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes events."""
    running = Receiver()
    yield running
    running.stop()


@pytest.fixture(params=["hex", "base64"])
def fifth(request: pytest.FixtureRequest, receiver: Receiver) -> Iterator[FifthProvider]:
    """The running provider, in both ways to write a signature."""
    running = FifthProvider(receiver.base_url, encoding=request.param)
    yield running
    running.stop()


@pytest.fixture
def provider(fifth: FifthProvider, tmp_path: Path) -> Provider:
    """Its description as the local stack compiles it."""
    catalog, out = tmp_path / "catalog", tmp_path / "out"
    catalog.mkdir()
    (catalog / "quayside.yaml").write_text(fifth.descriptor())
    config = tmp_path / "mooring.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "branding": {"product": "Brightcart"},
                "return_to_origins": ["http://127.0.0.1:4000"],
                "link_keys": [{"kid": "k-1", "public_key": "A" * 43}],
                "providers": {"quayside": {"client_id": CLIENT_ID}},
            }
        )
    )
    compile_project(config=config, catalog=catalog, out=out, local=LocalCompile())
    return provider_from_compiled(json.loads((out / "providers/quayside.json").read_text()))


def read(provider: Provider, event: Event, fifth: FifthProvider) -> object:
    headers = {name.lower(): value for name, value in event.headers.items()}
    secrets = [fifth.secrets["webhook_secret"]]
    return read_notice(provider, headers, event.body, secrets, int(time.time()))


def connect(fifth: FifthProvider, shop: str) -> dict[str, object]:
    """The whole story; returns the token answer."""
    uri = f"{fifth.mooring_url}/callback/quayside"
    client = {"client_id": CLIENT_ID, "redirect_uri": uri}
    asked = {**client, "response_type": "code", "scope": "orders", "state": "s"}
    back = requests.post(
        f"{fifth.base_url}/oauth/authorize",
        data={**asked, "decision": "approve", "shop": shop},
        timeout=5,
        allow_redirects=False,
    )
    code = dict(parse_qsl(urlsplit(back.headers["Location"]).query))["code"]
    body = {**client, "grant_type": "authorization_code", "code": code}
    answer: dict[str, object] = token(fifth, body).json()
    return answer


def token(fifth: FifthProvider, body: dict[str, str]) -> requests.Response:
    sent = {**body, "client_secret": fifth.secrets["client_secret"]}
    return requests.post(f"{fifth.base_url}/oauth/token", data=sent, timeout=5)


def probe(fifth: FifthProvider, access_token: object) -> int:
    headers = {"Authorization": f"Bearer {access_token}"}
    return requests.get(f"{fifth.base_url}/api/shop", headers=headers, timeout=5).status_code


def test_the_consent_page_has_the_chosen_shop_filled_in(fifth: FifthProvider) -> None:
    fifth.choose("harbour-7")
    asked = {
        "client_id": CLIENT_ID,
        "redirect_uri": f"{fifth.mooring_url}/callback/quayside",
        "response_type": "code",
        "scope": "orders stock",
        "state": "s",
    }
    page = requests.get(f"{fifth.base_url}/oauth/authorize", params=asked, timeout=5)
    assert page.status_code == 200
    assert 'name="shop" value="harbour-7"' in page.text
    assert page.text.count("<form") == 1


def test_it_names_the_shop_and_rotates(fifth: FifthProvider) -> None:
    first = connect(fifth, "shop-9")
    assert first["shop"] == {"id": "shop-9"}
    assert probe(fifth, first["access_token"]) == 200
    body = {"grant_type": "refresh_token", "client_id": CLIENT_ID}
    second = token(fifth, {**body, "refresh_token": str(first["refresh_token"])}).json()
    assert second["refresh_token"] != first["refresh_token"]
    reused = token(fifth, {**body, "refresh_token": str(first["refresh_token"])})
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")


def revoke(fifth: FifthProvider, token: object, **changes: str) -> requests.Response:
    client = {"client_id": CLIENT_ID, "client_secret": fifth.secrets["client_secret"]}
    body = {**client, "token": str(token), "token_type_hint": "refresh_token", **changes}
    return requests.post(f"{fifth.base_url}/oauth/revoke", data=body, timeout=5)


def behave(fifth: FifthProvider, **wish: str) -> None:
    assert requests.post(f"{fifth.base_url}/_sim/options", json=wish, timeout=5).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize(("revokes", "other"), [("token", 200), ("grant", 401)])
def test_a_revoked_token_takes_its_consent_with_it_or_the_whole_grant(
    fifth: FifthProvider, kind: str, revokes: str, other: int
) -> None:
    behave(fifth, revokes=revokes)
    first, second, elsewhere = (connect(fifth, shop) for shop in ("shop-1", "shop-1", "shop-2"))
    answer = revoke(fifth, first[kind])
    assert (answer.status_code, answer.content) == (200, b"")
    lives = [probe(fifth, one["access_token"]) for one in (first, second, elsewhere)]
    assert lives == [401, other, 200]
    body = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "refresh_token": str(first["refresh_token"]),
    }
    assert token(fifth, body).json()["error"] == "invalid_grant"


def test_a_token_that_is_none_is_revoked_already(fifth: FifthProvider) -> None:
    issued = connect(fifth, "shop-1")
    answers = [revoke(fifth, one) for one in (issued["refresh_token"], issued["refresh_token"], "nobody's")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"token": ""}, 400, "invalid_request"),
        ({"surprise": "x"}, 400, "invalid_request"),
    ],
)
def test_the_revocation_endpoint_is_strict(
    fifth: FifthProvider, changes: dict[str, str], status: int, error: str
) -> None:
    issued = connect(fifth, "shop-1")
    answer = revoke(fifth, **{"token": str(issued["refresh_token"]), **changes})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert probe(fifth, issued["access_token"]) == 200


def test_the_revocation_endpoint_can_refuse_a_kind_and_go_wrong(fifth: FifthProvider) -> None:
    issued = connect(fifth, "shop-1")
    behave(fifth, revokes="nothing")
    answer = revoke(fifth, issued["refresh_token"])
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_token_type")
    wrong = {"endpoint": "revoke", "mode": "http_503", "times": 1}
    requests.post(f"{fifth.base_url}/_sim/misbehave", json=wrong, timeout=5)
    assert revoke(fifth, issued["refresh_token"]).status_code == 503
    assert probe(fifth, issued["access_token"]) == 200
    calls = requests.get(f"{fifth.base_url}/_sim/calls", timeout=5).json()
    seen = [call for call in calls if call["endpoint"] == "revoke"]
    assert [call["outcome"] for call in seen] == ["unsupported_token_type", "http_503"]
    assert seen[0]["parameters"] == ["client_id", "client_secret", "token", "token_type_hint"]


def test_removing_the_app_ends_tokens_and_sends_an_event_that_proves_itself(
    fifth: FifthProvider, provider: Provider, receiver: Receiver
) -> None:
    issued, other = connect(fifth, "shop-1"), connect(fifth, "shop-2")
    answer = requests.post(f"{fifth.base_url}/admin/disconnect", data={"account": "shop-1"}, timeout=5)
    assert answer.status_code == 200
    assert [probe(fifth, one["access_token"]) for one in (issued, other)] == [401, 200]
    wait_until(lambda: len(receiver.received) == 2)
    path, headers, body = receiver.received[0]
    assert path == "/uninstall/quayside"
    notice = read_notice(provider, headers, body, [fifth.secrets["webhook_secret"]], int(time.time()))
    assert notice is not None
    assert (notice.account_id, notice.proven, notice.event_id) == ("shop-1", True, headers[EVENT_ID.lower()])
    assert notice.at is not None
    assert abs(notice.at - time.time()) < 30
    assert receiver.received[1] == receiver.received[0]


def test_made_events_are_read_as_they_were_meant(fifth: FifthProvider, provider: Provider) -> None:
    at = int(time.time()) - 7_200
    assert read(provider, fifth.event("shop-5", at=at, event_id="ev-1"), fifth) == (
        "shop-5",
        "ev-1",
        at,
        True,
    )
    assert read(provider, fifth.event("shop-5", type="app.installed"), fifth) is None


def forgeries(fifth: FifthProvider) -> dict[str, Event]:
    genuine = fifth.event("shop-5")
    return {
        "another body": genuine.with_body(genuine.body.replace(b"shop-5", b"shop-6")),
        "one more byte": genuine.with_body(genuine.body + b" "),
        "another secret": fifth.event("shop-5", secret="another"),
        "no signature": genuine.with_header(SIGNATURE, None),
        "no such signature": genuine.with_header(SIGNATURE, "0" * 64),
    }


def test_forged_events_are_refused(fifth: FifthProvider, provider: Provider) -> None:
    for name, event in forgeries(fifth).items():
        with pytest.raises(Failure) as refused:
            read(provider, event, fifth)
        assert refused.value.reason is Reason.NOTICE_FORGED, name


@pytest.mark.parametrize(
    "at",
    ["soon", float("inf"), -1, True, int(time.time()) + 10_000],
    ids=["word", "infinite", "negative", "boolean", "far ahead"],
)
def test_events_with_an_impossible_time_are_refused(
    fifth: FifthProvider, provider: Provider, at: object
) -> None:
    with pytest.raises(Failure) as refused:
        read(provider, fifth.event("shop-5", at=at), fifth)
    assert refused.value.reason in {Reason.NOTICE_TIME, Reason.NOTICE_MALFORMED}


def test_an_event_is_sent_as_it_is(fifth: FifthProvider, receiver: Receiver) -> None:
    event = fifth.signed(b"\xff\x00 not JSON", event_id="ev-2")
    receiver.statuses = [400]
    assert send(fifth.mooring_url, event).status_code == 400
    assert fifth.send(event) == 200
    assert [one.body for one in receiver.received] == [event.body] * 2
    assert receiver.received[0].headers[SIGNATURE.lower()] == event.headers[SIGNATURE]


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_secrets_are_new_each_time(encoding: Encoding) -> None:
    one, other = FifthProvider("http://127.0.0.1:9", encoding=encoding), FifthProvider("http://127.0.0.1:9")
    assert not set(one.secrets.values()) & set(other.secrets.values())
    one.stop()
    other.stop()
