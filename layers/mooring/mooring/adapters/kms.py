"""KMS: data keys that AWS wraps and unwraps for one merchant, provider and field.

`Decrypt` is called without naming a key. The role's policy and the key's own policy say which key
may answer, and a row that was sealed under an earlier key stays readable after the key is replaced.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from mooring.adapters.aws_errors import error_code
from mooring.core.errors import Failure, Reason

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_UNREADABLE = ("InvalidCiphertextException", "IncorrectKeyException", "NotFoundException")
"""Answers of Decrypt that asking again cannot change: tampered with, moved, or the key is gone.

For a key that it does not know KMS usually says `AccessDeniedException`, exactly as for a missing
permission. That is never unreadable, so that a wrong policy never looks like a dead token.
"""
_DENIED = (
    "AccessDeniedException",
    "DisabledException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
)
"""Answers that stay until an operator acts: a policy forbids it, the key is disabled, is no key for
data keys, or waits for its deletion. (`KeyUnavailableException` is not among them: KMS says of it that
the request can be retried.) https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors
"""


class Kms:
    """The data keys of one KMS key.

    Args:
        client: a KMS client.
        key_id: id, ARN or alias of the token key; None in a function that only opens.
    """

    def __init__(self, client: "KMSClient", key_id: str | None = None) -> None:
        self._client = client
        self._key_id = key_id

    def generate(self, context: Mapping[str, str]) -> tuple[bytes, bytes]:
        """A new 256-bit data key under `context`: (plain, wrapped).

        Raises:
            Failure: KEY_DENIED when the key may not be used or is gone, SEALING_UNAVAILABLE for
                everything that may pass.
        """
        if self._key_id is None:
            raise Failure(Reason.SEALING_UNAVAILABLE, "no token key is set for this function")
        try:
            answer = self._client.generate_data_key(
                KeyId=self._key_id, KeySpec="AES_256", EncryptionContext=dict(context)
            )
        except (ClientError, BotoCoreError) as error:
            code = error_code(error)
            # Here no token hangs on the key: that it is gone is a matter of settings.
            raise Failure(Reason.KEY_DENIED if code == "NotFoundException" else _reason(code), code) from None
        return answer["Plaintext"], answer["CiphertextBlob"]

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """The plain data key.

        Raises:
            Failure: TOKEN_UNREADABLE when KMS says that key and context do not belong together or
                that the key is gone; KEY_DENIED for a disabled key and a missing permission;
                SEALING_UNAVAILABLE for everything that may pass (throttling, the network).
        """
        try:
            return self._client.decrypt(CiphertextBlob=wrapped, EncryptionContext=dict(context))["Plaintext"]
        except (ClientError, BotoCoreError) as error:
            code = error_code(error)
            raise Failure(Reason.TOKEN_UNREADABLE if code in _UNREADABLE else _reason(code), code) from None


def _reason(code: str) -> Reason:
    return Reason.KEY_DENIED if code in _DENIED else Reason.SEALING_UNAVAILABLE
