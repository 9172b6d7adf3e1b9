"""What the parts of a descriptor must agree on: rules that no single field can check.

Each rule yields (path, what to do) for everything it finds, so that one run names all of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mooring.providers.fields import has_field
from mooring.providers.parameter_names import authorize_names, refresh_names, revoke_names, token_names

if TYPE_CHECKING:
    from mooring.providers.descriptor import Descriptor

Found = Iterator[tuple[str, str]]

RESERVED_IDS = frozenset({"default", "mooring", "settings"})
"""Words that already mean something where a provider's id stands."""
SECRET_DETAILS = frozenset(
    {
        "access_token",
        "refresh_token",
        "id_token",
        "client_secret",
        "webhook_secret",
        "code",
        "state",
        "code_verifier",
    }
)
"""Never kept in `details`, which are stored in the clear."""
_OF_THE_ENDPOINT = ("token", "body", "client_authentication", "parameters", "details", "extra")


def contradictions(descriptor: "Descriptor") -> Found:
    """Everything in which the parts of `descriptor` contradict each other."""
    for rule in (
        _identity,
        _authorize,
        _state,
        _pkce,
        _token,
        _names,
        _lifetime,
        _refresh,
        _revoke,
        _kept,
        _account,
        _notice,
        _placement,
    ):
        yield from rule(descriptor)


def _identity(descriptor: "Descriptor") -> Found:
    if descriptor.id in RESERVED_IDS:
        yield "id", f"`{descriptor.id}` is reserved: choose another id"
    for source_number, source in enumerate(descriptor.sources):
        if (source.url is None) == (source.document is None):
            yield f"sources.{source_number}", "must have either `url` or `document`"
    for path in descriptor.unverified:
        if not has_field(type(descriptor), path):
            yield f"unverified.{path}", "names no field of a descriptor: use a dotted name such as token.body"
    unknown = set(descriptor.scopes.default) - set(descriptor.scopes.available)
    if descriptor.scopes.available and unknown:
        yield "scopes.default", f"{', '.join(sorted(unknown))}: not among scopes.available"


def _authorize(descriptor: "Descriptor") -> Found:
    authorize = descriptor.authorize
    in_url, sent = "{client_id}" in authorize.url, authorize.parameters.client_id is not None
    if in_url and sent:
        yield "authorize.parameters", "the URL carries {client_id} already: add `client_id: null`"
    if not in_url and not sent:
        yield "authorize.parameters.client_id", "must be sent, or stand as {client_id} in the URL"
    if ("#" in authorize.url) != (authorize.parameters_in == "fragment"):
        yield "authorize.parameters_in", "must be `fragment` if the URL has a fragment, and only then"


def _state(descriptor: "Descriptor") -> Found:
    authorize = descriptor.authorize
    if authorize.state == "none" and "state" in authorize.parameters.model_fields_set:
        yield "authorize.parameters.state", "is never sent with `state: none`: remove it"
    if authorize.state == "required" and authorize.parameters.state is None:
        yield (
            "authorize.parameters.state",
            "cannot be null: say `state: none` if the provider returns no state",
        )
    if authorize.state == "required" and authorize.referers is not None:
        yield "authorize.referers", "are only looked at with `state: none`: remove them"


def _pkce(descriptor: "Descriptor") -> Found:
    if not descriptor.authorize.pkce:
        return
    parameters = descriptor.authorize.parameters
    if parameters.code_challenge is None or parameters.code_challenge_method is None:
        yield "authorize.parameters", "`pkce: true` needs code_challenge and code_challenge_method"
    if descriptor.token.parameters.code_verifier is None:
        yield "token.parameters.code_verifier", "cannot be null with `pkce: true`"


def _token(descriptor: "Descriptor") -> Found:
    method = descriptor.token.client_authentication
    if method == "client_secret_post" and descriptor.token.parameters.client_secret is None:
        yield (
            "token.parameters.client_secret",
            "cannot be null: say `client_authentication: none` for no secret",
        )
    if method == "none" and descriptor.token.parameters.client_id is None:
        yield (
            "token.parameters.client_id",
            "cannot be null with `client_authentication: none` (RFC 6749 3.2.1)",
        )


def _names(descriptor: "Descriptor") -> Found:
    legs = {
        "authorize": (authorize_names(descriptor), descriptor.authorize.extra),
        "token": (token_names(descriptor), descriptor.token.extra),
        "refresh": (refresh_names(descriptor), descriptor.refresh.extra if descriptor.refresh else {}),
        "revoke": (revoke_names(descriptor), descriptor.revoke.extra if descriptor.revoke else {}),
    }
    for leg, (names, extra) in legs.items():
        yield from _twice(leg, names, extra)


def _twice(leg: str, names: Mapping[str, str], extra: Mapping[str, str]) -> Found:
    for name, count in Counter(names.values()).items():
        if count > 1:
            yield f"{leg}.parameters", f"{name}: two parameters would have this name"
    for name in set(names.values()) & set(extra):
        yield (
            f"{leg}.extra.{name}",
            "is sent already: set the parameter of that name to null, or remove this one",
        )


def _lifetime(descriptor: "Descriptor") -> Found:
    lifetime, response = descriptor.lifetime, descriptor.response
    named = "expires_in" in response.model_fields_set and response.expires_in is not None
    if lifetime.never_expires and (named or lifetime.access_token_seconds):
        yield (
            "lifetime.never_expires",
            "contradicts response.expires_in or access_token_seconds: remove one of them",
        )
    if not lifetime.never_expires and response.expires_in is None and lifetime.access_token_seconds is None:
        yield (
            "lifetime",
            "must say how long a token lives: never_expires, access_token_seconds or response.expires_in",
        )


def _refresh(descriptor: "Descriptor") -> Found:
    refresh, named = descriptor.refresh, descriptor.response.refresh_token is not None
    if refresh is None:
        if named:
            yield "response.refresh_token", "is of no use without a `refresh` part: add one, or remove this"
        return
    if not named:
        yield (
            "response.refresh_token",
            "must name the field with the refresh token, since there is a `refresh` part",
        )
    if descriptor.lifetime.never_expires:
        yield "lifetime.never_expires", "contradicts the `refresh` part: remove one of them"
    if refresh.rotation == "never" and refresh.grace_seconds:
        yield "refresh.grace_seconds", "has no meaning without rotation: remove it"
    if (
        descriptor.token.client_authentication == "client_secret_post"
        and refresh.parameters.client_secret is None
    ):
        yield "refresh.parameters.client_secret", "cannot be null: the token endpoint wants the client secret"


def _revoke(descriptor: "Descriptor") -> Found:
    revoke = descriptor.revoke
    if revoke is None:
        return
    if revoke.way == "call":
        for name in _OF_THE_ENDPOINT:
            if name in revoke.model_fields_set:
                yield f"revoke.{name}", "is only of a revocation endpoint: remove it"
        return
    if "method" in revoke.model_fields_set:
        yield "revoke.method", "is only of a call (`way: call`): a revocation endpoint takes POST alone"
    method = revoke.client_authentication or descriptor.token.client_authentication
    if method == "client_secret_post" and revoke.parameters.client_secret is None:
        yield (
            "revoke.parameters.client_secret",
            "cannot be null: say `client_authentication: none` for no secret",
        )
    if revoke.parameters.token is None and revoke.parameters.account_id is None:
        yield "revoke.parameters", "must name the token or the account: both are null"
    yield from _revoke_details(descriptor, revoke.details, revoke.extra)


def _revoke_details(descriptor: "Descriptor", details: Mapping[str, str], extra: Mapping[str, str]) -> Found:
    kept = {*descriptor.callback.keep.values(), *descriptor.response.keep.values()}
    sent = Counter([*revoke_names(descriptor).values(), *extra, *details.values()])
    for key, parameter in details.items():
        if key not in kept:
            yield f"revoke.details.{key}", "is not kept: see callback.keep and response.keep"
        if sent[parameter] > 1:
            yield f"revoke.details.{key}", f"{parameter}: two parameters would have this name"


def _kept(descriptor: "Descriptor") -> Found:
    callback, response = descriptor.callback, descriptor.response
    secret = {response.access_token, response.refresh_token}
    keys = [*callback.keep.values(), *response.keep.values()]
    for part, keep in (("callback.keep", callback.keep), ("response.keep", response.keep)):
        for name, key in keep.items():
            if {name, key} & SECRET_DETAILS or (part == "response.keep" and name in secret):
                yield f"{part}.{name}", "must not be kept: `details` are stored in the clear"
            elif keys.count(key) > 1:
                yield f"{part}.{name}", f"`{key}` would be kept twice: choose another key"
    if callback.code in callback.keep or callback.code == callback.account:
        yield "callback.code", "is the authorization code: it must be neither kept nor the account"


def _account(descriptor: "Descriptor") -> Found:
    first = descriptor.callback.account or descriptor.response.account
    identity = descriptor.identity
    if identity and not first and (identity.account is None or "{account_id}" in identity.url):
        yield "identity", "must name the account (`account`), since neither callback nor response does"
    if first or (identity and identity.account):
        return
    where = (
        "needs an account, and nothing names one: see callback.account, response.account and identity.account"
    )
    for path, call in (("probe", descriptor.probe), ("revoke", descriptor.revoke)):
        if call and call.url and "{account_id}" in call.url:
            yield f"{path}.url", where
    if descriptor.revoke and descriptor.revoke.parameters.account_id:
        yield "revoke.parameters.account_id", where
    if descriptor.api.base and "{account_id}" in descriptor.api.base:
        yield "api.base", where
    if descriptor.uninstall:
        yield "uninstall.account", where


def _notice(descriptor: "Descriptor") -> Found:
    uninstall = descriptor.uninstall
    if uninstall and (uninstall.proof == "none") != (uninstall.signature_header is None):
        yield "uninstall.signature_header", "must be given with every proof but `none`, and only then"
    if uninstall and uninstall.proof == "none" and descriptor.probe is None:
        yield "uninstall.proof", "`none` needs a `probe`: a notice without proof is never believed by itself"
    if uninstall and uninstall.proof != "none" and not uninstall.account.startswith("body:"):
        yield "uninstall.account", "must stand in the body (`body:...`): the signature covers no header"
    if uninstall and uninstall.time and (uninstall.proof == "none" or not uninstall.time.startswith("body:")):
        yield "uninstall.time", "counts only in the body of a notice with a proof: remove it"
    if uninstall and uninstall.proof != "none" and not (uninstall.time or _can_be_asked(descriptor)):
        yield (
            "uninstall.time",
            (
                "is missing, and a signed notice without a time can be sent again after a reinstall: add a "
                "`probe` or a `refresh` part, because somebody must be asked"
            ),
        )


def _can_be_asked(descriptor: "Descriptor") -> bool:
    """Whether the provider can tell a live connection from a dead one."""
    return descriptor.probe is not None or descriptor.refresh is not None


def _placement(descriptor: "Descriptor") -> Found:
    token = descriptor.api.token
    if token.where == "query" and token.prefix:
        yield "api.token.prefix", 'must be empty ("") with `where: query`'
    if token.where == "header" and set(token.name) & set(".[]"):
        yield "api.token.name", "must be a header name: A-Z a-z 0-9 _ -"
