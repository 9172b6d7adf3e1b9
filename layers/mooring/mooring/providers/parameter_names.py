"""Which parameters each request carries, and what the provider calls them."""

from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from mooring.providers.descriptor import Descriptor

_ABSENT = {"client_secret_basic": {"client_id", "client_secret"}, "none": {"client_secret"}}
"""What stands in no body, by how the client authenticates (RFC 6749 2.3.1)."""


def authorize_names(descriptor: "Descriptor") -> dict[str, str]:
    """Standard name -> provider's name of what an authorization request carries."""
    authorize = descriptor.authorize
    absent = set() if authorize.pkce else {"code_challenge", "code_challenge_method"}
    if not (descriptor.scopes.available or descriptor.scopes.default):
        absent.add("scope")
    if authorize.state == "none":
        absent.add("state")
    return _sent(authorize.parameters, absent)


def token_names(descriptor: "Descriptor") -> dict[str, str]:
    """Standard name -> provider's name of what the body of a token request carries."""
    absent = _unauthenticated(descriptor) | (set() if descriptor.authorize.pkce else {"code_verifier"})
    return _sent(descriptor.token.parameters, absent)


def refresh_names(descriptor: "Descriptor") -> dict[str, str]:
    """Standard name -> provider's name of what the body of a refresh request carries."""
    return _sent(descriptor.refresh.parameters, _unauthenticated(descriptor)) if descriptor.refresh else {}


def revoke_names(descriptor: "Descriptor") -> dict[str, str]:
    """Standard name -> provider's name of what the body of a revocation request carries."""
    if descriptor.revoke is None or descriptor.revoke.way == "call":
        return {}
    method = descriptor.revoke.client_authentication or descriptor.token.client_authentication
    return _sent(descriptor.revoke.parameters, _ABSENT.get(method, set()))


def _unauthenticated(descriptor: "Descriptor") -> set[str]:
    """What stands in no body, because of how the client authenticates."""
    return _ABSENT.get(descriptor.token.client_authentication, set())


def _sent(parameters: BaseModel, absent: set[str]) -> dict[str, str]:
    return {name: own for name, own in parameters if own is not None and name not in absent}
