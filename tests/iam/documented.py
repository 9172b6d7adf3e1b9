"""The policies of docs/policies, with the words in capitals replaced as docs/reading-tokens.md says."""

import json

from tests.support import ROOT
from tests.template.policy import Statement
from tests.template.translated import REGION, Stack

FOLDER = ROOT / "docs/policies"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
MERCHANT, PROVIDER, ACCOUNT = "m-1", "xeno", "a-1"
OUTPUTS = {
    "API_ARN": "ApiArn",
    "TABLE_ARN": "ConnectionsTableArn",
    "TOKEN_KEY_ARN": "TokenKeyArn",
    "DATA_KEY_ARN": "DataKeyArn",
}
"""Which output of the stack stands for which word."""


def text(name: str) -> str:
    """A policy as it stands in the repository."""
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def filled(name: str, stack: Stack, **words: str) -> str:
    """A policy for a stack; `words` replace the usual merchant, provider and account."""
    outputs = stack.template["Outputs"]
    values = {word: str(stack.resolve(outputs[output]["Value"])) for word, output in OUTPUTS.items()}
    named = {"MERCHANT_ID": MERCHANT, "PROVIDER": PROVIDER, "ACCOUNT_ID": ACCOUNT, "REGION": REGION, **words}
    policy = text(name)
    for word, value in (values | named).items():
        policy = policy.replace(word, value)
    return policy


def statements(name: str, stack: Stack, **words: str) -> list[Statement]:
    """The statements of a policy for a stack."""
    found: list[Statement] = json.loads(filled(name, stack, **words))["Statement"]
    return found
