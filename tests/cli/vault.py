"""A stage with a KMS key of its own, and connections that are really sealed under it."""

import time
from typing import Any
from uuid import uuid4

from mooring.adapters import flow_transitions, transitions
from mooring.adapters.dynamodb_leases import DynamoLeases
from mooring.adapters.kms import Kms
from mooring.adapters.rows import sealed_field
from mooring.adapters.sealing import EnvelopeSealer
from mooring.core.connection import Account, NewConnection
from mooring.core.link import Link
from mooring.core.tokens import SealedTokens, TokenSet
from mooring.core.upkeep import Cause, FreshTokens, Key, Leased, Order, Refreshed, Storing
from mooring.flows.token_sets import seal_whole
from tests.cli.aws_on_sockets import FakeAws

NOW = int(time.time()) - 3_600
"""When the connections here were made."""
PROVIDER = "prov-a"


class Vault:
    """What a stage's functions would do, done by their adapters.

    Args:
        aws: the stage.
        alias: name of the stage in the alias of its key; its own by default.
    """

    def __init__(self, aws: FakeAws, alias: str | None = None) -> None:
        self.aws = aws
        self.client = aws.client("dynamodb")
        self.kms = aws.client("kms")
        self.connections, self.flows = aws.table("connections"), aws.table("flows")
        self.key = self.new_key()
        self.alias = f"alias/mooring-{alias or aws.stage}-token"
        # All simulated AWSs of a process share their keys.
        known = {found["AliasName"] for found in self.kms.list_aliases()["Aliases"]}
        change = self.kms.update_alias if self.alias in known else self.kms.create_alias
        change(AliasName=self.alias, TargetKeyId=self.key)
        self.sealer = EnvelopeSealer(Kms(self.kms, self.alias), time.time)

    def new_key(self) -> str:
        """The ARN of another KMS key."""
        return str(self.kms.create_key(KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"])

    def connect(
        self,
        merchant: str,
        account: str = "shop-1",
        *,
        refresh: bool = True,
        pending: str | None = None,
        verified: bool = True,
    ) -> Key:
        """Connect an account; its tokens are named after it."""
        key = Key(merchant, PROVIDER, account)
        keys = self.sealer.prepare(merchant, PROVIDER)
        tokens = SealedTokens(
            access=keys.seal("access", account, f"canary-access-{merchant}-{account}-1"),
            refresh=keys.seal("refresh", account, f"canary-refresh-{merchant}-{account}-1")
            if refresh
            else None,
            scopes=("read", "write"),
            expires_at=NOW + 7_200,
            refresh_expires_at=NOW + 864_000 if refresh else None,
            details={"app_key": "k-1"},
        )
        made = NewConnection(
            merchant, PROVIDER, Account(account, verified), tokens, NOW, NOW - 1, NOW + 5_400, pending
        )
        if pending is not None:
            self.client.put_item(**transitions.pending(self.connections, made))
            self.client.put_item(**flow_transitions.confirmation(self.flows, made))
            return key
        self.client.update_item(**transitions.connected(self.connections, made).parameters())
        if transitions.has_pointer(made):
            self.client.put_item(**transitions.pointer(self.connections, made))
        return key

    def keep(self, merchant: str) -> str:
        """A flow that has kept its token set; the key of its row."""
        link = self._link(merchant)
        keys = self.sealer.prepare(merchant, PROVIDER)
        tokens = TokenSet("canary-kept", None, None, None, None, None, {})
        kept = seal_whole(tokens, None, keys)
        for update in (
            flow_transitions.state_burned(self.flows, link, "hash", NOW, "by"),
            flow_transitions.flow_kept(self.flows, link, "hash", kept),
        ):
            self.client.update_item(**update.parameters())
        return f"link#{merchant}#{link.jti}"

    def burn(self, merchant: str, at: int) -> str:
        """A flow that came back at `at`; the key of its row."""
        link = self._link(merchant)
        update = flow_transitions.state_burned(self.flows, link, uuid4().hex, at, "by")
        self.client.update_item(**update.parameters())
        return f"link#{merchant}#{link.jti}"

    def lease(self, key: Key) -> Leased:
        """Begin a refresh, now."""
        leases = DynamoLeases(self.client, self.connections)
        order = Order(key, None, Cause.ASKED)
        leased = leases.lease(order, uuid4().hex, int(time.time()), rotates=True)
        assert isinstance(leased, Leased)
        return leased

    def store(self, leased: Leased) -> None:
        """End a refresh: new tokens, the refresh token before kept for a minute."""
        now, key = int(time.time()), leased.key
        keys = self.sealer.reuse(key, leased.access, leased.refresh)
        version = leased.connection.version + 1
        names = [
            f"canary-{kind}-{key.merchant_id}-{key.account_id}-{version}" for kind in ("access", "refresh")
        ]
        fresh = FreshTokens(
            access=keys.seal("access", key.account_id, names[0]),
            refresh=keys.seal("refresh", key.account_id, names[1]),
            scopes=None,
            expires_at=now + 3_600,
            refresh_expires_at=None,
            details={},
            issued_at=now,
            due_at=now + 2_700,
            previous_until=now + 60,
        )
        leases = DynamoLeases(self.client, self.connections)
        assert leases.store(Refreshed(key, leased.seen, leased.attempt_id, fresh), now) is Storing.STORED

    def row(self, key: Key) -> dict[str, Any]:
        """A connection's row."""
        return self.raw(key.merchant_id, f"{key.provider}#{key.account_id}")

    def raw(self, merchant: str, connection: str) -> dict[str, Any]:
        """Any row of the connections table."""
        where = {"merchant_id": {"S": merchant}, "connection": {"S": connection}}
        return dict(self.client.get_item(TableName=self.connections, Key=where).get("Item", {}))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        return list(self.client.scan(TableName=table)["Items"])

    def change(self, key: Key, **values: int | str) -> None:
        """Change plain attributes of a row, as if something had happened to it."""
        names = {f"#{name}": name for name in values}
        typed = {f":{n}": {"N": str(v)} if isinstance(v, int) else {"S": v} for n, v in values.items()}
        self.client.update_item(
            TableName=self.connections,
            Key={
                "merchant_id": {"S": key.merchant_id},
                "connection": {"S": f"{key.provider}#{key.account_id}"},
            },
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=typed,
        )

    def tokens(self, key: Key, *fields: str) -> list[str]:
        """The opened tokens of a row, with nothing remembered."""
        sealer, row = EnvelopeSealer(Kms(self.kms, self.alias), time.time), self.row(key)
        opened = []
        for name in fields or ("access", "refresh"):
            sealed = sealed_field(row, name)
            opened.append(sealer.open(sealed, *key, name.removeprefix("previous_")))
        return opened

    def under(self, row: dict[str, Any], merchant: str, provider: str = PROVIDER) -> dict[str, str]:
        """The KMS key of each wrapped data key of a row, as KMS itself says when it opens it."""
        return {
            name: self.key_of(
                value["B"], merchant, provider, name.removesuffix("_key").removeprefix("previous_")
            )
            for name, value in row.items()
            if name.endswith("_key") and "B" in value
        }

    def key_of(self, wrapped: bytes, merchant: str, provider: str, field: str) -> str:
        """The KMS key of one wrapped data key."""
        context = {"merchant": merchant, "provider": provider, "field": field}
        found = self.kms.decrypt(CiphertextBlob=wrapped[1:], EncryptionContext=context)
        return str(found["KeyId"])

    def _link(self, merchant: str) -> Link:
        return Link(
            token="head.body.signature",
            merchant_id=merchant,
            use="connect",
            provider=PROVIDER,
            return_to="https://app.example.com/done",
            jti=uuid4().hex,
            issued_at=NOW - 60,
            expires_at=NOW + 240,
            scopes=None,
            account_id=None,
            confirm=False,
        )
