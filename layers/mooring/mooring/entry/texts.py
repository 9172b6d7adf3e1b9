"""What each failure says to the merchant: what happened, and what to do next. No jargon, no blame.

`{product}` and `{provider}` are filled in. A test holds that every `Reason` has a text.
"""

from typing import NamedTuple

from mooring.core.errors import Reason


class Text(NamedTuple):
    """A page's words. `retry` offers to load the same address again."""

    title: str
    happened: str
    next: str
    retry: bool = False


_START_AGAIN = "Go back to {product} and click Connect again."
_WAIT_AND_START_AGAIN = "Wait a minute, then go back to {product} and click Connect again."
_TELL_US = "Please tell {product} about it, with the reference below. Nothing was connected."

_BROKEN_LINK = Text(
    "This link does not work",
    "The link that brought you here is incomplete or was changed on its way.",
    _START_AGAIN,
)
_WRONG_LINK = Text(
    "This link is not valid here",
    "The link that brought you here was made for another purpose.",
    _START_AGAIN,
)
_BROKEN_RETURN = Text(
    "We could not read the answer",
    "The address that {provider} sent you back with was incomplete or was changed on its way.",
    _START_AGAIN,
)
_OTHER_BROWSER = Text(
    "We cannot finish this here",
    "This attempt was not started in this browser, or it was finished or given up already.",
    f"{_START_AGAIN} Use one browser from start to end.",
)
_OUR_TROUBLE = Text(
    "Something on our side is not available",
    "We stopped before anything was connected.",
    _WAIT_AND_START_AGAIN,
)
_THEIR_TROUBLE = Text(
    "{provider} did not answer as it should",
    "You gave your consent, but {provider} did not complete the connection.",
    _WAIT_AND_START_AGAIN,
)
_SERVICE_ONLY = Text("Nothing to see here", "This address answers services, not browsers.", _START_AGAIN)

TEXTS: dict[Reason, Text] = {
    Reason.LINK_MISSING: Text(
        "A link is missing", "This address works only through a link from {product}.", _START_AGAIN
    ),
    Reason.LINK_TOO_LONG: _BROKEN_LINK,
    Reason.LINK_MALFORMED: _BROKEN_LINK,
    Reason.LINK_ALGORITHM: _BROKEN_LINK,
    Reason.LINK_KEY_UNKNOWN: _BROKEN_LINK,
    Reason.LINK_FORGED: _BROKEN_LINK,
    Reason.LINK_EXPIRED: Text(
        "This link has expired", "For your safety, a link works only for a short time.", _START_AGAIN
    ),
    Reason.LINK_AUDIENCE: _WRONG_LINK,
    Reason.LINK_PROVIDER: _WRONG_LINK,
    Reason.LINK_USE: _WRONG_LINK,
    Reason.LINK_EXHAUSTED: Text(
        "This link was used too often", "The same link has started as many attempts as it may.", _START_AGAIN
    ),
    Reason.RETURN_TO_NOT_ALLOWED: Text(
        "This link leads to an unknown place",
        "We do not know the address it would take you back to.",
        _TELL_US,
    ),
    Reason.SCOPES_NOT_ALLOWED: Text(
        "This link asks for too much",
        "It asks {provider} for rights that {product} has not set up.",
        _TELL_US,
    ),
    Reason.PROVIDER_UNKNOWN: Text(
        "We do not know this provider", "There is nothing to connect at this address.", _START_AGAIN
    ),
    Reason.METHOD_NOT_ALLOWED: _BROKEN_RETURN,
    Reason.REQUEST_MALFORMED: Text(
        "We could not read this address", "It is incomplete or was changed on its way.", _START_AGAIN
    ),
    Reason.PARAMETER_REPEATED: _BROKEN_RETURN,
    Reason.CROSS_SITE: Text(
        "Please confirm on our own page",
        "The confirmation came from another website, so we ignored it.",
        _START_AGAIN,
    ),
    Reason.ORIGIN_UNKNOWN: Text(
        "This is not the way in", "This address answers only through its public name.", _START_AGAIN
    ),
    Reason.STATE_MISSING: _BROKEN_RETURN,
    Reason.STATE_UNKNOWN: _OTHER_BROWSER,
    Reason.FLOW_EXPIRED: Text(
        "This took too long", "For your safety, an attempt to connect lasts only a few minutes.", _START_AGAIN
    ),
    Reason.FLOW_USED: Text(
        "This attempt is over", "It was used once already and did not end in a connection.", _START_AGAIN
    ),
    Reason.FLOW_IN_PROGRESS: Text(
        "Just a moment",
        "We are connecting {provider}. This page tries again by itself.",
        "You can also try again now.",
        True,
    ),
    Reason.COOKIE_REPEATED: _OTHER_BROWSER,
    Reason.REFERER_FOREIGN: Text(
        "We cannot accept this answer", "It was not {provider} that sent you here.", _START_AGAIN
    ),
    Reason.ISSUER_MISMATCH: Text(
        "We cannot accept this answer", "It does not come from the {provider} that we asked.", _TELL_US
    ),
    Reason.CODE_MISSING: _BROKEN_RETURN,
    Reason.CODE_MALFORMED: _BROKEN_RETURN,
    Reason.ACCESS_DENIED: Text("You did not give consent", "Nothing was connected.", _START_AGAIN),
    Reason.PROVIDER_ERROR: Text(
        "{provider} could not go on",
        "{provider} stopped with an error before you could give your consent.",
        _START_AGAIN,
    ),
    Reason.GRANT_REFUSED: Text(
        "{provider} refused to finish",
        "The consent was not accepted; perhaps too much time went by, or it was used already.",
        _START_AGAIN,
    ),
    Reason.PROVIDER_MISCONFIGURED: Text(
        "{product} is not set up correctly for {provider}",
        "{provider} does not accept our credentials.",
        _TELL_US,
    ),
    Reason.PROVIDER_UNAVAILABLE: _THEIR_TROUBLE,
    Reason.PROVIDER_TIMEOUT: _THEIR_TROUBLE,
    Reason.PROVIDER_ANSWER_INVALID: _THEIR_TROUBLE,
    Reason.ACCOUNT_MALFORMED: _BROKEN_RETURN,
    Reason.ACCOUNT_MISSING: Text(
        "We could not tell which account this is",
        "{provider} did not name the account you chose.",
        _TELL_US,
        True,
    ),
    Reason.ACCOUNT_MISMATCH: Text(
        "This is another account",
        "You chose a different {provider} account from the one to be reconnected. Nothing was changed.",
        "Sign in to the right account at {provider}. Then go back to {product} and click Reconnect.",
    ),
    Reason.IDENTITY_UNAVAILABLE: Text(
        "Almost done",
        "You gave your consent, but {provider} could not say yet which account it is for. We keep it safe.",
        "Wait a few seconds, then try again.",
        True,
    ),
    Reason.UNINSTALLED_MEANWHILE: Text(
        "The connection was removed meanwhile",
        "{provider} told us that our app was uninstalled again.",
        _START_AGAIN,
    ),
    Reason.SECRET_UNAVAILABLE: _OUR_TROUBLE,
    Reason.SEALING_UNAVAILABLE: _OUR_TROUBLE,
    Reason.KEY_DENIED: _OUR_TROUBLE,
    Reason.OUT_OF_TIME: _OUR_TROUBLE,
    Reason.STORAGE_UNAVAILABLE: Text(
        "Something on our side is not available",
        "We could not check this attempt yet. Nothing is lost.",
        "Wait a few seconds, then try again.",
        True,
    ),
    Reason.STORE_DELAYED: Text(
        "Almost done",
        "You gave your consent, and it is kept safe, but storing it takes longer than usual.",
        "Check {product} again later. If {provider} is not there in an hour, click Connect again.",
    ),
    Reason.TOKEN_LOST: Text(
        "The connection could not be stored",
        "You gave your consent, but we could not keep it. Our operators are being told.",
        _WAIT_AND_START_AGAIN,
    ),
    Reason.TOKEN_UNREADABLE: _SERVICE_ONLY,
    Reason.INTERNAL: Text(
        "Something went wrong on our side", "We did not expect this, and have written it down.", _START_AGAIN
    ),
    Reason.CONNECTION_NOT_FOUND: _SERVICE_ONLY,
    Reason.CONNECTION_NOT_ACTIVE: _SERVICE_ONLY,
    Reason.TOKEN_EXPIRED: _SERVICE_ONLY,
    Reason.API_UNAVAILABLE: _SERVICE_ONLY,
    Reason.API_REFUSED: _SERVICE_ONLY,
    Reason.LOST_ROTATION: _SERVICE_ONLY,
    Reason.TOKEN_REFUSED: _SERVICE_ONLY,
    Reason.REFRESH_IN_DOUBT: _SERVICE_ONLY,
    Reason.REFRESH_BUSY: _SERVICE_ONLY,
    Reason.REFRESH_PUT_OFF: _SERVICE_ONLY,
    Reason.PROVIDER_PAUSED: _SERVICE_ONLY,
    Reason.TOKEN_SUPERSEDED: _SERVICE_ONLY,
    Reason.MESSAGE_MALFORMED: _SERVICE_ONLY,
    Reason.GRANT_IN_USE: _SERVICE_ONLY,
    Reason.REVOCATION_REFUSED: _SERVICE_ONLY,
    Reason.BUS_UNAVAILABLE: _SERVICE_ONLY,
    Reason.EVENT_REFUSED: _SERVICE_ONLY,
    Reason.NOTICE_FORGED: _SERVICE_ONLY,
    Reason.NOTICE_TIME: _SERVICE_ONLY,
    Reason.NOTICE_MALFORMED: _SERVICE_ONLY,
    Reason.NOTICE_TOO_LARGE: _SERVICE_ONLY,
}
