"""What the simulated providers are told at the start: our addresses, our secrets, how long tokens live."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from local.providers import Providers, start_simulators, store_secrets, without_secret
from local.provision import client

BASE_URL = "http://127.0.0.1:8000"
CLIENT_IDS = {"whatconverts": "wc-client", "yotpo": "yotpo-client", "elsewhere": "other"}
LIFETIME_SECONDS = 30


@pytest.fixture
def providers() -> Iterator[Providers]:
    with ExitStack() as cleanup:
        yield start_simulators(
            CLIENT_IDS,
            base_url=BASE_URL,
            given={"yotpo": {"client_secret": "chosen"}, "elsewhere": {"webhook_secret": "new\nold"}},
            own_descriptors=None,
            token_seconds=LIFETIME_SECONDS,
            cleanup=cleanup,
        )


def test_tokens_live_as_long_as_was_asked_for(providers: Providers) -> None:
    answer = _token(providers)
    assert (answer["expires_in"], bool(answer["refresh_token"])) == (LIFETIME_SECONDS, True)


def test_only_known_providers_are_simulated_and_all_secrets_kept(providers: Providers, aws_url: str) -> None:
    assert providers.base_urls.keys() == {"whatconverts", "yotpo"}
    assert providers.secrets["yotpo"]["client_secret"] == "chosen"
    assert without_secret(CLIENT_IDS, providers.secrets) == ["elsewhere"]
    store_secrets(aws_url, "toys", providers.secrets)
    ssm = client("ssm", aws_url)
    held = ssm.get_parameter(Name="/mooring/toys/elsewhere/webhook_secret", WithDecryption=True)
    assert (held["Parameter"]["Value"], held["Parameter"]["Type"]) == ("new\nold", "SecureString")


def _token(providers: Providers) -> dict[str, Any]:
    """Consent and exchange at the provider whose tokens expire."""
    url = providers.base_urls["whatconverts"]
    redirect_uri = f"{BASE_URL}/callback/whatconverts"
    asked = {"response_type": "code", "client_id": "wc-client", "redirect_uri": redirect_uri}
    form = {**asked, "scope": "read_leads", "decision": "approve"}
    sent = requests.post(f"{url}/oauth/authorize", data=form, timeout=10, allow_redirects=False)
    code = parse_qs(urlsplit(sent.headers["Location"]).query)["code"][0]
    body = {
        "grant_type": "authorization_code",
        "client_id": "wc-client",
        "client_secret": providers.secrets["whatconverts"]["client_secret"],
        "code": code,
        "redirect_uri": redirect_uri,
    }
    exchanged = requests.post(f"{url}/oauth/token", json=body, timeout=10)
    assert exchanged.status_code == 200, exchanged.text
    answer: dict[str, Any] = exchanged.json()
    return answer
