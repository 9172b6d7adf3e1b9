"""Who calls the simulated AWS: access keys of the local stack, dummies that are good for nothing else.

The simulated AWS asks nobody for a key. Each function has one of its own all the same, so that what was
called can be told apart by who called it.
"""

_SECRET = "mooring-local"  # noqa: S105 - no secret: the same for all, and nobody checks it against a role
_PREFIX = "mooring-local-"

POLLER = "mooring-poller"
"""In the user agent of calls that Lambda itself makes in a function's name, to feed it from a queue."""


def credentials_of(function: str) -> tuple[str, str]:
    """Access key id and secret of one function.

    Args:
        function: its short name, for example `refresh`.
    """
    return _PREFIX + function, _SECRET


def function_of(access_key_id: str) -> str | None:
    """The function that has this access key; None for anybody else's."""
    return access_key_id.removeprefix(_PREFIX) if access_key_id.startswith(_PREFIX) else None
