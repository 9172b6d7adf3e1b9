"""The client library in a service beside the running stack: what it reads, what it costs, how it heals."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import httpx
import pytest
from boto3.session import Session

from local.callers import credentials_of
from local.simulators.yotpo import STORES
from mooring.client import Connections, Disconnected, NeedsReconnect, NotAllowed, NotTheProvider
from mooring.client.httpx import AsyncProviderTransport
from tests.e2e.inbox import listening
from tests.e2e.running import RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.test_refresh import behind_our_back
from tests.e2e.upkeep import Upkeep

pytestmark = pytest.mark.usefixtures("by_hand")

GET, DECRYPT, QUERY = "DynamoDB_20120810.GetItem", "TrentService.Decrypt", "DynamoDB_20120810.Query"
READERS, READS, MERCHANTS = 16, 1_000, 10
READER = "a-service"
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
#: A call that took too long on a busy machine is made once more.
RETRIES = 20


def client(stack: RunningStack, *keys: str) -> Connections:
    """The library as a service makes it; without keys of a service, those of the stack, which may do all."""
    own = dict(zip(_KEYS, keys or stack.info["credentials"].values(), strict=False))
    region, endpoint = stack.info["region"], stack.info["aws_endpoint_url"]
    session = Session(**own, region_name=region)
    return Connections("local", region, stack.base_url, session, endpoint_url=endpoint)


@pytest.fixture
def connections(stack: RunningStack) -> Connections:
    return client(stack)


@pytest.fixture
def counted(stack: RunningStack) -> Connections:
    """One whose AWS calls the stack counts apart; the API does not know it."""
    return client(stack, *credentials_of(READER))


@pytest.fixture(autouse=True)
def remembered(stack: RunningStack, merchant: Merchant) -> Iterator[None]:
    """Every token that was read here is looked for in every log at the end."""
    yield
    for row in merchant.rows():
        provider, _, account = row["connection"]["S"].partition("#")
        if row["status"]["S"] == "active":
            stack.given_out.add(client(stack).token(merchant.name, provider, account).value)


def calls(stack: RunningStack) -> Counter[str]:
    return stack.calls(READER)


def test_a_token_is_the_one_that_the_provider_takes(
    stack: RunningStack, merchant: Merchant, connections: Connections
) -> None:
    merchant.connect("whatconverts")
    account = merchant.connect("xeno").query["connection"][0].partition("#")[2]
    for provider, named in (("whatconverts", "default"), ("xeno", account)):
        token = connections.token(merchant.name, provider)
        assert (token.account_id, token.generation, token.version) == (named, 1, 1)
        assert stack.simulator(provider).accepts(named, token.value)
    listed = connections.list(merchant.name)
    assert [(one.provider, one.account_id) for one in listed] == [
        ("whatconverts", "default"),
        ("xeno", account),
    ]


def test_a_warm_read_of_an_unchanged_token_is_one_get_item(
    stack: RunningStack, merchant: Merchant, counted: Connections
) -> None:
    merchant.connect("whatconverts")
    made = []
    for _ in range(4):
        stack.control("DELETE", "calls")
        counted.token(merchant.name, "whatconverts", "default")
        made.append(calls(stack))
    assert made == [{GET: 1, DECRYPT: 1}, {GET: 1}, {GET: 1}, {GET: 1}]
    stack.control("DELETE", "calls")
    for _ in range(3):
        counted.token(merchant.name, "whatconverts")
    assert calls(stack) == {QUERY: 1, GET: 3}


def test_a_thousand_reads_by_sixteen_threads(
    stack: RunningStack, merchant: Merchant, counted: Connections
) -> None:
    merchants = [Merchant(stack, merchant.seen) for _ in range(MERCHANTS)]
    for each in merchants:
        each.connect("whatconverts")
    names = [each.name for each in merchants] * (READS // MERCHANTS)
    stack.control("DELETE", "calls")
    with ThreadPoolExecutor(READERS) as readers:
        tokens = list(readers.map(lambda name: counted.token(name, "whatconverts", "default"), names))
    made = calls(stack)
    assert READS <= made[GET] <= READS + RETRIES
    assert MERCHANTS <= made[DECRYPT] <= MERCHANTS + RETRIES
    assert set(made) == {GET, DECRYPT}
    values = {token.key.merchant_id: token.value for token in tokens}
    assert len(set(values.values())) == MERCHANTS
    stack.given_out |= set(values.values())
    simulator = stack.simulator("whatconverts")
    assert all(simulator.accepts("default", value) for value in values.values())
    assert not [token for token in tokens if token.warning or token.value != values[token.key.merchant_id]]


def test_what_is_due_is_refreshed_by_the_api(
    stack: RunningStack, merchant: Merchant, connections: Connections
) -> None:
    merchant.connect("whatconverts")
    one, now = Upkeep.of(merchant, "whatconverts"), int(time.time())
    before = connections.token(merchant.name, "whatconverts")
    one.set(expires_at=now + 20, issued_at=now - 3_580)
    token = connections.token(merchant.name, "whatconverts")
    assert (before.version, token.version, token.warning) == (1, 2, None)
    assert token.expires_at is not None
    assert token.expires_at > now + 3_000
    assert stack.simulator("whatconverts").accepts("default", token.value)
    assert connections.token(merchant.name, "whatconverts") == token


def test_a_token_that_died_behind_our_back_is_healed_within_one_call(
    stack: RunningStack, merchant: Merchant, connections: Connections
) -> None:
    simulator = stack.simulator("whatconverts")
    merchant.connect("whatconverts")
    one = Upkeep.of(merchant, "whatconverts")
    with connections.session(merchant.name, "whatconverts") as session:
        assert session.get("leads").status_code == 200
        old = connections.token(merchant.name, "whatconverts")
        stack.given_out.add(old.value)
        behind_our_back(stack, simulator.newest()["refresh_token"])
        assert not simulator.accepts("default", old.value)
        one.pass_time(61)  # a token of the last minute is not taken for dead
        refused = len(simulator.calls("api"))
        answer = session.get("leads")
    assert (answer.status_code, one.version) == (200, 2)
    outcomes = [call["outcome"] for call in simulator.calls("api")[refused:]]
    assert outcomes == ["unauthorized", "ok"], "the service did not notice"
    assert "Authorization" not in answer.request.headers


def test_three_401s_of_a_provider_without_refresh_end_it_and_the_event_arrives(
    stack: RunningStack, merchant: Merchant, connections: Connections
) -> None:
    store = list(STORES)[2]
    with listening(stack) as inbox:
        merchant.connect("yotpo", store=store)
        one = Upkeep.of(merchant, "yotpo", store)
        with connections.session(merchant.name, "yotpo", store) as session:
            assert session.get("info").json()["app_key"] == store
            assert session.base_url == f"{stack.info['providers']['yotpo']}/v2/{store}/"
            stack.given_out.add(connections.token(merchant.name, "yotpo").value)
            stack.simulator("yotpo").revoke(account=store)
            for _ in range(2):
                assert session.get("info").status_code == 401
                one.pass_time(61)  # at most one report a minute counts
            with pytest.raises(NeedsReconnect, match="Send the merchant a link"):
                session.get("info")
        assert one.status == "needs_reconnect"
        with pytest.raises(NeedsReconnect, match="token_refused"):
            connections.token(merchant.name, "yotpo", store)
        events = inbox.wait(merchant.name, "Established", "Needs Reconnect")
        assert events[-1]["detail"]["reason"] == "token_refused"


def test_a_cut_off_by_somebody_else_is_seen_at_the_next_call(
    merchant: Merchant, connections: Connections, service: Service
) -> None:
    merchant.connect("whatconverts")
    with connections.session(merchant.name, "whatconverts") as session:
        assert session.get("leads").ok
        assert service.disconnect(Upkeep.of(merchant, "whatconverts").key).ok
        with pytest.raises(Disconnected):
            session.get("leads")


def test_an_asynchronous_service_calls_with_httpx(
    stack: RunningStack, merchant: Merchant, connections: Connections
) -> None:
    store = list(STORES)[1]
    merchant.connect("yotpo", store=store)

    async def call() -> list[int]:
        transport = AsyncProviderTransport(connections, merchant.name, "yotpo", store)
        async with httpx.AsyncClient(transport=transport) as http:
            found = [(await http.get("info")).status_code for _ in range(2)]
            with pytest.raises(NotTheProvider):
                await http.get(f"{stack.base_url}/")
            return found

    assert anyio.run(call) == [200, 200]


def test_it_may_do_what_its_documented_policy_says(stack: RunningStack, merchant: Merchant) -> None:
    service = client(stack, *stack.info["services"]["client-library"].values())
    merchant.connect("whatconverts")
    token = service.token(merchant.name, "whatconverts")
    with service.session(merchant.name, "whatconverts") as session:
        assert session.get("leads").ok
    assert service.report_unauthorized(token).outcome == "fresh", "it was issued just now"
    with pytest.raises(NotAllowed, match="api_refused"):
        service.disconnect(merchant.name, "whatconverts")
    cutter = client(stack, *stack.info["services"]["disconnect-only"].values())
    cutter.disconnect(merchant.name, "whatconverts", "default")
    assert [one.status for one in service.list(merchant.name)] == ["disconnected"]


def test_an_outage_of_table_or_key_is_bridged(
    stack: RunningStack, merchant: Merchant, connections: Connections
) -> None:
    merchant.connect("whatconverts")
    token = connections.token(merchant.name, "whatconverts", "default")
    with stack.failing(GET, DECRYPT, status=500, code="InternalServerError"):
        bridged = connections.token(merchant.name, "whatconverts", "default")
    assert (bridged.value, bridged.warning) == (token.value, "storage_unavailable")
    assert connections.token(merchant.name, "whatconverts", "default") == token


def test_the_layer_of_the_stack_carries_it(stack: RunningStack) -> None:
    staged = Path(stack.stack_dir) / "build/layers/mooring/python/mooring"
    assert (staged / "py.typed").exists()
    assert (staged / "client/__init__.py").exists()


def test_the_route_and_the_library_agree(
    stack: RunningStack, merchant: Merchant, connections: Connections, service: Service
) -> None:
    merchant.connect("whatconverts")
    said = service.token(Upkeep.of(merchant, "whatconverts").key).json()
    token = connections.token(merchant.name, "whatconverts")
    assert (said["access_token"], said["expires_at"]) == (token.value, token.expires_at)
    assert (said["generation"], said["version"]) == (token.generation, token.version)
    assert tuple(said["scopes"]) == token.scopes
