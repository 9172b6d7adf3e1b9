"""`mooring token`: the token on one line, and nothing else."""

import json

import pytest

from tests.cli.conftest import Command
from tests.cli.stack_on_sockets import TOKEN, FakeStack, connection, problem

ANSWER: dict[str, object] = {
    "access_token": TOKEN,
    "token_type": "bearer",
    "scopes": [],
    "expires_at": None,
    "generation": 1,
    "version": 1,
}
ROUTE = "/merchants/m-1/connections/acme/{}/token"


def test_named_account(mooring: Command, stack: FakeStack) -> None:
    stack.answers[ROUTE.format("shop:7")] = (200, ANSWER)
    assert mooring("token", "m-1", "acme", "shop:7") == (0, f"{TOKEN}\n", "")
    assert stack.asked == [ROUTE.format("shop:7")]


def test_only_account(mooring: Command, stack: FakeStack) -> None:
    stack.lists("m-1", connection("other", "x"), connection("acme", "shop-7"))
    stack.answers[ROUTE.format("shop-7")] = (200, ANSWER)
    assert mooring("token", "m-1", "acme") == (0, f"{TOKEN}\n", "")


def test_json(mooring: Command, stack: FakeStack) -> None:
    stack.answers[ROUTE.format("shop-7")] = (200, ANSWER)
    assert json.loads(mooring("token", "m-1", "acme", "shop-7", "--json").out) == ANSWER


def test_several_accounts_are_listed(mooring: Command, stack: FakeStack) -> None:
    stack.lists("m-1", connection("acme", "shop-7"), connection("acme", "shop-8"))
    answer = mooring("token", "m-1", "acme")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "m-1 has several connections to acme: shop-7, shop-8. Name one: mooring token m-1 acme shop-7\n"
    )


def test_no_connection(mooring: Command, stack: FakeStack) -> None:
    stack.lists("m-1", connection("other", "x"))
    answer = mooring("token", "m-1", "acme")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == (
        "m-1 has no connection to acme. "
        "The merchant has to connect it: mooring link --provider acme --merchant m-1 --return-to URL\n"
    )


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (
            problem(404, "connection_not_found", "No such connection", "Nothing is stored under it."),
            "No such connection: Nothing is stored under it. See what is there: mooring connections m-1",
        ),
        (
            problem(409, "token_expired", "The token has expired", ""),
            "connect it again: mooring link --provider acme --merchant m-1 --return-to URL",
        ),
        (
            problem(503, "storage_unavailable", "No storage", ""),
            "No storage. Try again in a few seconds. If it persists, the stack's terminal says more.",
        ),
        (
            (500, {"message": "Internal Server Error"}),
            "answered with HTTP 500. The stack's terminal says more.",
        ),
        ((200, b"<html>"), "The local stack answered with HTTP 200. The stack's terminal says more."),
        ((200, {"token_type": "bearer"}), "answered without a token. The stack's terminal says more."),
    ],
)
def test_failure_says_what_to_do(
    reply: tuple[int, object], text: str, mooring: Command, stack: FakeStack
) -> None:
    stack.answers[ROUTE.format("shop-7")] = reply
    answer = mooring("token", "m-1", "acme", "shop-7")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.strip().endswith(text)


def test_other_credentials_are_refused(mooring: Command, stack: FakeStack) -> None:
    stack.answers[ROUTE.format("shop-7")] = (200, ANSWER)
    stack.write(credentials={"access_key_id": "local-key-id", "secret_access_key": "another"})
    answer = mooring("token", "m-1", "acme", "shop-7")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("The local stack refused the signature.")
    assert "another" not in answer.err


@pytest.mark.parametrize(
    "arguments", [("m 1", "acme"), ("m-1", "Acme"), ("m-1", "acme", "a/b"), ("..", "ac/me")]
)
def test_names_are_checked_first(arguments: tuple[str, ...], mooring: Command, stack: FakeStack) -> None:
    assert mooring("token", *arguments).code == 2
    assert stack.asked == []


@pytest.mark.parametrize("command", ["token", "refresh"])
def test_a_provider_that_is_not_enabled(command: str, mooring: Command, stack: FakeStack) -> None:
    stack.enables("yotpo", "xeno")
    answer = mooring(command, "m-1", "yopto")
    assert (answer.code, answer.out, stack.asked) == (2, "", [])
    assert answer.err.startswith(
        "yopto is not enabled in the running stack. Enabled: xeno, yotpo. To enable it"
    )


def test_an_enabled_provider(mooring: Command, stack: FakeStack) -> None:
    stack.enables("acme")
    stack.answers[ROUTE.format("shop-7")] = (200, ANSWER)
    assert mooring("token", "m-1", "acme", "shop-7").code == 0
