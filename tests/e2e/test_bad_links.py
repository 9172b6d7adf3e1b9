"""Links that `/authorize` refuses, and requests it does not answer: a page, no cookie, nothing written."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.core.signing import crafted
from tests.e2e.running import PRODUCT, RETURN_TO, RunningStack
from tests.e2e.story import Merchant, check_failure
from tests.e2e.visitor import Initiator, Page

OTHER_KEY = Ed25519PrivateKey.generate()
NOW = int(time.time())

CLAIMS: dict[str, tuple[dict[str, Any], int, str]] = {
    "expired": ({"iat": NOW - 700, "exp": NOW - 100}, 403, "link_expired"),
    "too long a life": ({"iat": NOW, "exp": NOW + 3700}, 400, "link_malformed"),
    "from the future": ({"iat": NOW + 900, "exp": NOW + 1200}, 400, "link_malformed"),
    "other audience": ({"aud": "https://connect.example.com"}, 403, "link_audience"),
    "no audience": ({"aud": None}, 403, "link_audience"),
    "other provider": ({"provider": "xeno"}, 403, "link_provider"),
    "wrong use": ({"use": "refund"}, 403, "link_use"),
    "use manage": ({"use": "manage"}, 403, "link_use"),
    "no merchant": ({"sub": None}, 400, "link_malformed"),
    "odd merchant": ({"sub": "m 1"}, 400, "link_malformed"),
    "no jti": ({"jti": None}, 400, "link_malformed"),
    "return elsewhere": ({"return_to": "https://evil.example/"}, 400, "return_to_not_allowed"),
    "return to a look-alike": ({"return_to": f"{PRODUCT}.evil.example/"}, 400, "return_to_not_allowed"),
    "return by user info": ({"return_to": f"{PRODUCT}@evil.example/"}, 400, "return_to_not_allowed"),
    "return to a script": ({"return_to": "javascript:alert(1)"}, 400, "return_to_not_allowed"),
    "too many scopes": ({"provider": "xeno", "scopes": ["widgets", "admin"]}, 400, "scopes_not_allowed"),
    "too long": ({"return_to": f"{PRODUCT}/{'a' * 900}"}, 400, "link_too_long"),
}


def refused(stack: RunningStack, merchant: Merchant, page: Page, status: int, reason: str) -> None:
    """What every refusal at the start has in common."""
    check_failure(stack, page, status, reason, "authorize")
    assert page.all("set-cookie") == []
    assert page.header("location") == ""
    assert page.header("cache-control") == "no-store"
    assert "default-src 'none'" in page.header("content-security-policy")
    assert merchant.rows() == []


@pytest.mark.parametrize("case", CLAIMS, ids=lambda case: case.replace(" ", "-"))
def test_a_link_with_wrong_claims(stack: RunningStack, merchant: Merchant, case: str) -> None:
    changes, status, reason = CLAIMS[case]
    provider = "xeno" if "scopes" in changes else "yotpo"
    token = stack.sign(stack.claims(provider, merchant.name, **changes))
    page = merchant.browser.open(f"{stack.base_url}/authorize/{provider}?link={token}")
    refused(stack, merchant, page, status, reason)
    offers_return = reason == "scopes_not_allowed"
    assert ("Back to" in page.text) is offers_return


def _forgeries(stack: RunningStack, merchant: Merchant) -> dict[str, tuple[str, int, str]]:
    claims = stack.claims("yotpo", merchant.name)
    good = stack.sign(claims)
    head, body, signature = good.split(".")
    kid = stack.info["link_key"]["kid"]
    own = load_pem_private_key(stack.link_key_path.read_bytes(), None)
    assert isinstance(own, Ed25519PrivateKey)
    secret = stack.link_key_path.read_text()
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    foreign = jwt.encode(claims, OTHER_KEY, algorithm="EdDSA", headers={"kid": kid})
    return {
        "flipped": (f"{head}.{body}.{flipped}", 403, "link_forged"),
        "other key": (foreign, 403, "link_forged"),
        "other body": (f"{head}.{foreign.split('.')[1][:-4]}AAAA.{signature}", 403, "link_forged"),
        "unknown kid": (stack.sign(claims, kid="nobody"), 403, "link_key_unknown"),
        "alg none": (crafted({"alg": "none", "kid": kid}, claims, own), 403, "link_algorithm"),
        "alg HS256": (
            jwt.encode(claims, secret[:20], algorithm="HS256", headers={"kid": kid}),
            403,
            "link_algorithm",
        ),
        "crit": (crafted({"alg": "EdDSA", "kid": kid, "crit": ["b64"]}, claims, own), 403, "link_algorithm"),
        "not JSON": (crafted(b"what", b"ever", own), 400, "link_malformed"),
        "one part": (head, 403, "link_forged"),
        "empty": ("", 400, "link_missing"),
        "very long": ("a" * 5000, 400, "link_too_long"),
    }


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_a_link_that_the_product_did_not_sign(stack: RunningStack, merchant: Merchant) -> None:
    for name, (token, status, reason) in _forgeries(stack, merchant).items():
        page = merchant.browser.open(f"{stack.base_url}/authorize/yotpo?link={token}")
        assert f"<code>{reason}</code>" in page.text, name
        refused(stack, merchant, page, status, reason)


def test_requests_without_a_readable_link(stack: RunningStack, merchant: Merchant) -> None:
    good = stack.sign(stack.claims("yotpo", merchant.name))
    for query, status, reason in (
        ("", 400, "link_missing"),
        ("?lnk=x", 400, "link_missing"),
        (f"?link={good}&link={good}", 400, "parameter_repeated"),
        (f"?link={good}%00", 400, "request_malformed"),
        (f"?link={good}%ff", 400, "request_malformed"),
        (f"?link={good}&x=%zz", 400, "request_malformed"),
    ):
        page = merchant.browser.open(f"{stack.base_url}/authorize/yotpo{query}")
        refused(stack, merchant, page, status, reason)


@pytest.mark.parametrize(
    "provider", ["nobody", "acme-three", "Yotpo", "..", "%2e%2e", "yotpo%2f..", "a" * 300]
)
def test_an_unknown_provider_at_both_ends(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    link = stack.sign(stack.claims("yotpo", merchant.name))
    page = merchant.browser.open(f"{stack.base_url}/authorize/{provider}?link={link}")
    check_failure(stack, page, 404, "provider_unknown", "authorize")
    assert provider not in page.text or provider == ".."
    back = merchant.browser.open(f"{stack.base_url}/callback/{provider}?code=x&state=y")
    check_failure(stack, back, 404, "provider_unknown")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_other_methods_have_no_route(stack: RunningStack, merchant: Merchant, method: str) -> None:
    for path in ("/authorize/yotpo", "/callback/yotpo"):
        page = merchant.browser.request(method, f"{stack.base_url}{path}")
        assert page.status == 404
        assert method == "HEAD" or json.loads(page.body) == {"message": "Not Found"}


@pytest.mark.parametrize(
    "path", ["/", "/authorize", "/authorize/", "/authorize/yotpo/", "/callback", "/elsewhere"]
)
def test_other_paths_have_no_route(stack: RunningStack, merchant: Merchant, path: str) -> None:
    page = merchant.browser.open(f"{stack.base_url}{path}")
    assert (page.status, json.loads(page.body)) == (404, {"message": "Not Found"})


def test_a_forced_link_asks_first(stack: RunningStack, merchant: Merchant) -> None:
    url = stack.link("xeno", merchant.name)
    page = merchant.browser.open(url, Initiator("http://evil.example/bait"))
    assert page.status == 200
    assert 'data-page="forced_link"' in page.text
    assert page.all("set-cookie") == []
    from_elsewhere = merchant.browser.request(
        "POST",
        url,
        initiator=Initiator("http://evil.example/bait"),
        headers={"Origin": "http://evil.example"},
    )
    refused(stack, merchant, from_elsewhere, 403, "cross_site")
    answered = merchant.browser.submit(page)
    assert answered.status == 303
    assert merchant.browser.follow(merchant.consent("xeno", answered)).status == 303
    assert len(merchant.rows()) == 1


def test_a_link_on_the_products_own_page_does_not_ask(stack: RunningStack, merchant: Merchant) -> None:
    page = merchant.browser.open(stack.link("xeno", merchant.name), Initiator(RETURN_TO))
    assert page.status == 302
    (cookie,) = page.all("set-cookie")
    assert cookie.startswith("__Host-mooring-flow.")
    for attribute in ("; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=600"):
        assert attribute in cookie
