"""Tables and figures in the documents agree with the code that they describe."""

import re
from typing import Any

import pytest

from mooring.adapters import ending_transitions, flow_transitions, transitions
from mooring.core.connection import Account, NewConnection, Status
from mooring.core.errors import ALARMS, STATUS, Outcome, Reason, TokenCallFailure
from mooring.core.link import Link
from mooring.core.tokens import SealedField, SealedTokens
from mooring.core.upkeep import Key
from mooring.entry.texts import TEXTS
from tests.docs.markdown import ROOT, document, names

LINK = Link("", "m-1", "connect", "xeno", "", "j-1", 0, 600, None, None, False)
FIELD = SealedField(b"c", b"k")
EVERYTHING = SealedTokens(FIELD, FIELD, ("read",), 3_600, 86_400, {"app_key": "x"})
NEW = NewConnection("m-1", "xeno", Account("a-1", True), EVERYTHING, 1, 1, 600)
WAITING = NEW._replace(confirmation_hash="h" * 32)


def test_every_reason_stands_once_with_its_status_and_reload() -> None:
    rows = document("docs/reasons.md").rows("reason", "HTTP", "reload")
    told = [(row[0].strip("`"), int(row[1]), row[2] == "yes") for row in rows]
    assert sorted(told) == sorted((r.value, STATUS.get(r, 400), TEXTS[r].retry) for r in Reason)


def test_every_reason_says_who_acts_and_what_to_do() -> None:
    rows = document("docs/reasons.md").rows("reason", "HTTP", "reload")
    actors = {"merchant", "product", "operator", "service", "caller", "nobody"}
    assert {row[3] for row in rows} <= actors
    assert all(len(row) == 5 and row[4].endswith(".") for row in rows)


def test_the_connections_table_is_told_attribute_by_attribute() -> None:
    connected = transitions.connected("t", NEW).parameters()
    written = _names(connected)
    told = {row[0].strip("`") for row in _section("A connection")}
    assert told == written | {"merchant_id", "connection"}


def test_what_a_connect_clears_is_told() -> None:
    bare = EVERYTHING._replace(refresh=None, expires_at=None, refresh_expires_at=None)
    cleared = _removed(transitions.connected("t", NEW._replace(tokens=bare, due_at=None)).parameters())
    assert {name for name, cell in _cleared().items() if "connect" in cell} == cleared


def test_what_an_end_clears_is_told() -> None:
    ended = ending_transitions.disconnected("t", Key("m-1", "xeno", "a-1"), 1)
    assert {name for name, cell in _cleared().items() if "ends" in cell} == _removed(ended.parameters())


def test_what_a_waiting_connection_has_besides_is_told() -> None:
    waiting = set(transitions.pending("t", WAITING)["Item"])
    connection = {row[0].strip("`") for row in _section("A connection")}
    told = {row[0].strip("`") for row in _section("A connection that waits for confirmation")}
    assert told == waiting - connection


def test_a_pointer_has_nothing_else() -> None:
    assert transitions.pointer("t", NEW)["Item"] == {
        "merchant_id": {"S": "@account#xeno#a-1"},
        "connection": {"S": "m-1"},
    }


def test_the_row_of_a_link_is_told() -> None:
    updates = [
        flow_transitions.state_burned("t", LINK, "h", 1, "b"),
        flow_transitions.flow_kept("t", LINK, "h", FIELD),
        flow_transitions.flow_failed("t", LINK, "h", "internal"),
        flow_transitions.flow_done("t", LINK, "h", NEW),
    ]
    (burned, *_) = [update.parameters() for update in updates]
    inside = set(burned["ExpressionAttributeValues"][":s_h"]["M"])
    for update in updates[1:]:
        inside |= _names(update.parameters()) - {"s_h"}
    rows = _section("A link that came back: `link#merchant_id#jti`")
    told = {row[0].strip("`") for row in rows}
    assert told == {"pk", "states", "s_{hash}", "expires_at"} | inside


def test_confirmations_and_tombstones_are_told() -> None:
    confirmation = set(flow_transitions.confirmation("t", WAITING)["Item"])
    assert {row[0].strip("`") for row in _section("A confirmation: `confirmation#hash`")} == confirmation
    stone = flow_transitions.buried("t", "xeno", "a-1", 1, 1)
    told = {row[0].strip("`") for row in _section("A tombstone: `tombstone#provider#account_id`")}
    assert told == set(stone["Item"])


def test_a_circuit_is_told() -> None:
    circuit = flow_transitions.circuit_opened("t", "xeno", Reason.PROVIDER_MISCONFIGURED, 1)
    written = set(circuit["Item"])
    for update in (
        flow_transitions.circuit_waits("t", "xeno", 1),
        flow_transitions.circuit_closed("t", "xeno", 1),
    ):
        written |= _names(update.parameters())
    assert {row[0].strip("`") for row in _section("A circuit: `circuit#provider`")} == written


def test_every_status_is_in_the_glossary() -> None:
    (row,) = [row for row in document("docs/glossary.md").rows("word") if row[0] == "**status**"]
    assert set(names(row[1])) == {status.value for status in Status}


def test_metrics_in_the_runbook_are_those_of_the_code() -> None:
    handlers = (ROOT / "functions").glob("*/handler.py")
    code = "\n".join(path.read_text(encoding="utf-8") for path in handlers)
    in_doubt = TokenCallFailure(Outcome.IN_DOUBT, Reason.PROVIDER_TIMEOUT).alarm
    entry = ROOT / "layers/mooring/mooring/entry"
    named = ("announcing", "hooks", "revoking", "sweeping", "worker")
    doors = "\n".join((entry / f"{name}.py").read_text(encoding="utf-8") for name in named)
    of_aws = {"Records", "SequenceNumber", "ApproximateReceiveCount"}
    counted = {*re.findall(r'"((?:[A-Z][a-z]+)+)"', doors)} - of_aws
    written = {*re.findall(r'metric="(\w+)"', code), *counted, *ALARMS.values(), in_doubt, "Failed"}
    assert {row[0].strip("`") for row in document("docs/runbook.md").rows("metric")} == written


def test_the_runbook_names_each_reason_beside_the_metric_that_counts_it() -> None:
    rows = document("docs/runbook.md").rows("metric", "from", "means")
    means = {row[0].strip("`"): set(names(row[2])) for row in rows}
    for metric in {*ALARMS.values()} - {"TokenLost"}:
        assert means[metric] == {reason.value for reason, counted in ALARMS.items() if counted == metric}


def test_log_groups_in_the_runbook_are_those_of_the_template() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    groups = set(re.findall(r"LogGroupName: !Sub (\S+)", template))
    told = set(re.findall(r"`(/aws/[\w/-]+)`", document("docs/runbook.md").text))
    assert told == {group.replace("${Stage}", "prod") for group in groups}


def test_parameters_in_the_quickstart_are_those_of_the_template() -> None:
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    block = template.partition("\nParameters:\n")[2].partition("\nConditions:\n")[0]
    rows = document("docs/quickstart.md").rows("parameter", "default", "what it is")
    assert {name for row in rows for name in names(row[0])} == set(
        re.findall(r"^  (\w+):$", block, re.MULTILINE)
    )


def test_the_cost_is_what_the_arithmetic_says() -> None:
    cost = document("docs/cost.md")
    figures: dict[str, Any] = {}
    for block in cost.fences("python"):
        exec(compile(block, "docs/cost.md", "exec"), figures)
    million = [float(row[1]) for row in cost.rows("a million of")]
    each = [figures[name] for name in ("connection", "abandoned", "read", "read_again")]
    assert million == pytest.approx([1_000_000 * dollars for dollars in each], abs=0.005)
    idle = [float(row[1]) for row in cost.rows("idle")]
    assert idle == [figures["idle_first_year"], figures["idle_third_year"]]


def test_dependencies_are_all_accounted_for() -> None:
    told = {
        name.lower()
        for row in document("docs/adr/0002-dependencies.md").rows("library")
        for name in names(row[0])
    }
    lines = [
        line.strip()
        for name in ("layer.in", "dev.in")
        for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    ]
    wanted = {re.split(r"[\[ =<>]", line)[0].lower() for line in lines if line and line[0] not in "#-"}
    assert told == wanted


def _section(title: str) -> list[list[str]]:
    """The rows of every table under one heading of docs/table.md."""
    text = document("docs/table.md").text.partition(f"\n### {title}\n")[2]
    body = re.split(r"^#{2,3} ", text, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in body.splitlines() if line.startswith("| `")]
    assert lines, title
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _cleared() -> dict[str, str]:
    """When each attribute of a connection is cleared; one that goes "with" another goes when that goes."""
    cells = {row[0].strip("`"): row[3] for row in _section("A connection")}
    return {
        name: cells[cell.split("`")[1]] if cell.startswith("with ") else cell for name, cell in cells.items()
    }


def _names(update: dict[str, Any]) -> set[str]:
    return set(update["ExpressionAttributeNames"].values())


def _removed(update: dict[str, Any]) -> set[str]:
    names_in_use = update["ExpressionAttributeNames"]
    clause = update["UpdateExpression"].partition("REMOVE ")[2].partition(" ADD ")[0]
    return {names_in_use[alias.strip()] for alias in clause.split(",")}
