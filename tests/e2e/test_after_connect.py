"""docs/after-connect.md: its template translates, and its function runs, against the running stack."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local.template import translate
from mooring.core.upkeep import Key
from tests.docs.markdown import ROOT, document
from tests.e2e.inbox import Inbox, listening
from tests.e2e.running import FIFTH, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant
from tests.e2e.upkeep import wait_for

PAGE = document("docs/after-connect.md")
API_PATH = "/api/shop"
_DRIVER = "import json, sys, first_sync; print(json.dumps(first_sync.handler(json.load(sys.stdin), None)))"


class Consumer(NamedTuple):
    """The page's function in a process of its own, with its table."""

    folder: Path
    environment: dict[str, str]

    def handle(self, *events: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Hand it a batch, as Lambda does; its answer and its log lines."""
        records = [{"messageId": str(n), "body": json.dumps(event)} for n, event in enumerate(events)]
        done = subprocess.run(
            [sys.executable, "-c", _DRIVER],
            cwd=self.folder,
            env=self.environment,
            input=json.dumps({"Records": records}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *lines, answer = [json.loads(line) for line in done.stdout.splitlines()]
        return answer, lines


@pytest.fixture
def consumer(stack: RunningStack, tmp_path: Path) -> Consumer:
    (tmp_path / "first_sync.py").write_text(block("first_sync.py"), encoding="utf-8")
    table = f"syncs-{secrets.token_hex(6)}"
    syncs = translate(written(tmp_path), PARAMETERS)["Resources"]["Syncs"]["Properties"]
    stack.aws("dynamodb").create_table(TableName=table, **syncs)
    own = stack.info["credentials"]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "layers/mooring"),
        "AWS_ACCESS_KEY_ID": own["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": own["secret_access_key"],
        "AWS_DEFAULT_REGION": stack.info["region"],
        "AWS_REGION": stack.info["region"],
        "AWS_ENDPOINT_URL": stack.info["aws_endpoint_url"],
        "NO_PROXY": "127.0.0.1,localhost",
        "MOORING_STAGE": "local",
        "MOORING_API_URL": stack.base_url,
        "SYNCS_TABLE": table,
        "FIRST_PAGES": json.dumps({FIFTH: f"{stack.fifth.base_url}{API_PATH}"}),
    }
    return Consumer(tmp_path, environment)


PARAMETERS = {"MooringStage": "local", "MooringUrl": "x", "ReaderPolicyArn": "arn:aws:iam::1:policy/x"}


def block(name: str) -> str:
    """A file of the page."""
    language = "python" if name.endswith(".py") else "yaml"
    assert f"<!-- file: {name} -->\n```{language}\n" in PAGE.text
    (found,) = PAGE.fences(language)
    return found


def written(folder: Path) -> Path:
    path = folder / "template.yaml"
    path.write_text(block("template.yaml"), encoding="utf-8")
    return path


@pytest.fixture
def inbox(stack: RunningStack, tmp_path: Path) -> Any:
    """The queue behind the page's own rule."""
    rule = translate(written(tmp_path), PARAMETERS)["Resources"]["WhenEstablished"]["Properties"]
    assert rule["EventBusName"] == {"Fn::Sub": "mooring-${MooringStage}"}
    with listening(stack, rule["EventPattern"]) as inbox:
        yield inbox


def test_the_first_sync_starts_after_connect_and_once(
    stack: RunningStack, merchant: Merchant, service: Service, inbox: Inbox, consumer: Consumer, shop: str
) -> None:
    merchant.connect(FIFTH, store=shop)
    (first,) = inbox.wait(merchant.name, "Established")
    answer, lines = consumer.handle(first, first)
    assert answer == {"batchItemFailures": []}
    assert [(line["outcome"], line["merchant_id"]) for line in lines] == [("synced", merchant.name)]

    merchant.connect(FIFTH, store=shop)
    again = wait_for(lambda: inbox.about(merchant.name)[1:], "the event of the reconnect", 60)[0]
    assert again["detail"]["generation"] == 2
    assert [line["outcome"] for line in consumer.handle(again)[1]] == ["synced"]
    assert consumer.handle(first)[1] == [], "an old event that comes late is dropped"

    service.disconnect(Key(merchant.name, FIFTH, shop))


def test_a_provider_that_is_down_is_tried_again(
    stack: RunningStack, merchant: Merchant, service: Service, inbox: Inbox, consumer: Consumer, shop: str
) -> None:
    merchant.connect(FIFTH, store=shop)
    (first,) = inbox.wait(merchant.name, "Established")
    down = consumer.environment | {"FIRST_PAGES": json.dumps({FIFTH: f"{stack.fifth.base_url}/nowhere"})}
    answer, lines = consumer._replace(environment=down).handle(first)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert [line["outcome"] for line in lines] == ["failed"]
    assert [line["outcome"] for line in consumer.handle(first)[1]] == ["synced"]
    service.disconnect(Key(merchant.name, FIFTH, shop))


def test_what_has_ended_meanwhile_is_no_failure(
    merchant: Merchant, service: Service, inbox: Inbox, consumer: Consumer, shop: str
) -> None:
    merchant.connect(FIFTH, store=shop)
    (first,) = inbox.wait(merchant.name, "Established")
    service.disconnect(Key(merchant.name, FIFTH, shop))
    assert consumer.handle(first) == ({"batchItemFailures": []}, [])
    assert [event["detail-type"] for event in inbox.about(merchant.name)] == ["Connection Established"]
