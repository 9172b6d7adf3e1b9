"""Whoever serves reads cannot open a refresh token, even one that lies in front of it.

The row is a real one, sealed by the callback, and the simulated KMS checks encryption contexts as AWS does.
It evaluates no policies, so what the role may ask for is decided here, by the policies of the template.
"""

import pytest
from botocore.exceptions import ClientError

from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField
from tests.e2e.running import RunningStack
from tests.e2e.story import Merchant
from tests.iam.ground import Ground
from tests.iam.roles import Roles
from tests.template.policy import Decision, Request

PROVIDER, ACCOUNT, NOW = "whatconverts", "default", 1_800_000_000.0
GROUND = Ground("prod", {})
ROLES = Roles(GROUND.roles(), GROUND.resource_policies())
CONNECTIONS = GROUND.principal("connections")


@pytest.fixture
def refresh(merchant: Merchant) -> SealedField:
    """The sealed refresh token of a new connection, straight from the table."""
    merchant.connect(PROVIDER)
    (row,) = merchant.rows()
    return SealedField(row["refresh"]["B"], row["refresh_key"]["B"])


def decided(action: str, resource: str, **context: str | list[str]) -> Decision:
    return ROLES.decide(Request(CONNECTIONS, action, resource, context))


def of_field(merchant: Merchant, field: str) -> dict[str, str]:
    return {"merchant": merchant.name, "provider": PROVIDER, "field": field}


def test_the_roles_policy_lets_it_open_access_and_the_keys_policy_denies_everything_else(
    merchant: Merchant,
) -> None:
    key, decisions = GROUND.logical_key("TokenKey"), {}
    for field in ("access", "refresh", "previous_refresh", "kept"):
        context = {
            f"kms:EncryptionContext:{name}": value for name, value in of_field(merchant, field).items()
        }
        decisions[field] = decided("kms:Decrypt", key, **context)
    assert decisions.pop("access") is Decision.ALLOWED
    assert set(decisions.values()) == {Decision.DENIED}


def test_nor_may_it_read_the_sealed_field_at_all() -> None:
    table = GROUND.table("mooring-prod-connections").arn
    for action in ("dynamodb:GetItem", "dynamodb:Query"):
        for names, decision in ((["access"], Decision.ALLOWED), (["refresh"], Decision.NOT_ALLOWED)):
            asked = {"dynamodb:Attributes": ["merchant_id", "connection", *names]}
            select = {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}
            assert decided(action, table, **asked, **select) is decision


def test_what_it_may_ask_of_kms_does_not_open_the_refresh_tokens_key(
    stack: RunningStack, merchant: Merchant, refresh: SealedField
) -> None:
    """Its policy leaves it one context; the key in the row was wrapped under another."""
    kms, wrapped = stack.aws("kms"), refresh.wrapped_key[1:]
    with pytest.raises(ClientError) as refused:
        kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=of_field(merchant, "access"))
    assert refused.value.response["Error"]["Code"] == "InvalidCiphertextException"
    opened = kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=of_field(merchant, "refresh"))
    assert len(opened["Plaintext"]) == 32, "it was the right key, and only the context was in the way"


def test_nor_does_our_own_sealer_open_it_as_an_access_token(
    stack: RunningStack, merchant: Merchant, refresh: SealedField
) -> None:
    (row,) = merchant.rows()
    sealer = EnvelopeSealer(Kms(stack.aws("kms"), "unused"), lambda: NOW)
    own = SealedField(row["access"]["B"], row["access_key"]["B"])
    place = (merchant.name, PROVIDER, ACCOUNT, "access")
    stack.given_out.add(sealer.open(own, *place))
    # Its ciphertext under the access token's key, and with its own.
    for field in (refresh, SealedField(refresh.ciphertext, own.wrapped_key)):
        with pytest.raises(Failure) as shut:
            sealer.open(field, *place)
        assert shut.value.reason is Reason.TOKEN_UNREADABLE
