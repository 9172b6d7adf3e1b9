"""Finish a flow: from the provider's return to a stored connection. The whole callback stands here.

Order: cookie and state agree -> the link still verifies -> the state is burned while both data
keys and the client secret are fetched beside it -> only then one token call -> the account ->
one transaction. Whatever arrives twice, the code is exchanged at most once.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from mooring.core.connection import Account, NewConnection
from mooring.core.errors import Failure, Reason
from mooring.core.flow import (
    FLOW_SECONDS,
    LINK_GRACE_SECONDS,
    STATELESS_FLOW_SECONDS,
    Cookies,
    Flow,
    clear_cookie,
    cookie_name,
    encode_flow,
    same_text,
    set_cookie,
    state_hash,
    with_parameters,
)
from mooring.core.link import CLOCK_SKEW_SECONDS, Link, LinkPolicy, verify_link
from mooring.core.names import connection_key
from mooring.core.ports import (
    AuthorizationServer,
    Burn,
    BurnStatus,
    Connections,
    Flows,
    RecoveryQueue,
    Sealer,
    SealingKeys,
    Secrets,
)
from mooring.core.provider import Provider
from mooring.core.query import Query, parse_query
from mooring.core.revocation import Revocations, of_exchange
from mooring.core.tokens import TokenSet
from mooring.core.visit import Result, Visit
from mooring.flows.authorize import redirect_uri
from mooring.flows.client_secret import ask_with_secret, client_secret
from mooring.flows.confirmation import confirmation_code, confirmation_hash
from mooring.flows.returned import check_issuer, kept_parameters, must_ask, read_account, read_code
from mooring.flows.token_sets import discard, first_due, open_whole, ringing, seal_tokens, seal_whole

EXCHANGE_SECONDS = 30
TOKEN_CALL_SECONDS, IDENTITY_CALL_SECONDS, STORE_SECONDS, MARGIN_SECONDS = 10, 4, 13, 1


class CallbackPorts(NamedTuple):
    """What `callback` needs. `jitter` returns a number from 0 to 1."""

    provider: Callable[[str], Provider]
    policy: LinkPolicy
    flows: Flows
    connections: Connections
    sealer: Sealer
    secrets: Secrets
    server: AuthorizationServer
    recovery: RecoveryQueue
    revocations: Revocations
    clock: Callable[[], float]
    jitter: Callable[[], float]


class Arrival(NamedTuple):
    """One callback whose cookie, state and link agree. `now` is epoch seconds."""

    provider: Provider
    flow: Flow
    link: Link
    cookie: str
    now: int
    ref: str
    left: Callable[[], float]

    @property
    def who(self) -> tuple[str, str, str]:
        """Provider, its name, and merchant: what every `Result` begins with."""
        return self.provider.id, self.provider.name, self.link.merchant_id


def callback(visit: Visit, ports: CallbackPorts, ref: str, left: Callable[[], float]) -> Result:
    """Answer `/callback/{provider}`: 303 to the product, or a page that asks first.

    `ref` is the reference id of this request, for the product, the page and the log; `left` tells
    the seconds until Lambda ends us.

    Raises:
        Failure: with the reason; it knows where the merchant can go on once the link verified.
    """
    provider = ports.provider(visit.provider)
    if visit.method == "POST" and provider.authorize.state:
        raise Failure(Reason.METHOD_NOT_ALLOWED)  # only the question asked for want of a state is answered
    query = parse_query(visit.query)
    arrival = _find_flow(visit, query, provider, ports, ref, left)
    try:
        return _answer(visit, query, arrival, ports)
    except Failure as failure:
        raise failure.returning(arrival.link.return_to, arrival.link.merchant_id) from failure.__cause__


def _find_flow(
    visit: Visit, query: Query, provider: Provider, ports: CallbackPorts, ref: str, left: Callable[[], float]
) -> Arrival:
    """The flow that this browser started, bound by cookie, state, provider, age and link."""
    now = int(ports.clock())
    state = query.one("state") if provider.authorize.state else None
    if provider.authorize.state and not state:
        raise Failure(Reason.STATE_MISSING)
    name = cookie_name(provider.id, state)
    flow = Cookies(visit.cookies).flow(name)
    if flow is None or flow.provider != provider.id or (state and not same_text(flow.state, state)):
        raise Failure(Reason.STATE_UNKNOWN)
    life = FLOW_SECONDS if provider.authorize.state else STATELESS_FLOW_SECONDS
    if not -CLOCK_SKEW_SECONDS <= now - flow.started_at < life:
        raise Failure(Reason.FLOW_EXPIRED).clearing(name)
    link = verify_link(flow.link, ports.policy, now, LINK_GRACE_SECONDS)
    if link.use == "connect" and link.provider != provider.id:
        raise Failure(Reason.LINK_PROVIDER).clearing(name)
    return Arrival(provider, flow, link, name, now, ref, left)


def _answer(visit: Visit, query: Query, arrival: Arrival, ports: CallbackPorts) -> Result:
    if arrival.flow.account:
        return _connected(arrival, arrival.flow.account, arrival.flow.pending)
    if not arrival.provider.authorize.state and must_ask(visit, arrival.provider, ports.policy):
        return Result("asked", *arrival.who, page="confirm_return")
    check_issuer(query, arrival.provider)
    if (error := query.one("error")) is not None:
        return _refused(arrival, error)
    code, account = read_code(query, arrival.provider), read_account(query, arrival.provider)
    _expect_account(account, arrival)
    return _exchange(query, code, account, arrival, ports)


def _refused(arrival: Arrival, error: str) -> Result:
    if error != Reason.ACCESS_DENIED.value:
        raise Failure(Reason.PROVIDER_ERROR).clearing(arrival.cookie)
    parameters = {"status": "denied", "reason": error, "ref": arrival.ref}
    location = with_parameters(arrival.link.return_to, parameters)
    return Result("denied", *arrival.who, location, cookies=(clear_cookie(arrival.cookie),), reason=error)


def _expect_account(account_id: str | None, arrival: Arrival) -> None:
    if account_id is not None and arrival.link.account_id not in (None, account_id):
        raise Failure(Reason.ACCOUNT_MISMATCH)


def _exchange(query: Query, code: str, account: str | None, arrival: Arrival, ports: CallbackPorts) -> Result:
    """Burn the state with keys and secret fetched beside it, then make the one token call."""
    burned = state_hash(arrival.flow.state)
    merchant, provider = arrival.link.merchant_id, arrival.provider
    details = kept_parameters(query, provider)  # read first: a repeated one must not cost an issued token
    with ThreadPoolExecutor(3) as pool:
        burning = pool.submit(ports.flows.burn, arrival.link, burned, arrival.now)
        preparing = pool.submit(ports.sealer.prepare, merchant, provider.id)
        asking = pool.submit(client_secret, provider, ports.secrets)
    burn = burning.result()
    if burn.status not in (BurnStatus.BURNED, BurnStatus.KEPT):
        return _came_before(burn, arrival)
    try:
        keys, secret = preparing.result(), asking.result()
        if burn.kept is not None:
            tokens, account = open_whole(burn.kept, merchant, provider.id, ports.sealer)
        else:
            _need_time(TOKEN_CALL_SECONDS + STORE_SECONDS, Reason.OUT_OF_TIME, arrival)
            uri = redirect_uri(ports.policy.audience, provider)
            with ringing():
                tokens = ask_with_secret(
                    lambda ours: ports.server.exchange(
                        provider, code, uri, arrival.flow.verifier, ours, arrival.now
                    ),
                    secret,
                    provider,
                    ports.secrets,
                    lambda: _time_for(TOKEN_CALL_SECONDS + STORE_SECONDS, arrival),
                )
            tokens = tokens._replace(details={**details, **tokens.details})
    except Failure as failure:
        _note(ports, arrival, burn, failure)
        raise (failure.clearing(arrival.cookie) if burn.kept is None else failure) from failure.__cause__
    return _store(tokens, account, keys, burn, arrival, ports)


def _need_time(seconds: int, reason: Reason, arrival: Arrival) -> None:
    if not _time_for(seconds, arrival):
        raise Failure(reason)


def _time_for(seconds: int, arrival: Arrival) -> bool:
    """Nothing is started that could not be finished and stored before Lambda ends us."""
    return arrival.left() >= seconds + MARGIN_SECONDS


def _note(ports: CallbackPorts, arrival: Arrival, burn: Burn, failure: Failure) -> None:
    """Leave the reason on the burned flow, so that a reload answers at once; nothing hangs on it."""
    if burn.kept is None:
        with suppress(Failure):
            ports.flows.fail(arrival.link, state_hash(arrival.flow.state), failure.reason.value)


def _came_before(burn: Burn, arrival: Arrival) -> Result:
    """This state was burned by an earlier callback: say what became of it."""
    if burn.status is BurnStatus.DONE:
        code = confirmation_code(arrival.flow) if burn.pending else None
        return _connected(arrival, burn.account_id, burn.pending, code)
    if burn.status is BurnStatus.EXHAUSTED:
        raise Failure(Reason.LINK_EXHAUSTED).clearing(arrival.cookie)
    if burn.status is BurnStatus.EXCHANGING and arrival.now - burn.burned_at <= EXCHANGE_SECONDS:
        raise Failure(Reason.FLOW_IN_PROGRESS)
    raise Failure(Reason.FLOW_USED).clearing(arrival.cookie)


def _store(
    tokens: TokenSet, named: str | None, keys: SealingKeys, burn: Burn, arrival: Arrival, ports: CallbackPorts
) -> Result:
    """Learn the account, seal both tokens, and write everything in one transaction."""
    code = confirmation_code(arrival.flow) if arrival.link.confirm else None
    asked = arrival.link.scopes or arrival.provider.scopes
    try:
        with ringing():
            account = _identify(tokens, named, arrival, ports)
            new = NewConnection(
                merchant_id=arrival.link.merchant_id,
                provider=arrival.provider.id,
                account=account,
                tokens=seal_tokens(tokens, account.account_id, asked, keys),
                connected_at=int(ports.clock()),  # of two exchanges the one that ends later stays
                burned_at=burn.burned_at,
                due_at=first_due(tokens, arrival.provider, arrival.now, ports.jitter(), burn.burned_at),
                confirmation_hash=confirmation_hash(code) if code else None,
            )
            _connect(new, arrival, ports)
    except Failure as failure:
        if failure.reason in (Reason.IDENTITY_UNAVAILABLE, Reason.ACCOUNT_MISSING):
            # Kept before, it lies there already: a failed write would only look like a loss.
            if burn.kept is None:
                _keep(tokens, named, keys, arrival, ports)
            raise
        if failure.reason not in (Reason.STORE_DELAYED, Reason.TOKEN_LOST):  # these leave no time for it
            _note(ports, arrival, burn, failure)
        raise failure.clearing(arrival.cookie) from failure.__cause__
    return _connected(arrival, account.account_id, pending=code is not None, code=code)


def _identify(tokens: TokenSet, named: str | None, arrival: Arrival, ports: CallbackPorts) -> Account:
    if tokens.account_id is not None:
        return Account(tokens.account_id, verified=True)
    if arrival.provider.identity is not None:
        _need_time(IDENTITY_CALL_SECONDS + STORE_SECONDS, Reason.IDENTITY_UNAVAILABLE, arrival)
    return ports.server.identify(arrival.provider, tokens.access_token, named)


def _connect(new: NewConnection, arrival: Arrival, ports: CallbackPorts) -> None:
    """Store it; when the table will not take it, the sealed token set goes to the recovery queue."""
    burned = state_hash(arrival.flow.state)
    try:
        _expect_account(new.account.account_id, arrival)
        ports.connections.connect(new, arrival.link, burned)
    except Failure as failure:
        if failure.reason in (Reason.UNINSTALLED_MEANWHILE, Reason.ACCOUNT_MISMATCH):
            discard(of_exchange(new), ports.revocations)
            raise
        try:
            ports.recovery.put(new, arrival.link, burned)
        except Failure:
            raise Failure(Reason.TOKEN_LOST) from None
        raise Failure(Reason.STORE_DELAYED) from None


def _keep(
    tokens: TokenSet, named: str | None, keys: SealingKeys, arrival: Arrival, ports: CallbackPorts
) -> None:
    """Keep the token set sealed on the flow's row until the provider says whose it is."""
    try:
        with ringing():
            ports.flows.keep(arrival.link, state_hash(arrival.flow.state), seal_whole(tokens, named, keys))
    except Failure as failure:
        raise Failure(Reason.TOKEN_LOST, failure.detail).clearing(arrival.cookie) from failure.__cause__


def _connected(arrival: Arrival, account_id: str, pending: bool, code: str | None = None) -> Result:
    """The way back to the product; the flow's cookie becomes a marker that it is done."""
    status = "pending_confirmation" if pending else "connected"
    key = connection_key(arrival.provider.id, account_id)
    parameters = {"connection": key, "status": status, "ref": arrival.ref}
    parameters |= {"confirmation": code} if code else {}
    done = arrival.flow._replace(account=account_id, pending=pending, verifier="")
    left = max(1, FLOW_SECONDS - (arrival.now - arrival.flow.started_at))
    location = with_parameters(arrival.link.return_to, parameters)
    cookies = (set_cookie(arrival.cookie, encode_flow(done), left),)
    return Result(status, *arrival.who, location, cookies=cookies)
