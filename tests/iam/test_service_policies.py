"""The documented policies of services, decided path by path: what each allows, and nothing that it does not.

Decisions are the evaluator's. Real requests that meet these policies are in tests/e2e/test_reading_tokens.py.
"""

import json
import re
from functools import cache
from itertools import product
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.event import http_event
from local.request import HttpRequest
from mooring.adapters.dynamodb_connections import READER_ATTRIBUTES
from mooring.core.upkeep import Key
from tests.entry.deployed import Deployed
from tests.iam.documented import ACCOUNT, MERCHANT, NAMES, PROVIDER, filled, statements
from tests.iam.service_paths import LIST, MEANT, ONE, ROUTES, TOKEN, Call, every_call
from tests.template.policy import Decision, Request, Statement, decide
from tests.template.translated import ACCOUNT as AWS_ACCOUNT
from tests.template.translated import REGION, Stack

STACK = Stack()
API = str(STACK.resolve(STACK.template["Outputs"]["ApiArn"]["Value"]))


def invoke(target: str, api: str = API, action: str = "execute-api:Invoke") -> Request:
    """The question that API Gateway asks of IAM; the session carries the merchant's tag."""
    role = f"arn:aws:iam::{AWS_ACCOUNT}:role/a-service"
    method, _, path = target.partition(" ")
    return Request(role, action, f"{api}/{method}{path}", {"aws:PrincipalTag/merchant": MERCHANT})


@cache
def policy_of(name: str) -> list[Statement]:
    return statements(name, STACK)


def may(name: str, target: str, api: str = API, action: str = "execute-api:Invoke") -> bool:
    return decide(invoke(target, api, action), policy_of(name)) is Decision.ALLOWED


def test_each_policy_has_its_meaning_here() -> None:
    assert set(MEANT) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_allows_what_it_is_for_and_no_other_path(name: str) -> None:
    policy, wrong, allowed = policy_of(name), [], 0
    for call in every_call():
        decided = decide(invoke(call.target), policy) is Decision.ALLOWED
        allowed += decided
        if decided is not MEANT[name](*call):
            wrong.append(call)
    assert wrong == []
    assert allowed > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "PUT", "OPTIONS", "ANY", "get", "*", "POST", "DELETE"])
def test_another_method_is_not_allowed_for_a_read(name: str, method: str) -> None:
    for route in (LIST, ONE, TOKEN):
        path = Call(route, MERCHANT, PROVIDER, ACCOUNT).target.partition(" ")[2]
        expected = (name, method, route) == ("disconnect-only", "DELETE", ONE) or (
            # No such routes: they are names that end one path further on.
            (name, method) == ("disconnect-only", "DELETE") and route == TOKEN
        )
        assert may(name, f"{method} {path}") is expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "other",
    [
        API.replace("HttpApi", "another1"),
        API.replace("$default", "test"),
        API.replace(AWS_ACCOUNT, "999999999999"),
        API.replace(REGION, "us-east-1"),
        API.replace(":execute-api:", ":apigateway:"),
        f"{API}/{API.rpartition('/')[2]}",
    ],
)
def test_another_api_stage_account_or_region_is_not_allowed(name: str, other: str) -> None:
    assert other != API
    assert not [call for call in every_call() if MEANT[name](*call) and may(name, call.target, other)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("action", ["execute-api:InvalidateCache", "execute-api:ManageConnections"])
def test_nothing_but_invoking_is_allowed(name: str, action: str) -> None:
    assert not [call for call in every_call() if may(name, call.target, action=action)]


def test_a_session_without_the_tag_may_do_nothing() -> None:
    policy = policy_of("merchant-of-session")
    for call in every_call():
        bare = invoke(call.target)._replace(context={})
        assert decide(bare, policy) is Decision.NOT_ALLOWED


# -- paths that were written to confuse ----------------------------------------------------------------------

TRICKS = [
    "/merchants/m%2D1/connections",
    "/merchants/m-1%2Fconnections%2F..%2F..%2Fm-2/connections",
    "/merchants/m-1/connections/../../m-2/connections",
    "/merchants/m-1/../m-2/connections",
    "/merchants/m-1%2f..%2fm-2/connections",
    "/merchants/%6d-2/connections",
    "/merchants/m-2%00/connections",
    "/merchants/*/connections",
    "/merchants/%2A/connections",
    "/merchants/m-?/connections",
    "/merchants/m-1,m-2/connections",
    "/merchants//m-1/connections",
    "/merchants/m-1//connections",
    "/merchants/m-1/connections/",
    "/merchants/./m-1/connections",
    "/merchants/m-1;m-2/connections",
    "//merchants/m-1/connections",
    "/Merchants/m-1/connections",
    "/merchants/m-1/connections/xeno%2Fa-1%2Ftoken",
    "/merchants/m-1/connections/xeno/a-1%2Ftoken/token",
    "/merchants/m-1/connections/xeno/..%2F..%2F..%2F..%2Fm-2%2Fconnections%2Fxeno%2Fa-1/token",
    "/merchants/m-2/connections/xeno/..%2F..%2F..%2F..%2Fm-1%2Fconnections%2Fxeno%2Fa-1/token",
    "/merchants/m-2/connections/xeno/a-1%2F..%2F..%2F..%2F..%2Fm-1%2Fconnections%2Fx%2Fy/token",
    "/merchants/m-2%2F..%2Fm-1/connections/xeno/a-1/token",
    "/merchants/m-2/connections/xeno/a-1/token%2F..%2F..%2F..%2F..%2F..%2Fm-1%2Fconnections",
    "/merchants/m-2/connections/yotpo%2F..%2Fxeno/a-1/token",
    "/merchants/m-2/connections/yotpo/connections%2Fxeno%2Fa-1/token",
    "/merchants/m-1%252Fconnections/connections",
    "/merchants/m-2%23/connections",
    "/merchants/m-2%3F/connections",
    "/merchants/@account%23xeno%23a-1/connections",
]
_PIECES = ["m-1", "m-2", "m%2D1", "xeno", "yotpo", "a-1", "connections", "token", "merchants"]
_PIECES += ["..", ".", "%2F", "%2f", "*", "%2e", "%00", "%2D", "?"]
_SEGMENT = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4).map("".join)
_PATH = st.lists(_SEGMENT, min_size=2, max_size=7).map(lambda parts: "/merchants/" + "/".join(parts))


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    """Everybody has connected everything."""
    deployed = Deployed()
    for names in product(("m-1", "m-2"), ("xeno", "yotpo"), ("a-1", "connections")):
        deployed.world.stands(Key(*names), expires_at=None)
    return deployed


def answered(target: str, deployed: Deployed) -> tuple[str, dict[str, str]] | None:
    """Route and names of a request that the functions answered; None when they refused it."""
    method, _, path = target.partition(" ")
    request = HttpRequest(method, path, (("host", "connect.example.com"),))
    for route in ROUTES:
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route.partition(" ")[2])
        found = re.fullmatch(pattern, request.path)
        if found and route.startswith(f"{method} "):
            event = http_event(request, route_key=route, path_parameters=found.groupdict())
            if deployed.connections(event)["statusCode"] == 200:
                return route, {name: unquote(value) for name, value in found.groupdict().items()}
    return None


def check_trick(target: str, deployed: Deployed) -> None:
    """Whichever way AWS reads a path, encoded or decoded: nobody gets what their policy is not meant for."""
    done = answered(target, deployed)
    if done is None:
        return
    route, names = done
    call = (route, *(names.get(name, "") for name in ("merchant_id", "provider", "account_id")))
    for name in NAMES:
        if any(may(name, reading) for reading in (target, unquote(target))):
            assert MEANT[name](*call), (name, target)


@pytest.mark.parametrize("path", TRICKS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_path_that_was_written_to_confuse_leads_nowhere_else(
    method: str, path: str, deployed: Deployed
) -> None:
    check_trick(f"{method} {path}", deployed)


@given(_PATH)
def test_nor_does_any_other(deployed: Deployed, path: str) -> None:
    check_trick(f"GET {path}", deployed)


def test_the_tricks_are_answered_where_they_are_harmless(deployed: Deployed) -> None:
    assert answered("GET /merchants/m-2/connections", deployed)
    assert answered("GET /merchants/m%2D1/connections", deployed)
    assert len([path for path in TRICKS if answered(f"GET {path}", deployed)]) < len(TRICKS) / 2


# -- the table and the keys ----------------------------------------------------------------------------------

READERS = ["client-library", "client-library-one-merchant", "merchant-of-session"]
TABLE = str(STACK.resolve(STACK.template["Outputs"]["ConnectionsTableArn"]["Value"]))
TOKEN_KEY, DATA_KEY = (f"arn:aws:kms:{REGION}:{AWS_ACCOUNT}:key/{name}" for name in ("TokenKey", "DataKey"))
LEFT_TO_IAM: list[Statement] = [
    {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{AWS_ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
]
VIA = {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}


def reads(
    name: str,
    action: str = "GetItem",
    *,
    merchant: str = MERCHANT,
    attributes: tuple[str, ...] = READER_ATTRIBUTES,
    select: str = "SPECIFIC_ATTRIBUTES",
    resource: str = TABLE,
) -> bool:
    asked = {
        "dynamodb:LeadingKeys": [merchant],
        "dynamodb:Attributes": list(attributes),
        "dynamodb:Select": select,
        "aws:PrincipalTag/merchant": MERCHANT,
    }
    request = Request("arn:aws:iam::111122223333:role/a-service", f"dynamodb:{action}", resource, asked)
    return decide(request, policy_of(name)) is Decision.ALLOWED


def opens(name: str, key: str = TOKEN_KEY, action: str = "Decrypt", **context: str) -> bool:
    """With a key whose policy leaves everything to IAM, so that one policy does not hide behind the other."""
    asked = {f"kms:EncryptionContext:{field}": value for field, value in context.items() if ":" not in field}
    asked |= {"aws:PrincipalTag/merchant": MERCHANT}
    asked |= VIA if key == DATA_KEY else {}
    request = Request("arn:aws:iam::111122223333:role/a-service", f"kms:{action}", key, asked)
    own: list[Statement] = STACK.properties(key.rpartition("/")[2])["KeyPolicy"]["Statement"]
    careless = decide(request, policy_of(name), LEFT_TO_IAM) is Decision.ALLOWED
    assert not careless or decide(request, policy_of(name), own) is Decision.ALLOWED
    return careless


@pytest.mark.parametrize("name", READERS)
def test_a_reader_of_the_table_reads_rows_and_opens_access_tokens(name: str) -> None:
    assert all(reads(name, action) for action in ("GetItem", "Query"))
    assert opens(name, merchant=MERCHANT, provider=PROVIDER, field="access")
    assert opens(name, DATA_KEY)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "attribute",
    ["refresh", "refresh_key", "previous_refresh", "previous_refresh_key", "refresh_expires_at", "attempts"],
)
def test_no_reader_asks_for_what_is_about_refreshing(name: str, attribute: str) -> None:
    assert not reads(name, attributes=(attribute,))
    assert not reads(name, attributes=(*READER_ATTRIBUTES, attribute))
    assert not reads(name, "Query", attributes=(*READER_ATTRIBUTES, attribute))


@pytest.mark.parametrize("name", READERS)
def test_no_reader_reads_whole_rows_an_index_a_pointer_or_in_bulk(name: str) -> None:
    for select in ("ALL_ATTRIBUTES", "COUNT", "ALL_PROJECTED_ATTRIBUTES"):
        assert not reads(name, select=select)
    assert not reads(name, "Query", resource=f"{TABLE}/index/due")
    assert not reads(name, merchant="@account#xeno#a-1")
    for action in ("Scan", "BatchGetItem", "PartiQLSelect", "ExportTableToPointInTime"):
        assert not reads(name, action)
    for action in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "ConditionCheckItem"):
        assert not reads(name, action)
    assert not reads(name, resource=TABLE.replace("mooring-prod-connections", "mooring-prod-flows"))
    assert not reads(name, resource=TABLE.replace("prod", "test"))


@pytest.mark.parametrize("name", READERS)
def test_no_reader_opens_a_refresh_token(name: str) -> None:
    for field in ("refresh", "kept", "Access", ""):
        assert not opens(name, merchant=MERCHANT, provider=PROVIDER, field=field)
    assert not opens(name)
    for action in ("Encrypt", "GenerateDataKey", "ReEncryptFrom", "CreateGrant"):
        assert not opens(name, action=action, merchant=MERCHANT, provider=PROVIDER, field="access")


@pytest.mark.parametrize("name", READERS[1:])
@pytest.mark.parametrize("other", ["m-2", "m-10", "m", "M-1", "m-1*", "*", ""])
def test_a_reader_for_one_merchant_reads_and_opens_no_other(name: str, other: str) -> None:
    assert not reads(name, merchant=other)
    assert not reads(name, "Query", merchant=other)
    assert not opens(name, merchant=other, provider=PROVIDER, field="access")
    assert not opens(name, provider=PROVIDER, field="access")


@pytest.mark.parametrize("name", READERS)
def test_the_attributes_are_those_that_the_library_asks_for(name: str) -> None:
    (read,) = [each for each in policy_of(name) if each["Resource"] == TABLE]
    allowed = read["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
    assert sorted(allowed) == sorted(READER_ATTRIBUTES)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in READERS])
def test_who_calls_the_api_gets_neither_table_nor_key(name: str) -> None:
    assert {each["Action"] for each in policy_of(name)} == {"execute-api:Invoke"}


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_short_enough_for_a_session_and_names_every_statement(name: str) -> None:
    long = filled(name, STACK, MERCHANT_ID="m" * 40, ACCOUNT_ID="a" * 40).replace("HttpApi", "a1b2c3d4e5")
    long = long.replace("key/TokenKey", f"key/{'0' * 36}").replace("key/DataKey", f"key/{'0' * 36}")
    policy = json.loads(long)
    assert len(json.dumps(policy, separators=(",", ":"))) <= 2_048
    assert policy["Version"] == "2012-10-17"
    assert len({each["Sid"] for each in policy["Statement"]}) == len(policy["Statement"])
    assert {each["Effect"] for each in policy["Statement"]} == {"Allow"}
