"""What operators' commands ask of AWS, against the roles of the template and the policies of the runbook."""

import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session
from botocore.awsrequest import AWSPreparedRequest

from local.aws_requests import Record, Requests
from mooring.core.upkeep import Key
from mooring_cli import exporting, importing, reseal
from mooring_cli.envelope import opener_from, receiver_from
from mooring_cli.exportfile import connections_in
from mooring_cli.rows import about
from mooring_cli.stage import Stage, physical
from mooring_cli.traces import Eraser
from tests.cli.aws_on_sockets import FakeAws, running_aws
from tests.cli.receivers import key_pair
from tests.cli.stack_on_sockets import KEY_ID, REGION, SECRET
from tests.cli.vault import PROVIDER, Vault
from tests.docs.markdown import document
from tests.iam.asked import Ask, asks
from tests.iam.ground import Ground
from tests.iam.implied import behind
from tests.iam.roles import Roles
from tests.template.policy import Decision, Request, Statement, decide
from tests.template.translated import ACCOUNT, Stack

OPERATOR = f"arn:aws:iam::{ACCOUNT}:role/operators"
NEW_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/NewTokenKey"
FOREIGN = ["dynamodb:DeleteItem", "dynamodb:PutItem", "kms:CreateGrant", "ssm:GetParameter"]


class Operators(Ground):
    """The template with operators named and another token key in use; the caller's name is its role's.

    The new key has the policy of the old one, as docs/keys.md says.
    """

    def __init__(self, stage: str, keys: Mapping[str, str]) -> None:
        super().__init__(stage, keys)
        self.stack = Stack(Stage=stage, OperatorPrincipals=OPERATOR, CurrentTokenKeyArn=NEW_KEY)

    def principal(self, function: str) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/mooring-{self.stage}-{function}"

    def resource_policies(self) -> dict[str, Sequence[Statement]]:
        found = super().resource_policies()
        return {**found, NEW_KEY: found[self.logical_key("TokenKey")]}


class Recorder:
    """A stage as commands get it; each call is remembered with the role that is at work."""

    def __init__(self, aws: FakeAws) -> None:
        self.role = ""
        self.records: list[Record] = []
        self._requests = Requests()
        session = Session(KEY_ID, SECRET, region_name=REGION)
        session.events.register("before-send", self._note)
        tables = physical(aws.stage, "connections"), physical(aws.stage, "flows")
        for table, keys in zip(tables, (("merchant_id", "connection"), ("pk",)), strict=True):
            schema = [{"AttributeName": key} for key in keys]
            self._requests._learn_table({"TableName": table, "KeySchema": schema})
        self.stage = Stage(aws.stage, REGION, session, *tables, {}, physical(aws.stage, "sweep"))

    def _note(self, request: AWSPreparedRequest, **_: Any) -> None:
        body = request.body or b""
        sent = body if isinstance(body, bytes) else str(body).encode()
        headers = {f"HTTP_{name.upper().replace('-', '_')}": _text(v) for name, v in request.headers.items()}
        body_of = {"CONTENT_LENGTH": str(len(sent)), "wsgi.input": io.BytesIO(sent)}
        record = self._requests.note({**headers, **body_of, "REQUEST_METHOD": request.method})
        self.records.append({**record, "caller": self.role})


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Scene:
    """Everything that the commands meet, done once."""

    def __init__(self, aws: FakeAws, folder: Path) -> None:
        self.recorder = Recorder(aws)
        self.vault = Vault(aws)
        self.new_key = self.vault.new_key()
        keys = {self.vault.key: "TokenKey", self.new_key: "NewTokenKey"}
        named = {arn.rpartition("/")[2]: name for arn, name in keys.items()}
        # What is imported is sealed under whatever the alias leads to.
        alias = self.vault.alias.rpartition("/")[2]
        self.ground = Operators(aws.stage, {**named, alias: "NewTokenKey"})
        (folder / "mooring.yaml").write_text(f"providers:\n  {PROVIDER}: {{}}\n")
        self._fill()
        self._export(folder, "old.ndjson")
        self._reseal()
        self._export(folder, "new.ndjson")
        self._import(folder)
        self._forget()

    def _fill(self) -> None:
        self.vault.connect("m-1")
        self.vault.store(self.vault.lease(Key("m-1", PROVIDER, "shop-1")))
        self.vault.connect("m-2", pending="c-2")
        self.vault.keep("m-3")

    def _export(self, folder: Path, name: str) -> None:
        self.recorder.role = "export"
        pair = key_pair(folder)
        with (folder / name).open("w") as file:
            done = exporting._write(self.recorder.stage, receiver_from(pair.public), file)
        assert (len(done.seen), exporting._moved(self.recorder.stage, done)) == (1, 0)
        self._count_tables(self.recorder.stage.connections_table)

    def _reseal(self) -> None:
        self.recorder.role = "reseal"
        # Whoever refreshes it is done in a moment: the row is read once more then.
        self.vault.change(Key("m-1", PROVIDER, "shop-1"), lease_until=int(time.time()) + 2)
        work = reseal._Work(self.recorder.stage, self.new_key, write=True)
        first, second = work.once(), work.once()
        assert (first.rewrapped, second.rewrapped, second.refused) == (3, 0, {})
        self._count_tables(self.recorder.stage.connections_table, self.recorder.stage.flows_table)

    def _import(self, folder: Path) -> None:
        self.recorder.role = "import"
        where = {"merchant_id": {"S": "m-1"}, "connection": {"S": f"{PROVIDER}#shop-1"}}
        self.vault.client.delete_item(TableName=self.vault.connections, Key=where)
        opener = opener_from(key_pair_in(folder))
        work = importing._Import(self.recorder.stage, opener, write=True)
        for number, text in connections_in(folder / "new.ndjson"):
            work.line(number, text)
        assert (work.done.total(), work.failed) == (1, {})

    def _forget(self) -> None:
        self.recorder.role = "forget"
        key = Key("m-1", PROVIDER, "shop-1")
        self.vault.change(key, status="disconnected")
        lost = self.vault.connect("m-1", "shop-2")
        where = {"merchant_id": {"S": "m-1"}, "connection": {"S": f"{PROVIDER}#{lost.account_id}"}}
        self.vault.client.delete_item(TableName=self.vault.connections, Key=where)
        self.vault.burn("m-1", int(time.time()) - 600)
        for merchant in ("m-1", "m-2"):
            eraser = Eraser(self.recorder.stage, merchant)
            found = eraser.find("Looking")
            for trace in found.connections:
                eraser.revocation(trace)
            for connection in found.waiting:
                assert eraser.unconfirmed(connection) is not None
            eraser.erase(found, int(time.time()))
            assert eraser.find("Looking").total == 0
        self._count_tables(self.recorder.stage.connections_table, self.recorder.stage.flows_table)

    def _count_tables(self, *tables: str) -> None:
        """What a progress bar asks."""
        for table in tables:
            assert about(self.recorder.stage.client("dynamodb"), table) is not None

    def asked(self, *roles: str) -> list[Ask]:
        """What these roles asked, and what that implies."""
        calls = [
            ask
            for record in self.recorder.records
            if record["caller"] in roles
            for ask in asks(record, self.ground)
        ]
        return [*calls, *behind(calls, self.ground)]


def key_pair_in(folder: Path) -> Path:
    """The private key of the pair that was made there last."""
    return folder / "ec-private.pem"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    with pytest.MonkeyPatch.context() as patch, running_aws() as aws:
        patch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        patch.chdir(folder)
        yield Scene(aws, folder)


@pytest.fixture(scope="module")
def roles(scene: Scene) -> Roles:
    own = {scene.ground.principal(name) for name in ("reseal", "export")}
    statements = {arn: each for arn, each in scene.ground.roles().items() if arn in own}
    assert statements.keys() == own
    return Roles(statements, scene.ground.resource_policies())


def test_every_call_of_a_role_is_allowed(scene: Scene, roles: Roles) -> None:
    asked = scene.asked("reseal", "export")
    assert len(asked) > 30
    assert roles.refused(asked) == []


def test_a_role_may_do_nothing_that_its_command_does_not(scene: Scene, roles: Roles) -> None:
    asked = scene.asked("reseal", "export")
    assert roles.unused(asked) == []
    assert [grant for grant in roles.grants() if not roles.misses(grant, asked)] == []
    assert [value for value in roles.values() if not roles.misses(value, asked)] == []


def test_a_permission_that_is_added_is_reported(scene: Scene, roles: Roles) -> None:
    asked = scene.asked("reseal", "export")
    for principal, sid in dict.fromkeys((grant.principal, grant.sid) for grant in roles.grants()):
        unused = roles.with_actions(principal, sid, FOREIGN).unused(asked)
        reported = {grant.action for grant in unused if grant.principal == principal and grant.sid == sid}
        assert reported == set(FOREIGN)


def may(scene: Scene, roles: Roles, role: str, action: str, resource: str, **context: Any) -> bool:
    principal = scene.ground.principal(role)
    return roles.decide(Request(principal, action, resource, context)) is Decision.ALLOWED


def test_reseal_opens_nothing_and_reads_no_token(scene: Scene, roles: Roles) -> None:
    sealing = {"kms:EncryptionContext:field": "access", "kms:EncryptionContext:merchant": "m-1"}
    sealing["kms:EncryptionContext:provider"] = PROVIDER
    for key in (scene.ground.logical_key("TokenKey"), NEW_KEY):
        for action in ("kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant"):
            assert not may(scene, roles, "reseal", action, key, **sealing)
    assert not may(scene, roles, "reseal", "kms:ReEncryptTo", scene.ground.logical_key("TokenKey"), **sealing)
    table = scene.ground.table(scene.recorder.stage.connections_table).arn
    for attributes in (["access"], ["access_key", "refresh"], ["merchant_id", "details"]):
        asked = {"dynamodb:Attributes": attributes, "dynamodb:Select": "SPECIFIC_ATTRIBUTES"}
        assert not may(scene, roles, "reseal", "dynamodb:Scan", table, **asked)
    for attribute in ("status", "access", "refresh", "generation"):
        asked = {"dynamodb:Attributes": [attribute], "dynamodb:LeadingKeys": ["m-1"]}
        assert not may(scene, roles, "reseal", "dynamodb:UpdateItem", table, **asked)


def test_export_writes_nothing(scene: Scene, roles: Roles) -> None:
    for table in (scene.recorder.stage.connections_table, scene.recorder.stage.flows_table):
        arn = scene.ground.table(table).arn
        for action in ("UpdateItem", "PutItem", "DeleteItem", "BatchWriteItem"):
            assert not may(scene, roles, "export", f"dynamodb:{action}", arn)
    assert not may(scene, roles, "export", "dynamodb:Scan", scene.ground.table(table).arn)


def documented(scene: Scene, part: str) -> list[Statement]:
    """The policy of the runbook that has this action in it, with its placeholders replaced."""
    (found,) = [block for block in document("docs/runbook.md").fences("json") if part in block]
    values = {
        "mooring-prod": f"mooring-{scene.ground.stage}",
        "DATA_KEY_ARN": scene.ground.logical_key("DataKey"),
        "TOKEN_KEY_ARN": NEW_KEY,
        "REGION": REGION,
        "ACCOUNT": ACCOUNT,
    }
    for word, value in values.items():
        found = found.replace(word, value)
    return [dict(each) for each in json.loads(found)["Statement"]]


@pytest.mark.parametrize(
    ("role", "parts"),
    [
        ("import", ["TOKEN_KEY_ARN"]),
        ("forget", ["dynamodb:DeleteItem", "mooring-prod-sweep"]),
    ],
)
def test_the_policies_of_the_runbook_suffice(role: str, parts: list[str], scene: Scene) -> None:
    own = [statement for part in parts for statement in documented(scene, part)]
    guards = scene.ground.resource_policies()
    asked = scene.asked(role)
    assert len(asked) > 5
    for ask in asked:
        guard = guards.get(ask.request.resource) if ask.request.action.startswith("kms:") else None
        assert decide(ask.request, own, guard) is Decision.ALLOWED, ask


def test_what_the_runbook_gives_for_an_import_opens_nothing(scene: Scene) -> None:
    own, guards = documented(scene, "TOKEN_KEY_ARN"), scene.ground.resource_policies()
    for field in ("access", "refresh"):
        context = {"kms:EncryptionContext:field": field}
        asked = Request(OPERATOR, "kms:Decrypt", NEW_KEY, context)
        assert decide(asked, own, guards[NEW_KEY]) is not Decision.ALLOWED


@pytest.mark.parametrize("role", ["ResealRole", "ExportRole"])
def test_only_those_who_are_named_may_take_a_role_on(role: str) -> None:
    assert role not in Stack().resources
    named = f"{OPERATOR},arn:aws:iam::{ACCOUNT}:user/somebody"
    trust = Stack(OperatorPrincipals=named).properties(role)["AssumeRolePolicyDocument"]
    (statement,) = trust["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    assert statement["Principal"] == {"AWS": named.split(",")}
