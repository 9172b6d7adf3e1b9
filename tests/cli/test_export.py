"""`mooring export`: whole, readable but for the tokens, and those for the receiver alone."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey

from mooring.core.errors import Failure, Reason
from mooring.core.upkeep import Key
from mooring_cli import exporting
from mooring_cli.arguments import parser
from mooring_cli.envelope import receiver_from
from mooring_cli.errors import CommandError
from mooring_cli.stage import find_stage
from tests.cli.aws_on_sockets import FakeAws
from tests.cli.conftest import Answer, Command
from tests.cli.receivers import RECIPES, key_pair
from tests.cli.stack_on_sockets import REGION
from tests.cli.vault import NOW, PROVIDER, Vault
from tests.fakes.sealer import FakeSealer

KINDS: dict[str, Any] = {"ec": ECKey, "x25519": OKPKey, "rsa": RSAKey}
ALGORITHMS = {"ec": "ECDH-ES+A256KW", "x25519": "ECDH-ES+A256KW", "rsa": "RSA-OAEP-256"}


@pytest.fixture
def vault(deployed: FakeAws) -> Vault:
    return Vault(deployed)


def export(mooring: Command, vault: Vault, public: Path, *more: str, file: str = "out.ndjson") -> Answer:
    return mooring("export", file, "--to", str(public), "--stage", vault.aws.stage, "--region", REGION, *more)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("kind", RECIPES)
def test_any_jose_library_opens_it_with_the_private_key(
    kind: str, mooring: Command, vault: Vault, tmp_path: Path
) -> None:
    vault.connect("m-1")
    pair = key_pair(tmp_path, kind)
    answer = export(mooring, vault, pair.public)
    assert answer == (
        0,
        f"Exported 1 connection of stage {vault.aws.stage} to out.ndjson.\n",
        "",
    )
    head, found, end = lines(tmp_path / "out.ndjson")
    key = KINDS[kind].import_key(pair.private.read_bytes())
    assert head.pop("exported_at") > NOW
    assert head == {
        "format": "mooring-export",
        "version": 1,
        "stage": vault.aws.stage,
        "region": REGION,
        "alg": ALGORITHMS[kind],
        "enc": "A256GCM",
        "kid": key.thumbprint(),
    }
    assert end == {"format": "mooring-export-end", "connections": 1, "without_tokens": 0}
    opened = jwe.decrypt_compact(found.pop("tokens"), key, algorithms=[ALGORITHMS[kind], "A256GCM"])
    assert opened.headers()["kid"] == head["kid"]
    assert json.loads(opened.plaintext or b"") == {
        "merchant_id": "m-1",
        "provider": PROVIDER,
        "account_id": "shop-1",
        "generation": 1,
        "version": 1,
        "access_token": "canary-access-m-1-shop-1-1",
        "refresh_token": "canary-refresh-m-1-shop-1-1",
    }
    assert found == {
        "merchant_id": "m-1",
        "provider": PROVIDER,
        "account_id": "shop-1",
        "status": "active",
        "generation": 1,
        "version": 1,
        "scopes": ["read", "write"],
        "expires_at": NOW + 7_200,
        "refresh_expires_at": NOW + 864_000,
        "issued_at": NOW,
        "expiring_at": None,
        "connected_at": NOW,
        "updated_at": NOW,
        "account_verified": True,
        "details": {"app_key": "k-1"},
        "last_error": None,
        "uninstalled_at": None,
        "due_at": NOW + 5_400,
        "in_doubt": False,
    }


def test_no_token_is_anywhere_but_sealed(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    for number in range(3):
        vault.connect(f"m-{number}", refresh=number != 1)
    answer = export(mooring, vault, key_pair(tmp_path).public)
    path = tmp_path / "out.ndjson"
    assert "canary" not in path.read_text() + answer.out + answer.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(lines(path)) == 5
    assert sorted(entry.name for entry in tmp_path.iterdir() if "ndjson" in entry.name) == ["out.ndjson"]


def test_what_has_ended_is_told_without_tokens_and_what_waits_is_counted(
    mooring: Command, vault: Vault, tmp_path: Path
) -> None:
    vault.connect("m-1")
    doubtful = vault.connect("m-2")
    vault.lease(doubtful)
    vault.connect("m-3", pending="c-1")
    ended = Key("m-4", PROVIDER, "shop-1")
    vault.aws.put("m-4", f"{PROVIDER}#shop-1", "disconnected")
    for name in ("access", "access_key", "refresh", "refresh_key"):
        where = {"merchant_id": {"S": "m-4"}, "connection": {"S": f"{PROVIDER}#shop-1"}}
        vault.client.update_item(TableName=vault.connections, Key=where, UpdateExpression=f"REMOVE {name}")
    answer = export(mooring, vault, key_pair(tmp_path).public)
    assert answer.code == 0
    assert answer.err == (
        "1 connection in doubt: the last refresh was sent and not heard of.\n"
        "1 set of tokens that wait for confirmation are not among them.\n"
    )
    found = {each["merchant_id"]: each for each in lines(tmp_path / "out.ndjson")[1:-1]}
    assert (found["m-4"]["status"], found["m-4"]["tokens"]) == ("disconnected", None)
    assert {name: each["in_doubt"] for name, each in found.items()} == {
        "m-1": False,
        "m-2": True,
        "m-4": False,
    }
    assert "access" not in vault.row(ended)


def test_tokens_that_do_not_open_are_named(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    vault.connect("m-1")
    vault.aws.put("m-2", f"{PROVIDER}#shop-1")
    answer = export(mooring, vault, key_pair(tmp_path).public, "--json")
    assert answer.code == 1
    assert answer.err == f"Without its tokens, which do not open here: m-2 {PROVIDER} shop-1\n"
    told = json.loads(answer.out)
    assert (told["connections"], told["without_tokens"]) == (2, [f"m-2 {PROVIDER} shop-1"])
    *_, end = lines(tmp_path / "out.ndjson")
    assert (end["connections"], end["without_tokens"]) == (2, 1)


def test_what_changed_meanwhile_is_told(
    vault: Vault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = vault.connect("m-1")
    vault.connect("m-2")
    leased = vault.lease(key)
    given = ["export", "x", "--to", "y", "--stage", vault.aws.stage, "--region", REGION]
    stage = find_stage(parser().parse_args(given), tmp_path)
    with (tmp_path / "x").open("w") as file:
        done = exporting._write(stage, receiver_from(key_pair(tmp_path).public), file)
    assert exporting._moved(stage, done) == 0
    vault.store(leased)
    vault.connect("m-3")
    assert exporting._moved(stage, done) == 2
    exporting._remark(done, 2)
    assert "2 connections changed meanwhile, so the file may hold refresh tokens" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["ended", "lost", "erased", "leased"])
def test_whatever_makes_a_line_untrue_is_told(change: str, vault: Vault, tmp_path: Path) -> None:
    key = vault.connect("m-1")
    vault.connect("m-2")
    given = ["export", "x", "--to", "y", "--stage", vault.aws.stage, "--region", REGION]
    stage = find_stage(parser().parse_args(given), tmp_path)
    with (tmp_path / "x").open("w") as file:
        done = exporting._write(stage, receiver_from(key_pair(tmp_path).public), file)
    assert exporting._moved(stage, done) == 0
    if change == "leased":
        vault.lease(key)  # its answer may spend the refresh token after the last look
    elif change == "erased":
        where = {"merchant_id": {"S": key.merchant_id}, "connection": {"S": f"{PROVIDER}#shop-1"}}
        vault.client.delete_item(TableName=vault.connections, Key=where)
    else:
        vault.change(key, status={"ended": "disconnected", "lost": "needs_reconnect"}[change])
    assert exporting._moved(stage, done) == 1


def test_a_file_that_is_there_is_not_touched(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "out.ndjson").write_text("precious")
    answer = export(mooring, vault, key_pair(tmp_path).public)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("out.ndjson is there already.")
    assert (tmp_path / "out.ndjson").read_text() == "precious"


def test_a_file_that_cannot_be_written(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    answer = export(mooring, vault, key_pair(tmp_path).public, file="nowhere/out.ndjson")
    assert answer == (1, "", "nowhere/out.ndjson cannot be written\n")


def test_when_it_fails_no_file_is_left(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    vault.connect("m-1")
    vault.aws.put("m-2", f"{PROVIDER}#shop-1", version="text")
    answer = export(mooring, vault, key_pair(tmp_path).public)
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("A row of the table cannot be understood (a stored row has no usable")
    assert [path.name for path in tmp_path.iterdir() if "ndjson" in path.name] == []


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason.KEY_DENIED, "KMS does not let you open tokens (code). Nothing was written."),
        (Reason.SEALING_UNAVAILABLE, "KMS cannot be asked (code). Nothing was written. Run it again"),
    ],
)
def test_kms_says_no(reason: Reason, text: str, vault: Vault, tmp_path: Path) -> None:
    key, sealer = vault.connect("m-1"), FakeSealer()
    sealer.broken["open"] = Failure(reason, "code")
    exporter = exporting._Exporter(sealer, receiver_from(key_pair(tmp_path).public))
    with pytest.raises(CommandError) as caught:
        exporter.line(vault.row(key))
    assert str(caught.value).startswith(text)


def test_keys_that_are_no_use(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    pair = key_pair(tmp_path)
    small = key_pair(tmp_path, "small", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
    signing = key_pair(tmp_path, "signing", "-algorithm", "ED25519")
    (tmp_path / "oct.json").write_text('{"kty": "oct", "k": "AAAA"}')
    (tmp_path / "broken.json").write_text('{"kty": ')
    (tmp_path / "text").write_text("hello")
    files = [small.public, signing.public, *(tmp_path / n for n in ("oct.json", "broken.json", "text"))]
    for path in files:
        answer = export(mooring, vault, path)
        assert (answer.code, answer.out) == (2, ""), path
        assert "is no key that can be used: an unencrypted PEM or JWK" in answer.err
    private = export(mooring, vault, pair.private)
    assert private.code == 2
    assert "is a private key, which belongs to the receiver alone" in private.err
    assert export(mooring, vault, tmp_path / "none").err.endswith("cannot be read\n")


def test_a_jwk_will_do(mooring: Command, vault: Vault, tmp_path: Path) -> None:
    key = ECKey.generate_key("P-384")
    (tmp_path / "key.jwk").write_text(json.dumps(key.as_dict(private=False)))
    vault.connect("m-1")
    assert export(mooring, vault, tmp_path / "key.jwk").code == 0
    found = lines(tmp_path / "out.ndjson")[1]
    assert jwe.decrypt_compact(found["tokens"], key, algorithms=["ECDH-ES+A256KW", "A256GCM"]).plaintext


def test_the_local_stack(mooring: Command, local: FakeAws, tmp_path: Path) -> None:
    Vault(local, "local").connect("m-1")
    answer = mooring("export", "out.ndjson", "--to", str(key_pair(tmp_path).public))
    assert answer == (0, "Exported 1 connection of stage local to out.ndjson.\n", "")
