"""The door of `revoke`: each message on its own, what comes again and when, and what the lines say."""

from typing import Any

import pytest

from mooring.adapters.revocation_queue import message
from mooring.core.errors import Failure, Outcome, Reason, TokenCallFailure
from mooring.core.revocation import TRIES, Revocation, Told, tried_again_in
from mooring.core.upkeep import Key
from mooring.entry.http_api import Line
from tests.entry.deployed import Deployed, batch
from tests.fakes.token_revoker import RevokeCall
from tests.flows.upkeep_world import KEY
from tests.protocol.shapes import ACME, REVOKE

OTHER = KEY._replace(merchant_id="m-2", account_id="shop-10")
DOWN = TokenCallFailure(Outcome.TRANSIENT, Reason.PROVIDER_UNAVAILABLE, "HTTP 503", retry_after=90)


@pytest.fixture
def deployed() -> Deployed:
    found = Deployed()
    found.world.providers["acme"] = ACME._replace(revoke=REVOKE)
    return found


def cut_off(deployed: Deployed, key: Key = KEY) -> str:
    """The message of a connection that was cut off."""
    world = deployed.world
    world.stands(key)
    row = world.connections.row(key)
    assert row is not None
    assert row.access is not None
    body = message(Revocation(key, row.connection.generation, row.access, world.rest(key).refresh))
    world.endings.disconnect(key, int(world.clock()))
    return body


def received(event: dict[str, Any], times: object) -> dict[str, Any]:
    """The same batch, received so many times."""
    for record in event["Records"]:
        record["attributes"] = {"ApproximateReceiveCount": times}
    return event


def again(*numbers: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"message-{number}"} for number in numbers]}


def line(deployed: Deployed) -> Line:
    (only,) = deployed.lines
    return only


def test_what_was_revoked_is_done_with_and_told(deployed: Deployed) -> None:
    assert deployed.revoke(batch(cut_off(deployed))) == again()
    told = line(deployed)
    assert (told.outcome, told.status, told.reason, told.alarm) == ("revoked", 200, None, None)
    assert (told.provider, told.merchant_id, told.account_id) == tuple(KEY[i] for i in (1, 0, 2))
    assert told.counts == (("Revoked", 1),)
    assert told.request_id == "message-0"
    assert deployed.world.row().revocation == "revoked"
    assert deployed.world.revocations.again == []


@pytest.mark.parametrize(
    ("told", "outcome", "metric"),
    [(Told.DONE, "revoked", "Revoked"), (Told.UNSUPPORTED, "unsupported", "RevocationUnsupported")],
)
def test_each_outcome_has_its_metric(deployed: Deployed, told: Told, outcome: str, metric: str) -> None:
    deployed.world.revoker.told = told
    deployed.revoke(batch(cut_off(deployed)))
    assert (line(deployed).outcome, line(deployed).counts) == (outcome, ((metric, 1),))


def test_what_is_skipped_says_why_and_rings_nothing(deployed: Deployed) -> None:
    body = cut_off(deployed)
    deployed.world.stands(KEY._replace(account_id="shop-11"))
    assert deployed.revoke(batch(body)) == again()
    told = line(deployed)
    assert (told.outcome, told.status, told.reason, told.alarm) == ("skipped", 200, "grant_in_use", None)
    assert told.counts == (("RevocationSkipped", 1),)


@pytest.mark.parametrize(("times", "tries"), [("1", 1), ("2", 2), ("5", 5), ("11", 11), (None, 1), ("x", 1)])
def test_what_fails_comes_again_each_time_later(deployed: Deployed, times: object, tries: int) -> None:
    deployed.world.revoker.told = DOWN
    body = cut_off(deployed)
    assert deployed.revoke(received(batch(body), times)) == again(0)
    assert deployed.world.revocations.again == [("receipt-0", tried_again_in(tries, 0.0, 90))]
    told = line(deployed)
    assert (told.outcome, told.status, told.reason) == ("failed", 503, "provider_unavailable")
    assert (told.detail, told.counts, told.alarm) == ("HTTP 503", (("RevokeFailed", 1),), None)


@pytest.mark.parametrize("times", [TRIES, TRIES + 1, 400])
def test_after_the_last_try_it_lies_among_the_dead_letters_at_once(deployed: Deployed, times: int) -> None:
    deployed.world.revoker.told = DOWN
    assert deployed.revoke(received(batch(cut_off(deployed)), str(times))) == again(0)
    assert deployed.world.revocations.again == [("receipt-0", 0)]


@pytest.mark.parametrize(("times", "noted"), [(TRIES - 1, None), (TRIES, "failed"), (TRIES + 1, "failed")])
def test_the_last_try_is_noted(deployed: Deployed, times: int, noted: str | None) -> None:
    deployed.world.revoker.told = DOWN
    deployed.revoke(received(batch(cut_off(deployed)), str(times)))
    assert deployed.world.row().revocation == noted


@pytest.mark.parametrize(
    ("port", "failure", "alarm"),
    [
        (
            "revoker",
            TokenCallFailure(Outcome.MISCONFIGURED, Reason.PROVIDER_MISCONFIGURED),
            "ProviderMisconfigured",
        ),
        ("sealer", Failure(Reason.KEY_DENIED, "AccessDeniedException"), "KeyDenied"),
        ("sealer", Failure(Reason.TOKEN_UNREADABLE), "TokenUnreadable"),
        ("secrets", Failure(Reason.SECRET_UNAVAILABLE), "SecretUnavailable"),
        ("generations", Failure(Reason.STORAGE_UNAVAILABLE), None),
    ],
    ids=lambda value: value.reason.value if isinstance(value, Failure) else None,
)
def test_what_somebody_must_hear_of_rings(
    deployed: Deployed, port: str, failure: Failure, alarm: str | None
) -> None:
    method = {"revoker": "revoke", "sealer": "open", "secrets": "client_secret", "generations": "living"}[
        port
    ]
    body = cut_off(deployed)
    getattr(deployed.world, port).broken[method] = failure
    assert deployed.revoke(batch(body)) == again(0)
    told = line(deployed)
    assert (told.reason, told.alarm, told.status) == (failure.reason.value, alarm, failure.status)


def test_one_message_s_trouble_is_not_its_neighbours(deployed: Deployed) -> None:
    def told(call: RevokeCall) -> Told:
        if call.account_id == "shop-10":
            raise ValueError("canary-text-of-a-defect")
        return Told.DONE

    deployed.world.revoker.told = told
    bodies = cut_off(deployed), cut_off(deployed, OTHER), '{"schema":9}'
    answered = deployed.revoke(batch(*bodies))
    assert sorted(each["itemIdentifier"] for each in answered["batchItemFailures"]) == [
        "message-1",
        "message-2",
    ]
    good, defect, malformed = deployed.in_order()
    assert good.outcome == "revoked"
    assert (defect.reason, defect.alarm, defect.detail) == ("internal", "Defect", "ValueError")
    assert defect.at is not None
    assert "canary" not in repr(defect)
    assert (malformed.reason, malformed.provider, malformed.merchant_id) == ("message_malformed", None, None)
    # What nobody understands is not kept for a day and a half.
    assert [receipt for receipt, _ in deployed.world.revocations.again] == ["receipt-1"]


def test_a_message_that_cannot_be_put_off_comes_again_all_the_same(deployed: Deployed) -> None:
    deployed.world.revoker.told = DOWN
    deployed.world.revocations.broken["again_in"] = Failure(Reason.STORAGE_UNAVAILABLE)
    assert deployed.revoke(batch(cut_off(deployed))) == again(0)


def test_a_disabled_provider_becomes_no_dimension(deployed: Deployed) -> None:
    body = cut_off(deployed)
    del deployed.world.providers["acme"]
    assert deployed.revoke(batch(body)) == again(0)
    assert (line(deployed).reason, line(deployed).provider) == ("provider_unknown", None)


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": None}])
def test_an_empty_batch_is_nothing(deployed: Deployed, event: dict[str, Any]) -> None:
    assert deployed.revoke(event) == again()
    assert deployed.lines == []


def test_nothing_that_is_said_holds_a_secret(deployed: Deployed) -> None:
    deployed.world.revoker.told = [DOWN, Told.DONE]
    body = cut_off(deployed)
    deployed.revoke(batch(body))
    deployed.revoke(batch(body))
    assert "canary" not in repr((deployed.lines, deployed.said, body))
    assert [call.token for call in deployed.world.revoker.calls] == ["canary-refresh-0"] * 2
