"""Turning statuses, reason words and times into sentences."""

import re
from collections.abc import Mapping
from typing import NamedTuple

MERCHANT = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What a merchant id looks like."""

TRAITS: dict[str, str] = {
    "notifyvisitors": "Has no state parameter and adds a slash on the way back: the browser's cookie alone "
    "ties the flow together.",
    "yotpo": "Reads the request from the URL fragment. Every store is a connection of its own.",
    "xeno": "May grant less than was asked for. What was granted is what is stored.",
    "whatconverts": "Hands out tokens that expire, together with a refresh token.",
}
"""What is peculiar about each provider."""

_PLAIN_TRAIT = "Described by a YAML file alone."

_STATUSES: dict[str, str] = {
    "active": "Active",
    "needs_reconnect": "Needs reconnect",
    "pending_confirmation": "Waits for confirmation",
    "uninstalled": "Uninstalled",
    "disconnected": "Disconnected",
}

_REASONS: dict[str, str] = {
    "account_mismatch": "The account you chose is not the one that was connected before.",
    "cross_site": "The request came from another site.",
    "flow_expired": "It took too long.",
    "flow_used": "This attempt was already finished.",
    "grant_refused": "The provider did not accept the code that it had just handed out.",
    "link_expired": "The link had expired.",
    "provider_answer_invalid": "The provider's answer made no sense.",
    "provider_error": "The provider reported an error.",
    "provider_misconfigured": "The provider does not accept this product's settings. That is not your fault.",
    "provider_timeout": "The provider did not answer in time.",
    "provider_unavailable": "The provider cannot be reached right now.",
    "store_delayed": "You gave access, but storing it takes longer than usual. Look again in some minutes.",
    "uninstalled_meanwhile": "The app was uninstalled at the provider in the meantime.",
}

_MINUTE = 60
_UNITS = ((86_400, "day"), (3_600, "hour"), (_MINUTE, "minute"))


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


def span(seconds: float) -> str:
    """A span of time, rounded down: `less than a minute`, `1 minute`, `3 hours`."""
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "less than a minute"


def expiry_words(expires_at: int | None, now: float) -> str:
    """When a token expires (epoch seconds; None: never)."""
    if expires_at is None:
        return "never"
    left = expires_at - now
    return f"in {span(left)}" if left > 0 else f"{span(-left)} ago"


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
    which = f" Account {account}." if MERCHANT.fullmatch(account) and account != "default" else ""
    why = _REASONS.get(reason) or (f"Reason: {reason}." if re.fullmatch(r"[a-z_]{1,64}", reason) else "")
    return Banner(kind, title.format(name=name), text.format(which=which, why=why).strip(), shown_ref)


_SAY: dict[str, tuple[str, str, str]] = {
    "connected": ("good", "{name} is connected.", "Its token is sealed and stored.{which}"),
    "denied": ("quiet", "{name} was not connected.", "You chose not to give access. Nothing was changed."),
    "failed": ("bad", "{name} could not be connected.", "{why} You can try again."),
    "pending_confirmation": ("wait", "{name} is almost connected.", "The product has to confirm it.{which}"),
}
