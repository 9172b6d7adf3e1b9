"""Moving to another token key: whoever seals does so under it; what is under the others stays readable."""

import re

import pytest

from tests.template.policy import Decision, Request, decide
from tests.template.translated import ACCOUNT, REGION, Stack, source

ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/"
OWN, NEW, NEWER = f"{ARN}TokenKey", f"{ARN}0f0f-1", f"{ARN}0f0f-2"
PARAMETERS = {"OperatorPrincipals": f"arn:aws:iam::{ACCOUNT}:role/operators"}
FIRST = Stack(**PARAMETERS)
MOVED = Stack(**PARAMETERS, CurrentTokenKeyArn=NEW)
MOVED_AGAIN = Stack(**PARAMETERS, CurrentTokenKeyArn=NEWER, FormerTokenKeyArn=NEW)
STAGES = [(FIRST, OWN, {OWN}), (MOVED, NEW, {OWN, NEW}), (MOVED_AGAIN, NEWER, {OWN, NEW, NEWER})]
SEALING = {"merchant": "m-1", "provider": "p"}
#: The action with which each role uses token keys, and for which fields.
OPENERS = {
    "CallbackRole": ("kms:Decrypt", ["access"]),
    "ConnectionsRole": ("kms:Decrypt", ["access"]),
    "RefreshRole": ("kms:Decrypt", ["access", "refresh"]),
    "RevokeRole": ("kms:Decrypt", ["access", "refresh"]),
    "ExportRole": ("kms:Decrypt", ["access", "refresh"]),
    "ResealRole": ("kms:ReEncryptFrom", ["access", "refresh"]),
}


def keys(stack: Stack, role: str, action: str, field: str) -> set[str]:
    """The token keys with which a role may do this."""
    fields = {**SEALING, "field": field}
    context: dict[str, str | list[str]] = {f"kms:EncryptionContext:{name}": v for name, v in fields.items()}
    context["kms:EncryptionContextKeys"] = list(fields)
    arn = f"arn:aws:iam::{ACCOUNT}:role/{stack.properties(role)['RoleName']}"
    # Every token key has the same policy.
    policy = stack.properties("TokenKey")["KeyPolicy"]["Statement"]
    asked = [(key, Request(arn, action, key, context)) for key in (OWN, NEW, NEWER)]
    own = stack.statements(role)
    return {key for key, request in asked if decide(request, own, policy) is Decision.ALLOWED}


@pytest.mark.parametrize(("stack", "current", "all_of_them"), STAGES)
def test_everything_is_opened_that_was_ever_sealed(stack: Stack, current: str, all_of_them: set[str]) -> None:
    for role, (action, fields) in OPENERS.items():
        for field in ("access", "refresh"):
            wanted = all_of_them if field in fields else set()
            assert keys(stack, role, action, field) == wanted, (role, field)


@pytest.mark.parametrize(("stack", "current", "all_of_them"), STAGES)
def test_everything_new_is_sealed_under_the_current_one(
    stack: Stack, current: str, all_of_them: set[str]
) -> None:
    for field in ("access", "refresh"):
        assert keys(stack, "CallbackRole", "kms:GenerateDataKey", field) == {current}
        assert keys(stack, "ResealRole", "kms:ReEncryptTo", field) == {current}
    used = {
        function["Environment"]["Variables"]["MOORING_TOKEN_KEY_ID"]
        for function in stack.of_type("AWS::Lambda::Function").values()
        if "MOORING_TOKEN_KEY_ID" in function["Environment"]["Variables"]
    }
    assert used == {current}


@pytest.mark.parametrize(("stack", "current", "all_of_them"), STAGES)
def test_alias_and_output_lead_to_the_current_one(stack: Stack, current: str, all_of_them: set[str]) -> None:
    alias = stack.properties("TokenKeyAlias")["TargetKeyId"]
    assert alias == ("TokenKey" if current == OWN else current)
    assert stack.resolve(stack.template["Outputs"]["TokenKeyArn"]["Value"]) == current


@pytest.mark.parametrize("name", ["CurrentTokenKeyArn", "FormerTokenKeyArn"])
def test_a_key_is_named_by_its_arn(name: str) -> None:
    pattern = source()["Parameters"][name]["AllowedPattern"]
    assert re.fullmatch(pattern, "")
    assert re.fullmatch(pattern, f"{ARN}1234abcd-12ab-34cd-56ef-1234567890ab")
    for wrong in ("alias/x", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/x", "1234abcd", "*"):
        assert not re.fullmatch(pattern, wrong)


@pytest.mark.parametrize(
    ("principal", "fits"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/Operators", True),
        (f"arn:aws:iam::{ACCOUNT}:user/somebody", True),
        (f"arn:aws:iam::{ACCOUNT}:root", False),
        (ACCOUNT, False),
        ("*", False),
        (f"arn:aws:iam::{ACCOUNT}:role/*", False),
    ],
)
def test_an_operator_is_named_and_never_a_pattern(principal: str, fits: bool) -> None:
    pattern = source()["Parameters"]["OperatorPrincipals"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, principal)) is fits
