"""What stands in the provider's return: each part read once, checked before anything is spent on it."""

from mooring.core.errors import Failure, Reason
from mooring.core.names import DEFAULT_ACCOUNT, is_name
from mooring.core.provider import Provider
from mooring.core.query import Query

MAX_CODE_CHARACTERS = 4_096
MAX_KEPT_CHARACTERS = 512


def check_issuer(query: Query, provider: Provider) -> None:
    """Compare `iss` by plain text (RFC 9207 2.4); absent is wrong where the provider sends it.

    Raises:
        Failure: ISSUER_MISMATCH.
    """
    issuer = query.one("iss")
    if provider.callback.issuer is not None and issuer != provider.callback.issuer:
        raise Failure(Reason.ISSUER_MISMATCH)


def read_code(query: Query, provider: Provider) -> str:
    """The authorization code (RFC 6749 A.11: visible ASCII and spaces).

    Raises:
        Failure: CODE_MISSING, CODE_MALFORMED.
    """
    code = query.one(provider.callback.code)
    if not code:
        raise Failure(Reason.CODE_MISSING)
    if len(code) > MAX_CODE_CHARACTERS or not all(" " <= char <= "~" for char in code):
        raise Failure(Reason.CODE_MALFORMED)
    return code


def read_account(query: Query, provider: Provider) -> str | None:
    """The account that the return itself names, unsigned so far; None where it names none.

    Raises:
        Failure: ACCOUNT_MALFORMED.
    """
    if provider.callback.account is None:
        return None
    account = query.one(provider.callback.account) or ""
    if not is_name(account) or account == DEFAULT_ACCOUNT:
        raise Failure(Reason.ACCOUNT_MALFORMED)
    return account


def kept_parameters(query: Query, provider: Provider) -> dict[str, str]:
    """The extra parameters that the descriptor keeps in `details`, cut to 512 characters."""
    values = {key: query.one(parameter) for parameter, key in provider.callback.keep.items()}
    return {key: value[:MAX_KEPT_CHARACTERS] for key, value in values.items() if value}
