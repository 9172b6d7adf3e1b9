"""What a good link says, and how long."""

import pytest

from mooring.core.errors import Failure, Reason
from mooring.core.link import verify_link
from tests.core.signing import ABSENT, APP, BASE_URL, NOW, RETURN_TO, policy, signed


def test_a_good_link_is_read_claim_by_claim() -> None:
    token = signed(scopes=["read", "write"], account_id="shop-9", confirm=True)
    link = verify_link(token, policy(), NOW)
    assert link._asdict() == {
        "token": token,
        "merchant_id": "m-1",
        "use": "connect",
        "provider": "acme",
        "return_to": RETURN_TO,
        "jti": "jti-1",
        "issued_at": NOW,
        "expires_at": NOW + 600,
        "scopes": ("read", "write"),
        "account_id": "shop-9",
        "confirm": True,
    }


def test_what_a_link_does_not_say_has_a_default() -> None:
    link = verify_link(signed(), policy(), NOW)
    assert (link.scopes, link.account_id, link.confirm) == (None, None, False)


def test_a_manage_link_needs_no_provider() -> None:
    link = verify_link(signed(use="manage", provider=ABSENT), policy(), NOW)
    assert (link.use, link.provider) == ("manage", "")


def test_unknown_claims_such_as_locale_are_no_obstacle() -> None:
    assert verify_link(signed(locale="de"), policy(), NOW).merchant_id == "m-1"


@pytest.mark.parametrize(
    ("age", "grace", "accepted"),
    [
        (0, 0, True),
        (599, 0, True),
        (600, 0, False),
        (601, 0, False),
        (600, 600, True),
        (1199, 600, True),
        (1200, 600, False),
    ],
)
def test_a_link_ends_with_its_last_second_and_grace_moves_that_second(
    age: int, grace: int, accepted: bool
) -> None:
    token = signed()
    if accepted:
        assert verify_link(token, policy(), NOW + age, grace).jti == "jti-1"
        return
    with pytest.raises(Failure) as refused:
        verify_link(token, policy(), NOW + age, grace)
    assert (refused.value.reason, refused.value.status) == (Reason.LINK_EXPIRED, 403)


@pytest.mark.parametrize(("ahead", "accepted"), [(60, True), (61, False)])
def test_a_product_whose_clock_runs_a_minute_ahead_is_forgiven(ahead: int, accepted: bool) -> None:
    token = signed(iat=NOW + ahead, exp=NOW + ahead + 60)
    if accepted:
        assert verify_link(token, policy(), NOW).issued_at == NOW + ahead
        return
    with pytest.raises(Failure) as refused:
        verify_link(token, policy(), NOW)
    assert (refused.value.reason, refused.value.status) == (Reason.LINK_MALFORMED, 400)


def test_a_link_lives_one_hour_and_not_a_second_longer() -> None:
    assert verify_link(signed(exp=NOW + 3_600), policy(), NOW).expires_at == NOW + 3_600
    with pytest.raises(Failure) as refused:
        verify_link(signed(exp=NOW + 3_601), policy(), NOW)
    assert refused.value.reason is Reason.LINK_MALFORMED


def test_a_link_may_be_1000_bytes_long_and_no_longer() -> None:
    spare = 1_000 - len(signed(return_to=f"{APP}/"))
    padding = next(n for n in range(spare) if len(signed(return_to=f"{APP}/{'x' * n}")) >= 999)
    fits = signed(return_to=f"{APP}/{'x' * padding}")
    assert 999 <= len(fits) <= 1_000
    assert verify_link(fits, policy(), NOW).return_to.endswith("x")
    too_long = signed(return_to=f"{APP}/{'x' * (padding + 2)}")
    with pytest.raises(Failure) as refused:
        verify_link(too_long, policy(), NOW)
    assert (refused.value.reason, refused.value.status) == (Reason.LINK_TOO_LONG, 400)


def test_a_link_made_for_another_deployment_is_refused_here() -> None:
    elsewhere = policy(audience="https://connect.example.org")
    with pytest.raises(Failure) as refused:
        verify_link(signed(aud=BASE_URL), elsewhere, NOW)
    assert (refused.value.reason, refused.value.status) == (Reason.LINK_AUDIENCE, 403)
