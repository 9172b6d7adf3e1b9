"""The address that the merchant's browser is sent to, character by character."""

from urllib.parse import parse_qsl, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from mooring.core.provider import Provider
from mooring.providers.authorization_request import authorization_url
from tests.protocol.shapes import ACME, AUTHORIZE, FRAGMENT, ISSUER, STATELESS

URI = "https://connect.example.com/callback/x"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def url(provider: Provider, scopes: tuple[str, ...] = ()) -> str:
    return authorization_url(provider, "st4te", VERIFIER, URI, scopes)


def test_the_plain_code_flow() -> None:
    assert url(ACME, ("read", "write")) == (
        "https://acme.example/authorize?response_type=code&client_id=acme-client"
        "&redirect_uri=https%3A%2F%2Fconnect.example.com%2Fcallback%2Fx&scope=read%20write&state=st4te"
    )


def test_renamed_and_absent_parameters_and_a_client_id_with_a_slash() -> None:
    assert url(STATELESS) == (
        "https://acme.example/authorize?app_client_id=ab12%2Fcd34"
        "&app_redirect_uri=https%3A%2F%2Fconnect.example.com%2Fcallback%2Fx"
    )


def test_client_id_and_state_inside_the_fragment() -> None:
    assert url(FRAGMENT) == "https://acme.example/app/#/install/app%2F1?state=st4te"


def test_a_fragment_that_has_parameters_already() -> None:
    provider = FRAGMENT._replace(
        authorize=FRAGMENT.authorize._replace(url="https://acme.example/?a=1#/install?x=1")
    )
    assert url(provider) == "https://acme.example/?a=1#/install?x=1&state=st4te"


def test_a_query_and_a_fragment_of_the_addresss_own_stay() -> None:
    provider = ACME._replace(
        authorize=AUTHORIZE._replace(url="https://acme.example/a?tenant=1#top", parameters={"state": "s"})
    )
    assert url(provider) == "https://acme.example/a?tenant=1&s=st4te#top"


def test_pkce_sends_the_challenge_and_never_the_verifier() -> None:
    parameters = dict(parse_qsl(urlsplit(url(ISSUER)).query))
    assert (parameters["code_challenge"], parameters["code_challenge_method"]) == (CHALLENGE, "S256")
    assert VERIFIER not in url(ISSUER)


def test_without_pkce_no_challenge_even_if_it_has_a_name() -> None:
    provider = ISSUER._replace(authorize=ISSUER.authorize._replace(pkce=False))
    assert "code_challenge" not in url(provider)


def test_extras_are_sent_and_the_separator_is_the_providers_own() -> None:
    leg = AUTHORIZE._replace(extra={"access_type": "off line", "a&b": "c=d"}, scope_separator=",")
    parameters = dict(parse_qsl(urlsplit(url(ACME._replace(authorize=leg), ("a", "b"))).query))
    assert (parameters["access_type"], parameters["a&b"], parameters["scope"]) == ("off line", "c=d", "a,b")


def test_no_scopes_no_scope() -> None:
    assert "scope" not in url(ACME)


def test_nothing_to_send_leaves_the_address_alone() -> None:
    provider = ACME._replace(authorize=AUTHORIZE._replace(parameters={}))
    assert url(provider) == "https://acme.example/authorize"


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.lists(st.text("abc:/.", min_size=1), max_size=3))
def test_any_client_id_and_scopes_arrive_as_they_are(client_id: str, scopes: list[str]) -> None:
    address = urlsplit(url(ACME._replace(client_id=client_id), tuple(scopes)))
    parameters = dict(parse_qsl(address.query, keep_blank_values=True))
    assert (address.netloc, address.path) == ("acme.example", "/authorize")
    assert parameters["client_id"] == client_id
    assert parameters.get("scope", "") == " ".join(scopes)
