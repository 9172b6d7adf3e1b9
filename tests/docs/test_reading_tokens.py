"""What docs/reading-tokens.md says agrees with policies, template and answers. Programs run in tests/e2e."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mooring.core.connection import Connection, Status
from mooring.core.provider import RateLimit
from mooring.entry import service_answers
from mooring.flows.read import AccessToken
from tests.contract.aws_server import AwsServer
from tests.contract.conftest import shared_server
from tests.docs.markdown import ROOT, document, names
from tests.iam.documented import NAMES, OUTPUTS, filled, text
from tests.protocol.shapes import ACME
from tests.template.translated import ACCOUNT, REGION, Stack, source

DOCUMENT = document("docs/reading-tokens.md")
STACK = Stack()
PROGRAMS = ("sh", "python", "js", "go", "php")
_WORD = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b")
_VARIABLE = re.compile(r"\b(?:AWS|MOORING)_[A-Z_]+\b")
#: Words in capitals that stay: DynamoDB's, and methods.
_NOT_OURS = {"SPECIFIC_ATTRIBUTES", "GET", "POST", "DELETE"}


def block(language: str, holds: str) -> str:
    """The one fenced block of a language that holds a text."""
    (found,) = [fence for fence in DOCUMENT.fences(language) if holds in fence]
    return found


def test_every_policy_is_in_the_table_and_none_besides() -> None:
    rows = DOCUMENT.rows("policy", "who it is for")
    told = [re.findall(r"\(policies/([\w-]+)\.json\)", row[0])[0] for row in rows]
    assert sorted(told) == NAMES
    linked = set(re.findall(r"\(policies/([\w-]+)\.json\)", DOCUMENT.text))
    assert linked == set(NAMES)


def test_every_word_in_a_policy_is_explained() -> None:
    rows = DOCUMENT.rows("word", "output")
    told = {word for row in rows for word in names(row[0])}
    written = {word for name in NAMES for word in _WORD.findall(text(name))}
    assert told == written - _NOT_OURS
    outputs = {names(row[0])[0]: names(row[1])[0] for row in rows if names(row[1])}
    assert outputs == OUTPUTS
    assert set(outputs.values()) <= set(STACK.template["Outputs"])


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_is_valid_json_with_nothing_left_to_replace(name: str) -> None:
    policy = json.loads(filled(name, STACK))
    assert set(policy) == {"Version", "Statement"}
    assert not set(_WORD.findall(json.dumps(policy))) & {
        *OUTPUTS,
        "REGION",
        "MERCHANT_ID",
        "PROVIDER",
        "ACCOUNT_ID",
    }


def test_the_commands_make_a_policy_of_a_file(tmp_path: Path) -> None:
    (line,) = [line for line in block("sh", "put-role-policy").splitlines() if line.startswith("sed ")]
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:a1b2c3/$default"
    command = line.replace("> policy.json", f"> '{tmp_path}/policy.json'")
    subprocess.run(["sh", "-c", command], cwd=ROOT, env={"ARN": arn, "PATH": "/usr/bin:/bin"}, check=True)
    made = json.loads((tmp_path / "policy.json").read_text())
    assert made["Statement"][0]["Resource"][0] == f"{arn}/GET/merchants/m-1/connections"


def test_the_programs_take_from_the_environment_what_the_table_names() -> None:
    told = {name for row in DOCUMENT.rows("variable", "what it is") for name in names(row[0])} - {
        "https://connect.example.com"
    }
    for language in PROGRAMS:
        program = max(
            DOCUMENT.fences(language), key=lambda fence: "aws4" in fence.lower() or "SigV4" in fence
        )
        used = set(_VARIABLE.findall(program))
        assert used <= told, language
        assert "MOORING_BASE_URL" in used


def test_the_answer_has_the_fields_that_are_shown_and_told() -> None:
    shown = json.loads(block("json", "access_token"))
    connection = Connection("m-1", "acme", "a", Status.ACTIVE, 1, 3, ("read",), 9, 1, 1, True, None, {}, 1)
    api = ACME.api._replace(base="https://api.example.com/", rate_limit=RateLimit(1, 1, "app", None, None))
    answer = service_answers.access_token(AccessToken("t", connection), ACME._replace(api=api))
    assert shape(shown) == shape(answer)
    told = {name for row in DOCUMENT.rows("field", "what to do with it") for name in names(row[0])}
    assert told == (answer.keys() | {"warning"}) - {"access_token", "token_type"}


def shape(value: Any) -> Any:
    """The names in a JSON value, without what they hold."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


def test_the_parameters_of_the_reader_role_are_the_templates() -> None:
    told = {names(row[0])[0] for row in DOCUMENT.rows("parameter", "what it is")}
    assert told == {name for name in source()["Parameters"] if name.startswith("Reader")}
    assert told <= set(re.findall(r"(\w+)=", block("toml", "parameter_overrides")))


def test_a_session_for_one_merchant_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    aws: AwsServer = shared_server()
    for name, value in {
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    known: dict[str, Any] = {}
    exec(compile(block("python", "def session_for"), "docs/reading-tokens.md", "exec"), known)
    role = f"arn:aws:iam::{ACCOUNT}:role/mooring-prod-reader"
    policy = filled("one-merchant", STACK, MERCHANT_ID="MERCHANT_ID")
    session = known["session_for"]("shop:1", role, "orders-7c1e9a40", policy)
    credentials = session.get_credentials().get_frozen_credentials()
    assert credentials.token
    assert credentials.access_key.startswith("ASIA")
