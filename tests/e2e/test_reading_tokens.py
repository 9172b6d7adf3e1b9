"""docs/reading-tokens.md, done: its programs, its policies, and what a service can do with a row that it has.

The API of the local stack asks the policies for real. Its table and its KMS ask nobody: calls of a reader are
recorded, and the policies are evaluated on them. What is done to ciphertexts is real.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from mooring.adapters.dynamodb_connections import DynamoConnections
from mooring.core.errors import Failure, Reason
from mooring.core.tokens import SealedField
from mooring.core.upkeep import Key
from tests.e2e.examples import EXAMPLES, answer_of, block, run
from tests.e2e.running import PROVIDERS, RunningStack
from tests.e2e.services import WORDS, Caller
from tests.e2e.story import Merchant
from tests.e2e.upkeep import Upkeep
from tests.e2e.visitor import Page
from tests.iam.asked import asks
from tests.iam.documented import statements
from tests.iam.ground import KEYS, Ground
from tests.iam.recording import Recording
from tests.template.policy import Decision, Request, decide

OWN, PROVIDER, ACCOUNT = (WORDS[word] for word in ("MERCHANT_ID", "PROVIDER", "ACCOUNT_ID"))
NAMES = (OWN, PROVIDER, ACCOUNT)
CONNECTION = f"/merchants/{OWN}/connections/{PROVIDER}/{ACCOUNT}"
#: Whose names begin like the one that the policies name, or are what it begins with.
OTHERS = (f"{OWN}2", OWN[:-1], OWN.upper(), "m-other")


@pytest.fixture(scope="module")
def connected(stack: RunningStack, seen: list[Page]) -> Upkeep:
    """The merchant that the policies name has connected the provider that they name."""
    merchant = Merchant(stack, seen, OWN)
    merchant.connect(PROVIDER)
    merchant.connect("xeno")
    Merchant(stack, seen, OTHERS[0]).connect(PROVIDER)
    return Upkeep.of(merchant, PROVIDER)


@pytest.fixture
def environment(stack: RunningStack, connected: Upkeep) -> dict[str, str]:
    """What the document says has to be in the environment, for a service with a policy and a session."""
    return Caller(stack.info, "one-merchant").environment


def note(stack: RunningStack, token: dict[str, Any]) -> str:
    """The access token, which the stack is told of: nothing may leak it."""
    stack.given_out.add(token["access_token"])
    return str(token["access_token"])


def living(stack: RunningStack, token: str) -> bool:
    """Whether the simulated provider takes a token."""
    return any(each["access_token"] == token for each in stack.simulator(PROVIDER).tokens())


# -- the programs --------------------------------------------------------------------------------------------


def test_one_line_of_python_reads_a_token(
    stack: RunningStack, connected: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = block("python", "Connections(stage=").replace('"prod"', '"local"').replace('"m-1"', f'"{OWN}"')
    for name, value in Caller(stack.info, "client-library").environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MOORING_API_URL", stack.base_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.info["aws_endpoint_url"])
    known: dict[str, Any] = {}
    exec(compile(line, "docs/reading-tokens.md", "exec"), known)
    token = known["token"]
    stack.given_out.add(token.value)
    assert living(stack, token.value)


@pytest.mark.parametrize("language", EXAMPLES)
@pytest.mark.parametrize("service", ["one-merchant", None])
def test_a_program_reads_a_token(
    language: str, service: str | None, stack: RunningStack, connected: Upkeep, tmp_path: Path
) -> None:
    """With temporary credentials, and with lasting ones."""
    token = answer_of(run(language, tmp_path, Caller(stack.info, service).environment, NAMES))
    assert living(stack, note(stack, token))
    assert token["placement"]["value"] == f"Bearer {token['access_token']}"


@pytest.mark.parametrize("language", EXAMPLES)
def test_a_program_is_told_that_it_may_not(
    language: str, environment: dict[str, str], tmp_path: Path
) -> None:
    ran = run(language, tmp_path, environment, (OTHERS[0], PROVIDER, ACCOUNT))
    assert ran.returncode != 0
    assert "403" in ran.stderr or "Forbidden" in ran.stderr + ran.stdout
    assert environment["AWS_SESSION_TOKEN"] not in ran.stdout + ran.stderr


@pytest.mark.parametrize("language", [name for name in EXAMPLES if name != "curl"])
def test_a_program_reports_a_401(
    language: str, stack: RunningStack, environment: dict[str, str], tmp_path: Path
) -> None:
    token = Caller(stack.info).ask(f"GET {CONNECTION}/token").json()
    note(stack, token)
    body = json.dumps({"generation": token["generation"], "version": token["version"]})
    said = answer_of(run(language, tmp_path, environment, NAMES, body))
    assert (said["status"], said["generation"]) == ("active", token["generation"])


@pytest.mark.parametrize("language", [name for name in EXAMPLES if name != "curl"])
def test_a_program_signs_every_name_that_there_can_be(
    language: str, stack: RunningStack, seen: list[Page], tmp_path: Path
) -> None:
    odd = Merchant(stack, seen, f"Shop:{secrets.token_hex(3)}.eu_west-1")
    odd.connect(PROVIDER)
    token = answer_of(run(language, tmp_path, Caller(stack.info).environment, (odd.name, PROVIDER, ACCOUNT)))
    assert living(stack, note(stack, token))


def test_what_the_document_says_to_do_after_a_401(
    stack: RunningStack, environment: dict[str, str], connected: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    known: dict[str, Any] = {}
    exec(compile(block("python", "def ask_mooring"), "docs/reading-tokens.md", "exec"), known)
    exec(compile(block("python", "def after_a_401"), "docs/reading-tokens.md", "exec"), known)
    exec(compile(block("python", "def call_provider"), "docs/reading-tokens.md", "exec"), known)
    first = known["access_token"](*NAMES)
    assert known["call_provider"](first, "leads").status_code == 200
    note(stack, first)
    stack.simulator(PROVIDER).misbehave("invalid_client", "api")
    refused = known["call_provider"](first, "leads")
    assert refused.status_code == 401
    connected.pass_time(120)  # a token that is younger than a minute is not refreshed for a report
    again = known["after_a_401"](*NAMES, first)
    assert again["version"] > first["version"]
    assert known["call_provider"](again, "leads").status_code == 200
    note(stack, again)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_placement_is_ready_to_use(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    account = merchant.connect(provider).query["connection"][0].partition("#")[2]
    path = f"/merchants/{merchant.name}/connections/{provider}/{account}/token"
    token = Caller(stack.info).ask(f"GET {path}").json()
    note(stack, token)
    known: dict[str, Any] = {}
    exec(compile(block("python", "def call_provider"), "docs/reading-tokens.md", "exec"), known)
    resource = {"yotpo": "info", "xeno": "me", "whatconverts": "leads"}.get(provider, "anything")
    answer: requests.Response = known["call_provider"](token, resource)
    assert answer.status_code == 200, answer.text
    assert (
        known["call_provider"](
            {**token, "placement": {**token["placement"], "value": "x"}}, resource
        ).status_code
        == 401
    )


# -- the policies, asked by the API --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["read-only", "one-merchant"])
def test_a_reader_gets_lists_and_tokens_of_its_merchants_and_may_end_nothing(
    name: str, stack: RunningStack, connected: Upkeep
) -> None:
    service, listing = Caller(stack.info, name), f"/merchants/{OWN}/connections"
    assert {one["provider"] for one in service.ask(f"GET {listing}").json()["connections"]} == {
        PROVIDER,
        "xeno",
    }
    assert service.ask(f"GET {CONNECTION}").json()["status"] == "active"
    token = service.ask(f"GET {CONNECTION}/token?min_ttl=60").json()
    assert living(stack, note(stack, token))
    seen = {"generation": token["generation"], "version": token["version"]}
    assert service.status(f"POST {CONNECTION}/unauthorized", seen) == 200
    for forbidden in (f"DELETE {CONNECTION}", f"POST {CONNECTION}/refresh"):
        assert service.status(forbidden) == 403
    assert connected.status == "active"


def test_a_reader_of_one_merchant_gets_nothing_of_another(stack: RunningStack, connected: Upkeep) -> None:
    service = Caller(stack.info, "one-merchant")
    lines = len(stack.log_lines("connections"))
    for other in OTHERS:
        for path in ("", f"/{PROVIDER}/{ACCOUNT}", f"/{PROVIDER}/{ACCOUNT}/token"):
            answer = service.ask(f"GET /merchants/{other}/connections{path}")
            assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert len(stack.log_lines("connections")) == lines, "a refused request reaches no function"


def test_other_policies_allow_what_they_are_for(stack: RunningStack, connected: Upkeep) -> None:
    listing, token = f"GET /merchants/{OWN}/connections", f"GET {CONNECTION}/token"
    xeno = f"GET /merchants/{OWN}/connections/xeno/any/token"
    expected = {
        "one-provider": (403, 200, 403),
        "one-connection": (403, 200, 403),
        "list-only": (200, 403, 403),
        "disconnect-only": (403, 403, 403),
        "refresh-only": (403, 403, 403),
        "client-library": (403, 200, 404),
        "client-library-one-merchant": (403, 200, 404),
        "merchant-of-session": (403, 403, 403),  # these keys carry no tag
    }
    for name, statuses in expected.items():
        service = Caller(stack.info, name)
        assert tuple(map(service.status, (listing, token, xeno))) == statuses, name
    assert set(expected) | {"read-only", "one-merchant"} == set(stack.info["services"])


def test_who_may_disconnect_disconnects(stack: RunningStack, merchant: Merchant) -> None:
    merchant.connect(PROVIDER)
    service = Caller(stack.info, "disconnect-only")
    path = f"/merchants/{merchant.name}/connections/{PROVIDER}/{ACCOUNT}"
    assert service.status(f"GET {path}/token") == 403
    assert service.status(f"DELETE {path}") == 200
    assert Caller(stack.info).ask(f"GET {path}/token").json()["status"] == 409


@pytest.mark.parametrize(
    "path",
    [
        f"/merchants/{OWN}%2Fconnections%2F..%2F..%2F{OTHERS[0]}/connections",
        f"/merchants/{OTHERS[0]}%2F..%2F{OWN}/connections",
        f"/merchants/{OWN}/connections/../../{OTHERS[0]}/connections",
        f"/merchants/{OWN}/../{OTHERS[0]}/connections",
        f"/merchants/{OWN}/connections/{PROVIDER}/..%2F..%2F..%2F{OTHERS[0]}%2Fconnections/token",
        f"/merchants/{OTHERS[0]}/connections/{PROVIDER}/{ACCOUNT}%2F..%2F..%2F..%2F..%2F{OWN}/token",
        f"/merchants/{OTHERS[0]}%00/connections",
        "/merchants/*/connections",
        "/merchants/%2A/connections",
        f"/merchants/{OWN}?/connections",
        f"//merchants/{OTHERS[0]}/connections",
    ],
)
def test_no_spelling_of_a_path_leads_to_somebody_else(
    path: str, stack: RunningStack, connected: Upkeep
) -> None:
    answer = Caller(stack.info, "one-merchant").ask(f"GET {path}")
    assert answer.status_code in (400, 403, 404), answer.text
    assert "connections" not in answer.json()


# -- rows that a service was given ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ground(stack: RunningStack) -> Ground:
    aliases = stack.aws("kms").list_aliases()["Aliases"]
    named = {alias["AliasName"].rpartition("-")[2]: alias.get("TargetKeyId") for alias in aliases}
    return Ground("local", {named[name]: logical_id for name, logical_id in KEYS.items()})


@pytest.fixture
def recording(stack: RunningStack) -> Iterator[Recording]:
    """Clients of the table and of KMS that remember what they were asked."""
    recording = Recording(stack.info)
    yield recording
    recording.close()


def decided(recording: Recording, ground: Ground, policy: str) -> list[tuple[str, Decision]]:
    """What a policy says of each recorded call; a key's own policy is asked as well."""
    own, guards = statements(policy, ground.stack, MERCHANT_ID=OWN), ground.resource_policies()
    found = []
    for record in recording.records:
        for ask in asks({**record, "caller": "connections"}, ground):
            request = ask.request._replace(principal="arn:aws:iam::111122223333:role/a-service")
            guard = guards.get(request.resource) if request.action.startswith("kms:") else None
            found.append((request.action, decide(request, own, guard)))
    return found


def sealed(row: dict[str, Any], field: str) -> SealedField:
    return SealedField(row[field], row[f"{field}_key"])


def test_a_reader_of_the_table_opens_its_merchants_token(
    stack: RunningStack, connected: Upkeep, recording: Recording, ground: Ground
) -> None:
    table = DynamoConnections(recording.dynamodb, stack.info["tables"]["connections"])
    row = table.read(*connected.key)
    assert row is not None
    assert row.access is not None
    token = recording.sealer.open(row.access, *connected.key, "access")
    stack.given_out.add(token)
    assert living(stack, token)
    allowed = [("dynamodb:GetItem", Decision.ALLOWED), ("kms:Decrypt", Decision.ALLOWED)]
    assert decided(recording, ground, "client-library-one-merchant") == allowed
    assert decided(recording, ground, "client-library") == allowed


def test_another_merchants_row_is_neither_read_nor_opened(
    stack: RunningStack, connected: Upkeep, recording: Recording, ground: Ground
) -> None:
    table = DynamoConnections(recording.dynamodb, stack.info["tables"]["connections"])
    row = table.read(OTHERS[0], PROVIDER, ACCOUNT)
    assert row is not None
    assert row.access is not None
    stack.given_out.add(recording.sealer.open(row.access, OTHERS[0], PROVIDER, ACCOUNT, "access"))
    refused = [("dynamodb:GetItem", Decision.NOT_ALLOWED), ("kms:Decrypt", Decision.NOT_ALLOWED)]
    assert decided(recording, ground, "client-library-one-merchant") == refused


def test_a_refresh_token_taken_from_the_table_stays_shut(
    stack: RunningStack, connected: Upkeep, recording: Recording, ground: Ground
) -> None:
    row = connected.row()
    refresh, access = sealed(row, "refresh"), sealed(row, "access")
    # Real: as what it is, its key is unwrapped only by whoever KMS lets; KMS is not asked here, so it opens.
    opened = recording.sealer.open(refresh, *connected.key, "refresh")
    # Evaluated: KMS lets none of these, and TokenKey's own policy denies it to whatever else they are given.
    for policy in ("client-library", "client-library-one-merchant", "merchant-of-session"):
        assert decided(recording, ground, policy) == [("kms:Decrypt", Decision.DENIED)]
    # Real: under the name of an access token, its key does not unwrap, and the access key opens nothing else.
    for wrong in (refresh, SealedField(refresh.ciphertext, access.wrapped_key)):
        with pytest.raises(Failure) as refused:
            recording.fresh_sealer().open(wrong, *connected.key, "access")
        assert refused.value.reason is Reason.TOKEN_UNREADABLE
        assert opened not in str(refused.value)
    with pytest.raises(ClientError, match="InvalidCiphertext"):
        recording.kms.decrypt(
            CiphertextBlob=refresh.wrapped_key[1:],
            EncryptionContext={"merchant": OWN, "provider": PROVIDER, "field": "access"},
        )


def test_a_sealed_field_that_is_moved_to_another_row_opens_for_nobody(
    stack: RunningStack, connected: Upkeep, seen: list[Page], recording: Recording
) -> None:
    thief = Merchant(stack, seen, f"m-thief-{secrets.token_hex(3)}")
    thief.connect(PROVIDER)
    goods, place = connected.row(), Upkeep.of(thief, PROVIDER)
    table = stack.info["tables"]["connections"]
    stack.aws("dynamodb").update_item(
        TableName=table,
        Key={"merchant_id": {"S": thief.name}, "connection": {"S": f"{PROVIDER}#{ACCOUNT}"}},
        UpdateExpression="SET access = :access, access_key = :key",
        ExpressionAttributeValues={":access": {"B": goods["access"]}, ":key": {"B": goods["access_key"]}},
    )
    answer = Caller(stack.info).ask(f"GET /merchants/{thief.name}/connections/{PROVIDER}/{ACCOUNT}/token")
    assert (answer.status_code, answer.json()["reason"]) == (500, "token_unreadable")
    for field in ("access", "refresh"):
        with pytest.raises(Failure) as refused:
            recording.fresh_sealer().open(sealed(goods, field), *place.key, field)
        assert refused.value.reason is Reason.TOKEN_UNREADABLE
    other_account = Key(OWN, PROVIDER, "another")
    with pytest.raises(Failure) as refused:
        recording.fresh_sealer().open(sealed(goods, "access"), *other_account, "access")
    assert refused.value.reason is Reason.TOKEN_UNREADABLE


def test_a_reader_could_not_have_moved_it() -> None:
    ground = Ground("local", {})
    table = ground.table("mooring-local-connections").arn
    for policy in ("client-library", "client-library-one-merchant", "merchant-of-session"):
        for action in ("UpdateItem", "PutItem", "DeleteItem", "BatchWriteItem"):
            asked = Request(
                "arn:aws:iam::111122223333:role/a-service",
                f"dynamodb:{action}",
                table,
                {"dynamodb:LeadingKeys": [OWN], "dynamodb:Attributes": ["access", "access_key"]},
            )
            own = statements(policy, ground.stack, MERCHANT_ID=OWN)
            assert decide(asked, own) is Decision.NOT_ALLOWED
