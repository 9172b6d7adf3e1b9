"""The first peer: OAuth by hand with Authlib's `OAuth2Session`, DynamoDB and KMS, one Lambda a route.

What a competent engineer writes in an afternoon: correct where all goes well, PKCE and single-use states
included. It knows neither leases, circuits, uninstalls nor lost answers; docs/performance.md says so.
"""

import json
import os
import secrets
import time
from functools import cache
from typing import Any

import boto3
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]

TABLE = os.environ["TOKENS_TABLE"]
STATES = os.environ["STATES_TABLE"]
AUTHORIZE_URL = os.environ["AUTHORIZE_URL"]
TOKEN_URL = os.environ["TOKEN_URL"]
RETURN_TO = os.environ["RETURN_TO"]
dynamodb = boto3.client("dynamodb")


@cache
def kms() -> Any:
    """Made when first needed: `authorize` encrypts nothing."""
    return boto3.client("kms")


@cache
def client_secret() -> str:
    """Asked for once per process."""
    found = boto3.client("ssm").get_parameter(Name=os.environ["SECRET_NAME"], WithDecryption=True)
    return str(found["Parameter"]["Value"])


def session(secret: str | None = None) -> Any:
    """One session a request, as Authlib's documents make it: it holds that request's state and token."""
    return OAuth2Session(
        os.environ["CLIENT_ID"],
        secret,
        scope="read_leads",
        redirect_uri=os.environ["REDIRECT_URI"],
        code_challenge_method="S256",
        default_timeout=10,
    )


def authorize(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """GET /authorize?merchant=…: remember the state, send the browser to the provider."""
    verifier = secrets.token_urlsafe(48)
    url, state = session().create_authorization_url(AUTHORIZE_URL, code_verifier=verifier)
    dynamodb.put_item(
        TableName=STATES,
        Item={
            "state": {"S": state},
            "merchant": {"S": event["queryStringParameters"]["merchant"]},
            "verifier": {"S": verifier},
            "expires": {"N": str(int(time.time()) + 600)},
        },
    )
    cookie = f"state={state}; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"
    return {"statusCode": 302, "headers": {"location": url}, "cookies": [cookie], "body": ""}


def callback(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """GET /callback?code=…&state=…: use the state up, fetch the token, store it encrypted."""
    query = event["queryStringParameters"]
    if f"state={query['state']}" not in event.get("cookies", []):
        return {"statusCode": 400, "body": "This is not the browser that started."}
    gone = dynamodb.delete_item(
        TableName=STATES, Key={"state": {"S": query["state"]}}, ReturnValues="ALL_OLD"
    ).get("Attributes")
    if not gone or int(gone["expires"]["N"]) < time.time():
        return {"statusCode": 400, "body": "Please start again."}
    token = session(client_secret()).fetch_token(
        TOKEN_URL, code=query["code"], code_verifier=gone["verifier"]["S"]
    )
    store(gone["merchant"]["S"], token)
    return {"statusCode": 303, "headers": {"location": RETURN_TO}, "body": ""}


def refresh(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Refresh one merchant's token."""
    token = load(event["merchant"])
    fresh = session(client_secret()).refresh_token(TOKEN_URL, refresh_token=token["refresh_token"])
    store(event["merchant"], fresh)
    return {"statusCode": 200}


def read(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """GET /token?merchant=…, behind IAM."""
    token = load(event["queryStringParameters"]["merchant"])
    body = {"access_token": token["access_token"], "expires_at": token["expires_at"]}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def store(merchant: str, token: dict[str, Any]) -> None:
    """One KMS call, one write."""
    sealed = kms().encrypt(
        KeyId=os.environ["KEY_ID"],
        Plaintext=json.dumps(token).encode(),
        EncryptionContext={"merchant": merchant},
    )["CiphertextBlob"]
    item = {"merchant": {"S": merchant}, "token": {"B": sealed}, "expires": {"N": str(token["expires_at"])}}
    dynamodb.put_item(TableName=TABLE, Item=item)


def load(merchant: str) -> dict[str, Any]:
    """One read, one KMS call."""
    item = dynamodb.get_item(TableName=TABLE, Key={"merchant": {"S": merchant}}, ConsistentRead=True)["Item"]
    opened = kms().decrypt(CiphertextBlob=item["token"]["B"], EncryptionContext={"merchant": merchant})
    token: dict[str, Any] = json.loads(opened["Plaintext"])
    return token
