"""The flow in its cookie: written, read back, crowded out, never mistaken for something else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.core.errors import Failure, Reason
from mooring.core.flow import (
    Cookies,
    Flow,
    clear_cookie,
    code_challenge,
    cookie_name,
    decode_flow,
    encode_flow,
    same_text,
    set_cookie,
    state_hash,
)
from mooring.core.names import is_name
from tests.core.signing import NOW

OPEN = Flow("acme", "state-1", "verifier-1", NOW, "h.b.s")
DONE = Flow("acme", "state-1", "", NOW, "h.b.s", account="shop-9")
PENDING = DONE._replace(pending=True)


@pytest.mark.parametrize("flow", [OPEN, DONE, PENDING], ids=["open", "done", "pending"])
def test_a_flow_comes_back_as_it_went(flow: Flow) -> None:
    assert decode_flow(encode_flow(flow)) == flow


TEXT = st.text("ABCxyz019._-", min_size=1, max_size=43)
NAME = TEXT.filter(is_name)


@given(TEXT, TEXT, NAME, st.integers(0, 10**12 - 1), TEXT, st.booleans(), st.booleans())
def test_any_flow_comes_back_as_it_went(
    provider: str, state: str, fourth: str, started: int, link: str, done: bool, pending: bool
) -> None:
    flow = (
        Flow(provider, state, "", started, link, fourth, pending)
        if done
        else Flow(provider, state, fourth, started, link)
    )
    assert decode_flow(encode_flow(flow)) == flow


def test_a_finished_flow_keeps_no_verifier() -> None:
    assert "verifier-1" not in encode_flow(OPEN._replace(account="shop-9"))


@pytest.mark.parametrize(
    "value",
    ["", "~", "1~1~acme~s~v", "1~1~acme~s~v~l~x", "2~1~acme~s~v~l", "~1~acme~s~v~l", "1~x~acme~s~v~l",
    "1~-1~acme~s~v~l",
     "1~1.5~acme~s~v~l", "1~~acme~s~v~l", "1~9999999999999~acme~s~v~l", "1~1~acme~~v~l", "1~1~acme~s~~l",
     "d1~1~acme~s~~l",
     "d1~1~acme~s~?~l", "d1~1~acme~s~a b~l", "d1~1~acme~s~??a~l", "d1~1~acme~s~a&status=x~l",
     "d1~1~acme~s~.~l", "d1~1~acme~s~..~l",
     "D1~1~acme~s~a~l"],
)  # fmt: skip
def test_what_is_no_flow_of_ours(value: str) -> None:
    assert decode_flow(value) is None


@given(st.text(max_size=80))
def test_any_cookie_value_is_a_flow_or_nothing(value: str) -> None:
    flow = decode_flow(value)
    assert flow is None or value.count("~") == 5


def test_the_name_tells_the_state_only_by_its_hash_and_a_stateless_flow_by_its_provider() -> None:
    assert re.fullmatch(r"__Host-mooring-flow\.[0-9a-f]{16}", cookie_name("acme", "state-1"))
    assert cookie_name("acme", "state-1") != cookie_name("acme", "state-2")
    assert cookie_name("acme", None) == "__Host-mooring-flow.acme"


def test_the_stored_hash_of_a_state_is_128_bits_of_sha256() -> None:
    assert state_hash("abc") == "ba7816bf8f01cfea414140de5dae2223"


def test_the_challenge_of_rfc_7636_appendix_b() -> None:
    assert code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == (
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_cookie_attributes() -> None:
    assert (
        set_cookie("__Host-x", "v", 600) == "__Host-x=v; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"
    )
    assert clear_cookie("__Host-x") == "__Host-x=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"


def test_two_cookies_of_one_name_are_refused_and_cleared() -> None:
    name = cookie_name("acme", "state-1")
    cookies = Cookies([f"{name}={encode_flow(OPEN)}", f"{name}={encode_flow(OPEN)}"])
    with pytest.raises(Failure) as refused:
        cookies.flow(name)
    assert (refused.value.reason, refused.value.clear_cookies) == (Reason.COOKIE_REPEATED, (name,))


def test_cookies_of_others_are_not_looked_at() -> None:
    name = cookie_name("acme", "state-1")
    cookies = Cookies(["session=1", "", "=", f" {name}={encode_flow(OPEN)} ", "mooring-flow.acme=1"])
    assert cookies.flow(name) == OPEN
    assert cookies.flow(cookie_name("acme", "state-2")) is None


def crowd(ages: list[int], link: str = "h.b.s") -> tuple[list[str], Cookies]:
    flows = [OPEN._replace(state=f"s{n}", started_at=NOW - age, link=link) for n, age in enumerate(ages)]
    names = [cookie_name("acme", flow.state) for flow in flows]
    return names, Cookies([f"{name}={encode_flow(flow)}" for name, flow in zip(names, flows, strict=True)])


def test_three_others_may_stay() -> None:
    _, cookies = crowd([3, 2, 1])
    assert cookies.crowded_out("__Host-mooring-flow.new", "v") == []


def test_the_oldest_go_until_four_are_left() -> None:
    names, cookies = crowd([5, 50, 10, 40, 20])
    assert cookies.crowded_out("__Host-mooring-flow.new", "v") == [names[1], names[3]]


def test_what_cannot_be_read_goes_first() -> None:
    names, _ = crowd([1, 2, 3])
    readable = [f"{name}={encode_flow(OPEN)}" for name in names]
    cookies = Cookies([*readable, "__Host-mooring-flow.junk=x"])
    assert cookies.crowded_out("__Host-mooring-flow.new", "v") == ["__Host-mooring-flow.junk"]


def test_six_kilobytes_together_are_the_most() -> None:
    names, cookies = crowd([3, 2, 1], link="x" * 1_800)
    assert cookies.crowded_out("__Host-mooring-flow.new", "v" * 1_800) == [names[0]]
    assert cookies.crowded_out("__Host-mooring-flow.new", "v" * 5_900) == names


def test_a_flow_that_starts_again_under_its_name_crowds_nobody_out() -> None:
    names, cookies = crowd([4, 3, 2, 1])
    assert cookies.crowded_out(names[0], "v") == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("a", "a", True), ("a", "b", False), ("a", "ab", False), ("", "", False), ("é", "é", True)],
)
def test_same_text(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) is same
