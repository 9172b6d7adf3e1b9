"""Turning statuses, reason words and times into sentences that a merchant understands."""

import re
from collections.abc import Mapping
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What a merchant id or an account id looks like."""

TRAITS: dict[str, str] = {
    "notifyvisitors": "Contacts, segments and campaigns. Access lasts until you take it back.",
    "yotpo": "Reviews and ratings. Every store is connected on its own, and can be ended here or there.",
    "xeno": "Conversations and contacts. You choose what Brightcart may do.",
    "whatconverts": "Calls, forms and chats. Access runs out again and again, and is renewed by itself.",
}
"""What a merchant should know about each provider."""

_PLAIN_TRAIT = "Described by a YAML file alone."

_STATUSES: dict[str, str] = {
    "active": "Active",
    "needs_reconnect": "Needs reconnect",
    "pending_confirmation": "Waits for confirmation",
    "uninstalled": "Uninstalled",
    "disconnected": "Disconnected",
}

_WHY: dict[str, str] = {
    "needs_reconnect": "{name} does not accept us any more.",
    "uninstalled": "Removed at {name}.",
    "disconnected": "Ended here.",
}

_REVOCATIONS: dict[str, str] = {
    "revoked": " {name} has taken our access back.",
    "unsupported": " {name} cannot be told: to end it there as well, remove the app there.",
    "skipped": " {name} was not told, because it would end your other connection too.",
    "failed": " {name} could not be told: to end it there as well, remove the app there.",
}

_ERRORS: dict[str, str] = {
    "provider_misconfigured": "{name} refuses Brightcart's settings. That is not your fault.",
    "provider_unavailable": "{name} cannot be reached right now.",
    "provider_timeout": "{name} did not answer in time.",
    "provider_answer_invalid": "{name} answered nonsense.",
    "refresh_in_doubt": "{name}'s last answer was lost. This is being looked into.",
    "lost_rotation": "{name}'s last answer was lost, so you have to connect again.",
}

_REASONS: dict[str, str] = {
    "account_mismatch": "The account you chose is not the one that was connected before.",
    "cross_site": "The request came from another site.",
    "flow_expired": "It took too long.",
    "flow_used": "This attempt was already finished.",
    "grant_refused": "The provider did not honour the approval that it had just given.",
    "link_expired": "The link had expired.",
    "provider_answer_invalid": "The provider's answer made no sense.",
    "provider_error": "The provider reported an error.",
    "provider_misconfigured": "The provider does not accept this product's settings. That is not your fault.",
    "provider_timeout": "The provider did not answer in time.",
    "provider_unavailable": "The provider cannot be reached right now.",
    "store_delayed": "You gave access, but storing it takes longer than usual. Look again in some minutes.",
    "uninstalled_meanwhile": "The app was uninstalled at the provider in the meantime.",
}

_REACTIONS: dict[str, str] = {
    "Connection Established": "Brightcart fetches everything once.",
    "Connection Needs Reconnect": "Brightcart stops asking there, and asks you to connect again.",
    "Connection Recovered": "Brightcart goes on where it stopped.",
    "Connection Uninstalled": "Brightcart stops asking there.",
    "Connection Disconnected": "Brightcart stops asking there.",
    "Connection Expiring": "Brightcart asks you to connect again in time.",
}

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_UNITS = ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"))


class Banner(NamedTuple):
    """The result of a flow in words. `kind` is one of good, quiet, bad, wait."""

    kind: str
    title: str
    text: str
    ref: str | None


def trait(provider: str) -> str:
    """One sentence about a provider."""
    return TRAITS.get(provider, _PLAIN_TRAIT)


def status_words(status: str) -> str:
    """A connection's status as a merchant would say it."""
    return _STATUSES.get(status, status)


def why_words(status: str, last_error: str | None, name: str, revocation: str | None = None) -> str:
    """Why a connection is not as it should be; empty when there is nothing to say.

    Args:
        status: of the connection.
        last_error: the reason word of what went wrong last, if anything did.
        name: the provider's name.
        revocation: what became of the tokens of an ended connection at the provider, once that is known.
    """
    known = _ERRORS.get(last_error or "") or _WHY.get(status)
    if known:
        return (known + _REVOCATIONS.get(revocation or "", "")).format(name=name)
    return f"Last problem: {last_error.replace('_', ' ')}." if last_error else ""


def span(seconds: float) -> str:
    """A span of time, rounded down: `less than a minute`, `1 minute`, `3 hours`."""
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


def left_words(seconds: float) -> str:
    """A time that runs out, to the second where that matters: `45 s`, `3 min 12 s`, `5 h 2 min`, `2 days`.

    The page's script says the same between two looks at the server.
    """
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return span(whole)


def good_for_words(expires_at: int | None, now: float) -> str:
    """How long Brightcart's access still works (epoch seconds; None: it does not run out by itself)."""
    if expires_at is None:
        return "no end"
    return left_words(expires_at - now) if expires_at > now else "ran out"


def reaction(kind: str) -> str:
    """What Brightcart does when it hears of this kind of event."""
    return _REACTIONS.get(kind, "")


def ago_words(at: int, now: float) -> str:
    """How long ago something was (epoch seconds)."""
    return f"{span(now - at)} ago" if now - at >= _MINUTE else "just now"


def banner(parameters: Mapping[str, str], names: Mapping[str, str]) -> Banner | None:
    """The result that stands in the return parameters, or None when there is none that is known.

    The parameters come from the address bar and prove nothing; the list below the banner is the truth.

    Args:
        parameters: `connection`, `status`, `reason`, `ref`.
        names: provider id to name.
    """
    provider, _, account = parameters.get("connection", "").partition("#")
    name = names.get(provider, "The provider")
    ref = parameters.get("ref", "")
    shown_ref = ref if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", ref) else None
    say = _SAY.get(parameters.get("status", ""))
    if say is None:
        return None
    kind, title, text = say
    reason = parameters.get("reason", "")
    which = f" Account {account}." if NAME.fullmatch(account) and account != "default" else ""
    why = _REASONS.get(reason) or (f"Reason: {reason}." if re.fullmatch(r"[a-z_]{1,64}", reason) else "")
    filled = text.format(which=which, why=why, name=name)
    return Banner(kind, title.format(name=name), filled.strip(), shown_ref)


_SAY: dict[str, tuple[str, str, str]] = {
    "connected": ("good", "{name} is connected.", "Brightcart can use it now.{which}"),
    "denied": ("quiet", "{name} was not connected.", "You chose not to give access. Nothing was changed."),
    "failed": ("bad", "{name} could not be connected.", "{why} You can try again."),
    "pending_confirmation": ("wait", "{name} is almost connected.", "The product has to confirm it.{which}"),
    "disconnected": (
        "quiet",
        "{name} is disconnected.",
        "Brightcart has forgotten its access. You can connect again at any time.{which}",
    ),
    "not_disconnected": ("bad", "{name} could not be disconnected.", "Try again in a minute.{which}"),
}
