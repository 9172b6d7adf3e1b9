"""An installation as the client meets it: tables and keys on a socket, the functions behind a signed API."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import batched
from secrets import token_urlsafe
from threading import Lock, Thread
from typing import Any

from boto3.session import Session

from local.event import http_event
from local.request import HttpRequest
from local.sigv4 import SignatureRefusedError, verify
from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.adapters.dynamodb_endings import DynamoEndings
from mooring.adapters.dynamodb_flows import DynamoFlows
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.kms import Kms
from mooring.adapters.sealing import EnvelopeSealer
from mooring.client.api import SignedApi
from mooring.client.base import BaseConnections
from mooring.client.ports import Ports
from mooring.core.connection import Account, NewConnection
from mooring.core.provider import Api
from mooring.core.tokens import SealedTokens, TokenSet
from mooring.core.upkeep import Cause, Key, Order
from mooring.entry import service_api
from tests.contract.aws_server import REGION, AwsServer, Fault
from tests.contract.samples import a_link, a_state
from tests.entry.deployed import Deployed
from tests.fakes.token_keeper import RefreshCall
from tests.flows.upkeep_world import UpkeepWorld
from tests.protocol.shapes import ACME, HEADER

STAGE = "client"
CONNECTIONS, FLOWS = f"mooring-{STAGE}-connections", f"mooring-{STAGE}-flows"
KEYS = ("client-access-key", "client-secret-key")
PROVIDER, OTHER = "acme", "other"
_MANY = 400
_OPERATIONS = {"table": ("GetItem", "Query"), "kms": ("Decrypt",)}
_NAMES = {"GetItem": "read", "Query": "list", "Decrypt": "open"}
_ROUTES = (service_api.TOKEN_ROUTE, service_api.UNAUTHORIZED_ROUTE, service_api.DISCONNECT_ROUTE)


class RealWorld:
    """The client over the real adapters, and the functions over the same table. Only the provider is made up.

    Args:
        aws: the server.
        token_key: id of a KMS key.
    """

    reads = 200

    def __init__(self, aws: AwsServer, token_key: str) -> None:
        _tables(aws)
        self._aws = aws
        self.upkeep = UpkeepWorld()
        self.clock = self.upkeep.clock
        self._sealer = EnvelopeSealer(Kms(aws.kms(), token_key), self.clock)
        self._flows = DynamoFlows(aws.dynamodb(), FLOWS)
        self._rows = DynamoConnections(aws.dynamodb(), CONNECTIONS, FLOWS)
        behind = {
            "connections": self._rows,
            "leases": DynamoLeases(aws.dynamodb(), CONNECTIONS),
            "endings": DynamoEndings(aws.dynamodb(), CONNECTIONS, FLOWS),
            "sealer": self._sealer,
        }
        for name, port in behind.items():
            setattr(self.upkeep, name, port)
        self.upkeep.providers |= {name: ACME._replace(id=name) for name in (PROVIDER, OTHER)}
        self.upkeep.secrets.values |= dict.fromkeys((PROVIDER, OTHER), "a client secret")
        self.upkeep.keeper.tokens = _issued
        self.deployed = Deployed(self.upkeep)
        self.signed = SignedServer(self.deployed)
        self.connections = BaseConnections(self._ports)

    def close(self) -> None:
        """Stop the API."""
        self.signed.stop()

    def connect(
        self,
        merchant: str,
        provider: str = PROVIDER,
        account: str = "default",
        *,
        expires_in: int | None = 3_600,
        scopes: tuple[str, ...] = (),
        refreshes: bool = True,
    ) -> str:
        """A finished code exchange, stored as the callback stores it."""
        now, value = int(self.clock()), token_urlsafe(24)
        keys = self._sealer.prepare(merchant, provider)
        tokens = SealedTokens(
            access=keys.seal("access", account, value),
            refresh=keys.seal("refresh", account, token_urlsafe(24)) if refreshes else None,
            scopes=scopes,
            expires_at=None if expires_in is None else now + expires_in,
            refresh_expires_at=None,
            details={},
        )
        link, state = a_link(merchant), a_state()
        self._flows.burn(link, state, now)
        new = NewConnection(merchant, provider, Account(account, verified=False), tokens, now, now, None)
        self._rows.connect(new, link, state)
        return value

    def connect_many(self, merchant: str, accounts: list[str]) -> None:
        """One exchange, and its row once more for each further account."""
        self.connect(merchant, account=accounts[0])
        dynamodb, key = self._aws.dynamodb(), {"merchant_id": {"S": merchant}}
        first = {**key, "connection": {"S": f"{PROVIDER}#{accounts[0]}"}}
        row = dynamodb.get_item(TableName=CONNECTIONS, Key=first)["Item"]
        rows = [{**row, "connection": {"S": f"{PROVIDER}#{account}"}} for account in accounts]
        for some in batched(rows, 25, strict=False):
            puts: Any = [{"PutRequest": {"Item": each}} for each in some]
            dynamodb.batch_write_item(RequestItems={CONNECTIONS: puts})

    def end(self, merchant: str, status: str, account: str = "default", reason: str | None = None) -> None:
        """End a connection with the attributes that its end leaves."""
        kept = [] if status == "needs_reconnect" else ["access", "access_key", "expires_at", "issued_at"]
        names = {f"#{name}": name for name in ("status", "last_error", *kept)}
        removed = [*kept, *([] if reason else ["last_error"])]
        remove = f" REMOVE {', '.join(f'#{name}' for name in removed)}" if removed else ""
        set_reason = ", #last_error = :reason" if reason else ""
        values = {":status": {"S": status}, **({":reason": {"S": reason}} if reason else {})}
        self._aws.dynamodb().update_item(
            TableName=CONNECTIONS,
            Key={"merchant_id": {"S": merchant}, "connection": {"S": f"{PROVIDER}#{account}"}},
            UpdateExpression=f"SET #status = :status{set_reason}{remove}",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )

    def refresh(self, merchant: str) -> str:
        """An operator's refresh, by the refresh function."""
        key = Key(merchant, PROVIDER, "default")
        assert self.upkeep.keep(Order(key, None, Cause.ASKED)).word == "refreshed"
        row = self._rows.read(*key)
        assert row is not None
        assert row.access is not None
        return self._sealer.open(row.access, *key, "access")

    def api(self, base_url: str) -> None:
        """Put the provider's API there."""
        host = base_url.partition("://")[2].partition("/")[0]
        self.upkeep.providers[PROVIDER] = ACME._replace(
            id=PROVIDER, api=Api(base_url, HEADER, None), hosts=(host,), local=True
        )

    @contextmanager
    def outage(self, *parts: str) -> Iterator[None]:
        """Every call of a part fails, for the client as for the functions."""
        faults = [
            Fault(name, "InternalServerError", 500) for part in parts for name in _OPERATIONS.get(part, ())
        ]
        self.signed.down = "api" in parts
        try:
            with self._aws.failing(*faults * _MANY):
                yield
        finally:
            self.signed.down = False

    def calls(self) -> Counter[str]:
        """What was asked of AWS so far."""
        return Counter(_NAMES[name] for name, _ in self._aws.requests if name in _NAMES)

    def session(self) -> Session:
        """The client's credentials."""
        return Session(*KEYS, region_name=REGION)

    def _ports(self) -> Ports:
        # Clients that try once and wait long: on a busy machine a second try would be counted, too.
        return Ports(
            DynamoConnections(self._aws.dynamodb(), CONNECTIONS),
            EnvelopeSealer(Kms(self._aws.kms()), self.clock),
            SignedApi(self.signed.url, REGION, self.session().get_credentials),
            self.clock,
            self.clock.advance,
        )


class SignedServer:
    """The functions' own code behind checked signatures. `down` closes every connection unanswered."""

    def __init__(self, deployed: Deployed) -> None:
        self.down = False
        self.answer_with: tuple[int, bytes] | None = None
        self._deployed = deployed
        # A fake world is not made for several invocations at once.
        self._lock = Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if server.down:
                    self.close_connection = True
                    return
                request = HttpRequest(self.command, self.path, tuple(self.headers.items()), body)
                status, said = server.served(request)
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def served(self, request: HttpRequest) -> tuple[int, bytes]:
        """Status and body of an answer."""
        if self.answer_with is not None:
            return self.answer_with
        try:
            verify(request, credentials=dict([KEYS]), region=REGION)
        except SignatureRefusedError:
            return 403, b'{"message":"Forbidden"}'
        for route in _ROUTES:
            method, _, path = route.partition(" ")
            found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path), request.path)
            if found and method == request.method:
                event: Any = http_event(request, route_key=route, path_parameters=found.groupdict())
                with self._lock:
                    response = self._deployed.connections(event)
                return response["statusCode"], response["body"].encode()
        return 404, b'{"message":"Not Found"}'


def _issued(call: RefreshCall) -> TokenSet:
    return TokenSet(token_urlsafe(24), token_urlsafe(24), None, call.now + 3_600, None, None, {})


@cache
def _tables(aws: AwsServer) -> None:
    connections = [("merchant_id", "HASH"), ("connection", "RANGE")]
    for table, keys in ((CONNECTIONS, connections), (FLOWS, [("pk", "HASH")])):
        aws.dynamodb().create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],  # type: ignore[typeddict-item]
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
        )
