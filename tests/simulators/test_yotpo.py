"""What is peculiar about the simulated Yotpo."""

import pytest

from local.simulators.yotpo import STORES
from tests.simulators.drive import Driver, Start, landing

FIRST, SECOND, *_ = STORES


@pytest.fixture
def yotpo(start: Start) -> Driver:
    return start("yotpo")


def test_a_request_in_the_query_instead_of_the_fragment_is_refused(yotpo: Driver) -> None:
    assert yotpo.get("/app/", {"state": "x"}).status_code == 400


def test_the_page_offers_every_store_and_leaves_the_hidden_fields_to_its_script(yotpo: Driver) -> None:
    page = yotpo.authorize().text
    shown = page.replace(" selected>", ">")
    assert all(f'<option value="{key}">{name}</option>' in shown for key, name in STORES.items())
    assert '<input type="hidden" name="application_id" value="">' in page
    assert '<input type="hidden" name="state" value="">' in page


@pytest.mark.parametrize(("chosen", "account"), [(None, FIRST), (FIRST, FIRST), (SECOND, SECOND)])
def test_the_store_comes_back_as_app_key(yotpo: Driver, chosen: str | None, account: str) -> None:
    back = landing(yotpo.decide(app_key=chosen))
    assert (list(back), back["app_key"]) == (["code", "app_key", "state"], account)


def test_an_unknown_store_is_refused(yotpo: Driver) -> None:
    assert yotpo.decide(app_key="a" * 40).status_code == 400


def test_only_the_stores_own_live_token_is_accepted(yotpo: Driver) -> None:
    first = yotpo.connect()["access_token"]
    second = yotpo.connect(app_key=SECOND)["access_token"]
    assert yotpo.get(f"/v2/{FIRST}/info", **{"X-Yotpo-Token": first}).json()["app_key"] == FIRST
    assert yotpo.get(f"/v2/{SECOND}/info", {"access_token": second}).status_code == 200
    assert yotpo.get(f"/v2/{SECOND}/info", **{"X-Yotpo-Token": first}).status_code == 401
    assert yotpo.get(f"/v2/{FIRST}/info", Authorization=f"Bearer {first}").status_code == 401


def test_a_new_install_ends_the_stores_earlier_token_and_no_other(yotpo: Driver) -> None:
    earlier = yotpo.connect()["access_token"]
    other = yotpo.connect(app_key=SECOND)["access_token"]
    later = yotpo.connect()["access_token"]
    assert {t["access_token"]: t["account"] for t in yotpo.live_tokens()} == {other: SECOND, later: FIRST}
    assert yotpo.get(f"/v2/{FIRST}/info", **{"X-Yotpo-Token": earlier}).status_code == 401


def test_the_token_does_not_expire(yotpo: Driver) -> None:
    answer = yotpo.connect()
    yotpo.clock.now += 10 * 365 * 86_400
    assert answer["token_type"] == "bearer"
    assert yotpo.live_tokens()[0]["expires_at"] is None
