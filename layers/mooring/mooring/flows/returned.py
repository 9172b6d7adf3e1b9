"""What stands in the provider's return: each part read once, checked before anything is spent on it."""

from mooring.core.errors import Failure, Reason
from mooring.core.link import LinkPolicy
from mooring.core.names import DEFAULT_ACCOUNT, is_name, within_origins
from mooring.core.provider import Provider
from mooring.core.query import Query
from mooring.core.visit import Visit

MAX_CODE_CHARACTERS = 4_096
MAX_KEPT_CHARACTERS = 512


def must_ask(visit: Visit, provider: Provider, policy: LinkPolicy) -> bool:
    """Whether the merchant has to confirm a return that carries no state.

    The page that led here must be the provider's; where the browser does not say, the merchant is
    asked, and answers by a POST from our own page.

    Raises:
        Failure: CROSS_SITE, REFERER_FOREIGN.
    """
    if visit.method == "POST":
        if not visit.from_same_origin(policy.audience):
            raise Failure(Reason.CROSS_SITE)
        return False
    referer = visit.referer_origin()
    if referer in provider.authorize.referers:
        return False
    # A provider that approves without a page of its own leaves the product's address standing here.
    if referer and not within_origins(referer, (*policy.return_to_origins, policy.audience)):
        raise Failure(Reason.REFERER_FOREIGN)
    return True


def check_issuer(query: Query, provider: Provider) -> None:
    """Compare `iss` by plain text (RFC 9207 2.4); absent is wrong where the provider sends it.

    Some servers leave it out beside an `error`, although the RFC wants it there too. That is let
    pass: nothing is exchanged then, and the state has shown whose flow it is.

    Raises:
        Failure: ISSUER_MISMATCH.
    """
    issuer = query.one("iss")
    if issuer is None and query.one("error") is not None:
        return
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
