"""What KMS says, and what that means."""

import pytest

from mooring.adapters.kms import Kms
from mooring.core.errors import Failure, Reason
from tests.contract.aws_server import AwsServer, Fault

CONTEXT = {"merchant": "m-1", "provider": "prov-a", "field": "access"}


def test_a_data_key_unwraps_under_its_context(aws: AwsServer, token_key: str) -> None:
    kms = Kms(aws.kms(), token_key)
    plain, wrapped = kms.generate(CONTEXT)
    assert len(plain) == 32
    assert Kms(aws.kms()).unwrap(wrapped, CONTEXT) == plain


@pytest.mark.parametrize("changed", ["merchant", "provider", "field"])
def test_under_another_context_it_does_not(aws: AwsServer, token_key: str, changed: str) -> None:
    kms = Kms(aws.kms(), token_key)
    _, wrapped = kms.generate(CONTEXT)
    with pytest.raises(Failure) as caught:
        kms.unwrap(wrapped, {**CONTEXT, changed: "other"})
    assert caught.value.reason is Reason.TOKEN_UNREADABLE


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("InvalidCiphertextException", Reason.TOKEN_UNREADABLE),
        ("IncorrectKeyException", Reason.TOKEN_UNREADABLE),
        ("NotFoundException", Reason.TOKEN_UNREADABLE),
        ("AccessDeniedException", Reason.KEY_DENIED),
        ("DisabledException", Reason.KEY_DENIED),
        ("KMSInvalidStateException", Reason.KEY_DENIED),
        ("InvalidKeyUsageException", Reason.KEY_DENIED),
        ("DependencyTimeoutException", Reason.SEALING_UNAVAILABLE),
        ("SomethingNewException", Reason.SEALING_UNAVAILABLE),
        ("KMSInternalException", Reason.SEALING_UNAVAILABLE),
        ("KeyUnavailableException", Reason.SEALING_UNAVAILABLE),
        ("ThrottlingException", Reason.SEALING_UNAVAILABLE),
    ],
)
def test_only_a_final_answer_condemns_a_token(
    aws: AwsServer, token_key: str, code: str, reason: Reason
) -> None:
    kms = Kms(aws.kms(), token_key)
    _, wrapped = kms.generate(CONTEXT)
    with aws.failing(Fault("Decrypt", code)), pytest.raises(Failure) as caught:
        kms.unwrap(wrapped, CONTEXT)
    assert (caught.value.reason, caught.value.detail) == (reason, code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("NotFoundException", Reason.KEY_DENIED),
        ("AccessDeniedException", Reason.KEY_DENIED),
        ("DisabledException", Reason.KEY_DENIED),
        ("InvalidKeyUsageException", Reason.KEY_DENIED),
        ("KMSInvalidStateException", Reason.KEY_DENIED),
        ("KeyUnavailableException", Reason.SEALING_UNAVAILABLE),
        ("KMSInternalException", Reason.SEALING_UNAVAILABLE),
        ("ThrottlingException", Reason.SEALING_UNAVAILABLE),
    ],
)
def test_no_data_key_is_for_the_operator_or_for_later(
    aws: AwsServer, token_key: str, code: str, reason: Reason
) -> None:
    with aws.failing(Fault("GenerateDataKey", code)), pytest.raises(Failure) as caught:
        Kms(aws.kms(), token_key).generate(CONTEXT)
    assert (caught.value.reason, caught.value.detail) == (reason, code)
    assert caught.value.__cause__ is None


def test_who_may_not_use_the_key_rings(aws: AwsServer, token_key: str) -> None:
    with aws.failing(Fault("GenerateDataKey", "AccessDeniedException")), pytest.raises(Failure) as caught:
        Kms(aws.kms(), token_key).generate(CONTEXT)
    assert (caught.value.alarm, caught.value.status) == ("KeyDenied", 503)


def test_a_function_without_a_key_cannot_seal(aws: AwsServer) -> None:
    with pytest.raises(Failure) as caught:
        Kms(aws.kms()).generate(CONTEXT)
    assert caught.value.reason is Reason.SEALING_UNAVAILABLE
    assert "no token key" in caught.value.detail
