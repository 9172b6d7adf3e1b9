"""The table of refusals with HTTP 200 in the documentation: each line, tried."""

import json

import pytest
import yaml

from mooring.core.errors import Outcome, TokenCallFailure
from mooring.core.ports import HttpResponse
from mooring.providers.answers import read_token_set
from mooring.providers.compiled import provider
from tests.docs.markdown import document, names
from tests.providers.samples import Settings

ROWS = document("docs/adding-a-provider.md").rows("a refusal", "a success")


def test_there_are_some() -> None:
    assert len(ROWS) == 4


@pytest.mark.parametrize(("refusal", "success", "what_to_write"), ROWS)
def test_what_to_write_tells_one_from_the_other(
    refusal: str, success: str, what_to_write: str, settings: Settings
) -> None:
    response: dict[str, object] = {}
    for part in names(what_to_write):
        # As plain dictionaries: libraries that other tests load make PyYAML read ordered ones.
        response |= json.loads(json.dumps(yaml.safe_load(part)))
    settings.write_descriptor({"response": response})
    project = settings.load()
    acme = provider(project.descriptors["acme"], project.config.providers["acme"])
    (refused,), (granted,) = names(refusal), names(success)
    assert json.loads(refused)
    with pytest.raises(TokenCallFailure) as failed:
        read_token_set(HttpResponse(200, {}, refused.encode()), acme, 1_800_000_000)
    assert failed.value.outcome is Outcome.GRANT_LOST
    tokens = read_token_set(HttpResponse(200, {}, granted.encode()), acme, 1_800_000_000)
    assert tokens.access_token == "t"
