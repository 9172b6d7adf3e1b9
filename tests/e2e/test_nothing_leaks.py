"""After everything: no secret stands anywhere it has no business to be. Runs last of all."""

import json
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.e2e.inbox import PATIENCE_SECONDS
from tests.e2e.running import FIFTH, PROVIDERS, RunningStack
from tests.e2e.service import Service
from tests.e2e.story import Merchant, check_failure
from tests.e2e.upkeep import Upkeep, hint, refresh_unstored, sweep, wait_for
from tests.e2e.visitor import Page

MIN_SECRET = 16
RUNTIMES_OWN = re.compile(r"(START|END|REPORT) RequestId: |\d\d \w{3} \d{4} [\d:,]+ \[\w+\] \(rapid\) ")
"""Beginning and end of an invocation, and what the emulator says of a process that was killed."""
_COOKIE = re.compile(r"__Host-mooring-flow\.[^=]+=(1~[^;]+)")


@pytest.fixture(scope="module")
def story(stack: RunningStack, seen: list[Page]) -> Iterator[list[Page]]:
    """Every answer so far, with one more of whatever there is to say; the queues keep what they are given."""
    for provider in (*PROVIDERS, "acme", FIFTH):
        Merchant(stack, seen).connect(provider)
    cut_off(stack, Merchant(stack, seen))
    with ExitStack() as still:
        for queue in stack.trigger("triggers", "GET")["queues"]:
            still.enter_context(stack.paused(f"queues/{queue}"))
        for provider in PROVIDERS:
            lose_an_exchange(stack, Merchant(stack, seen), provider)
        keep_up(stack, Merchant(stack, seen))
        set_aside(stack, Merchant(stack, seen))
        yield seen


def lose_an_exchange(stack: RunningStack, merchant: Merchant, provider: str) -> None:
    """A token set that only the recovery queue has; the merchant comes again."""
    back = merchant.decide(provider)
    with stack.failing("DynamoDB_20120810.TransactWriteItems"):
        page = merchant.browser.follow(back)
    check_failure(stack, page, 202, "store_delayed")
    stack.cli("token", merchant.name, provider, code=1)
    merchant.connect(provider)
    stack.cli("token", merchant.name, provider)


def keep_up(stack: RunningStack, merchant: Merchant) -> None:
    """One connection refreshed, refused, reported, in the queue, lost to the table; one uninstalled."""
    service, shops = Service(stack), ("shop-leak-1", "shop-leak-2")
    for shop in shops:
        merchant.connect(FIFTH, store=shop)
    one, other = (Upkeep.of(merchant, FIFTH, shop) for shop in shops)
    assert service.refresh(one.key).ok
    stack.simulator(FIFTH).misbehave("http_500")
    assert not service.refresh(one.key).ok
    one.pass_time(3600)
    assert service.report(one.key, service.token(one.key).json()).ok
    one.fall_due()
    assert sweep(stack)["enqueued"] >= 1
    assert refresh_unstored(one, service).json()["reason"] == "store_delayed"
    assert stack.fifth.send(stack.fifth.event(shops[1], secret="guessed")) == 401
    assert stack.fifth.send(stack.fifth.event(shops[1], at=int(time.time()) + 60)) == 200
    assert stack.fifth.send(stack.fifth.event("shop-leak-3")) == 200
    assert hint(stack, "nobody").status_code == 200
    wait_for(lambda: other.status == "uninstalled", "the event")
    assert service.disconnect(other.key).ok


def cut_off(stack: RunningStack, merchant: Merchant) -> None:
    """One connection whose tokens are revoked at its provider."""
    merchant.connect(FIFTH, store="shop-leak-4")
    one = Upkeep.of(merchant, FIFTH, "shop-leak-4")
    assert Service(stack).disconnect(one.key).ok
    wait_for(lambda: one.lines("revoke"), "the revocation", PATIENCE_SECONDS)


def set_aside(stack: RunningStack, merchant: Merchant) -> None:
    """A change that nobody understands, whole in the bucket; then a revocation that stays in its queue."""
    before = len(undelivered(stack))
    merchant.connect(FIFTH, store="shop-leak-5")
    one = Upkeep.of(merchant, FIFTH, "shop-leak-5")
    stack.aws("dynamodb").update_item(
        TableName=stack.info["tables"]["connections"],
        Key={"merchant_id": {"S": merchant.name}, "connection": {"S": f"{FIFTH}#shop-leak-5"}},
        UpdateExpression="SET announce = :word",
        ExpressionAttributeValues={":word": {"S": "of-tomorrow"}},
    )
    wait_for(lambda: len(undelivered(stack)) > before, "the change in the bucket", PATIENCE_SECONDS)
    assert Service(stack).disconnect(one.key).ok
    wait_for(lambda: "revocation" in kinds(stack), "the revocation in its queue", PATIENCE_SECONDS)


def kinds(stack: RunningStack) -> set[str]:
    """What the messages that lie in the queues are about."""
    return {json.loads(message["Body"])["kind"] for message in stack.messages()}


def undelivered(stack: RunningStack) -> dict[str, bytes]:
    """The objects in the bucket of the undelivered, by name."""
    s3, (bucket,) = stack.aws("s3"), stack.info["buckets"]
    names = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {name: s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}


def tokens(stack: RunningStack) -> set[str]:
    """Every token that a provider would accept or a service was given, and the foreign server's."""
    found = {*stack.foreign.secrets(), *stack.given_out}
    for provider in (*PROVIDERS, FIFTH):
        simulator = stack.simulator(provider)
        found |= {token["access_token"] for token in simulator.tokens()}
        found |= {token["refresh_token"] for token in (*simulator.tokens(), *simulator.refresh_tokens())}
    return {token for token in found if token}


def codes(pages: list[Page]) -> set[str]:
    """Every code that a provider sent back through a browser."""
    found = set()
    for page in pages:
        query = parse_qs(urlsplit(page.header("location")).query)
        found |= {code for code in query.get("code", []) if "/callback/" in page.header("location")}
    return {code for code in found if len(code) >= MIN_SECRET}


def flows(pages: list[Page]) -> Iterator[tuple[str, str]]:
    """State and verifier of every flow, from the cookies."""
    for page in pages:
        for line in page.all("set-cookie"):
            if match := _COOKIE.match(line):
                _, _, _, state, verifier, _ = match[1].split("~")
                yield state, verifier


def spellings(secret: str) -> list[bytes]:
    """A secret as it is, as a URL, JSON or HTML would write it, and as a message or a record writes bytes."""
    quoted = re.sub(r"[^A-Za-z0-9_.~-]", lambda match: f"%{ord(match[0]):02X}", secret)
    texts = [secret.encode(), quoted.encode(), secret.replace("&", "&amp;").encode()]
    # Whatever may follow it in the same field: of Base64, only whole groups of three bytes are the same then.
    return [*texts, b64encode(secret.encode())[: len(secret) // 3 * 4]]


def holding(places: dict[str, bytes], secrets: set[str]) -> list[str]:
    """Names of the places that hold one of the secrets."""
    wanted = {spelling for secret in secrets for spelling in spellings(secret)}
    return [name for name, content in places.items() if any(text in content for text in wanted)]


def stored(stack: RunningStack) -> dict[str, bytes]:
    """Both tables, with their binary attributes as bytes, the queues, and the bucket."""
    places = {}
    for table in ("connections", "flows"):
        for number, row in enumerate(stack.rows(table)):
            places[f"{table} {number}"] = b"\n".join(_flat(row))
    for message in stack.messages():
        places[f"message {message['MessageId']}"] = message["Body"].encode()
    return places | undelivered(stack)


def written(stack: RunningStack) -> dict[str, bytes]:
    """Every log, and what the stack printed."""
    logs = {str(path): path.read_bytes() for path in Path(stack.stack_dir, "logs").iterdir()}
    assert {Path(name).name for name in logs} >= {f"{name}.log" for name in stack.info["functions"]}
    return {**logs, "output": stack.output.read_bytes()}


def shown(stack: RunningStack, pages: list[Page]) -> dict[str, bytes]:
    """The body of every answer of ours."""
    own = [page for page in pages if page.url.startswith(stack.base_url)]
    assert len(own) > 10
    return {f"{number} {page.url[:80]}": page.body for number, page in enumerate(own)}


def _flat(value: object) -> Iterator[bytes]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key).encode()
            yield from _flat(inner)
    elif isinstance(value, list | set | tuple):
        for inner in value:
            yield from _flat(inner)
    elif isinstance(value, bytes):
        yield value
    else:
        yield str(getattr(value, "value", value)).encode()


def test_no_token_code_secret_or_verifier_is_stored(stack: RunningStack, story: list[Page]) -> None:
    states = {state for state, _ in flows(story)}
    verifiers = {verifier for _, verifier in flows(story)}
    assert len(states) == len(verifiers) >= 10
    secrets = tokens(stack) | codes(story) | stack.canaries | verifiers | states
    assert len(secrets) > 40
    places = stored(stack)
    assert len(places) > 10
    wanted = {"connected", "refreshed", "refresh", "hint", "revocation"}
    assert kinds(stack) >= wanted, "a message of each kind is among them"
    assert holding(places, secrets) == []


def test_no_token_code_secret_verifier_or_state_is_written_to_a_log(
    stack: RunningStack, story: list[Page]
) -> None:
    both = {text for flow in flows(story) for text in flow}
    secrets = tokens(stack) | codes(story) | stack.canaries | both
    assert holding(written(stack), secrets) == []


def test_every_invocation_wrote_json_lines_with_an_outcome(stack: RunningStack, story: list[Page]) -> None:
    """What is not an outcome is a metric or a line of the runtime itself."""
    for function in stack.info["functions"]:
        text = Path(stack.stack_dir, "logs", f"{function}.log").read_text()
        own = [line for line in text.splitlines() if line and not RUNTIMES_OWN.match(line)]
        lines = [json.loads(line) for line in own]
        said = [line for line in lines if "outcome" in line]
        assert said, function
        for line in said:
            assert {"outcome", "level", "service", "ref"} <= line.keys(), line
            assert (line["outcome"] == "failed") is (line["level"] == "WARNING"), line
            assert line["outcome"] != "failed" or line["reason"] != "internal", line
        assert all("outcome" in line or "_aws" in line for line in lines)
        assert {line["service"] for line in lines} == {function}


def test_no_token_code_secret_or_verifier_is_on_a_page(stack: RunningStack, story: list[Page]) -> None:
    verifiers = {verifier for _, verifier in flows(story)}
    secrets = tokens(stack) | codes(story) | stack.canaries | verifiers
    assert holding(shown(stack, story), secrets) == []


def test_no_url_that_we_send_a_browser_to_has_a_secret(stack: RunningStack, story: list[Page]) -> None:
    own = [page for page in story if page.url.startswith(stack.base_url) and page.header("location")]
    places = {str(number): unquote(page.header("location")).encode() for number, page in enumerate(own)}
    verifiers = {verifier for _, verifier in flows(story)}
    secrets = tokens(stack) | codes(story) | stack.canaries | verifiers
    assert holding(places, secrets) == []
    states = {state for state, _ in flows(story)}
    to_product = {
        name: text for name, text in places.items() if own[int(name)].status == 303 and b"status=" in text
    }
    assert len(to_product) > 5
    assert holding(to_product, states) == []


def test_the_link_key_stays_in_its_file(stack: RunningStack, story: list[Page]) -> None:
    lines = stack.link_key_path.read_text().splitlines()
    private = {line for line in lines if len(line) >= MIN_SECRET and "-----" not in line}
    assert private
    assert stack.link_key_path.stat().st_mode & 0o077 == 0
    assert holding(stored(stack) | written(stack) | shown(stack, story), private) == []
    staged = Path(stack.stack_dir, "build")
    files = {str(path): path.read_bytes() for path in staged.rglob("*.json") if "mooring" in path.parts}
    assert any(name.endswith("settings.json") for name in files)
    assert holding(files, private | stack.canaries) == []


def test_the_search_finds_what_is_there(stack: RunningStack, story: list[Page]) -> None:
    """The searches above would find a secret: this one looks for what must be there."""
    names = {
        row["merchant_id"]["S"] for row in stack.rows("connections") if row["merchant_id"]["S"][:2] == "m-"
    }
    assert len(holding(stored(stack), names)) >= 10
    assert undelivered(stack).keys() & set(holding(stored(stack), {"shop-leak-5"}))
    assert "callback.log" in {Path(name).name for name in holding(written(stack), names)}
    assert holding({"a": b"x?code=a%2Bb"}, {"a+b"}) == ["a"]
    assert holding({"a": b64encode(b"a+b and more")}, {"a+b"}) == ["a"]
