"""`mooring link`: sign a link as a product's backend would, and print the address that starts the flow."""

import argparse
import secrets
import time
from pathlib import Path
from typing import Any

import jwt

from mooring.core.link import MAX_LIFETIME_SECONDS, MAX_LINK_BYTES
from mooring.core.names import is_name, is_provider_id
from mooring_cli.errors import CommandError, UsageError
from mooring_cli.names import check_enabled
from mooring_cli.output import show_json
from mooring_cli.stack import LinkKey, find_stack


def run(options: argparse.Namespace) -> None:
    """Print the address.

    Raises:
        UsageError: for a value that no link may have.
        CommandError: no stack is running, or its key cannot be used.
    """
    stack = find_stack(options.stack_dir, Path.cwd())
    claims = link_claims(options, stack.base_url, int(time.time()))
    check_enabled(options.provider, stack.providers)
    token = sign(claims, stack.link_key)
    if len(token) > MAX_LINK_BYTES:
        raise UsageError(
            f"The link would have {len(token)} bytes of {MAX_LINK_BYTES}: shorten --return-to or --scopes"
        )
    url = f"{stack.base_url}/authorize/{options.provider}?link={token}"
    if options.json:
        show_json({"url": url, "expires_at": claims["exp"]})
    else:
        print(url)


def link_claims(options: argparse.Namespace, audience: str, now: int) -> dict[str, Any]:
    """The claims of a link (`now` in epoch seconds). Raises UsageError for a value that no link may have."""
    if not is_provider_id(options.provider):
        raise UsageError("--provider must be a provider id such as the ones that `mooring providers` lists")
    if not is_name(options.merchant) or (options.account is not None and not is_name(options.account)):
        raise UsageError("--merchant and --account must be 1 to 128 of A-Z a-z 0-9 . _ : -")
    if not 0 < options.ttl <= MAX_LIFETIME_SECONDS:
        raise UsageError(f"--ttl must be 1 to {MAX_LIFETIME_SECONDS} seconds")
    claims: dict[str, Any] = {
        "aud": audience,
        "sub": options.merchant,
        "use": "connect",
        "provider": options.provider,
        "return_to": options.return_to,
        "iat": now,
        "exp": now + options.ttl,
        "jti": secrets.token_urlsafe(16),
    }
    return claims | _wishes(options)


def _wishes(options: argparse.Namespace) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    if options.scopes is not None:
        wishes["scopes"] = [scope for scope in options.scopes.split(",") if scope]
        if not wishes["scopes"]:
            raise UsageError(
                "--scopes must name at least one scope; leave it out to ask for all enabled ones"
            )
    if options.account is not None:
        wishes["account_id"] = options.account
    if options.confirm:
        wishes["confirm"] = True
    return wishes


def sign(claims: dict[str, Any], key: LinkKey) -> str:
    """The signed link (RFC 8037, EdDSA). Raises CommandError when the key cannot be used."""
    try:
        return jwt.encode(claims, key.path.read_bytes(), algorithm="EdDSA", headers={"kid": key.kid})
    except (OSError, ValueError, TypeError, jwt.PyJWTError):
        raise CommandError(f"The key {key.path} cannot be used. Restart the local stack: make run") from None
