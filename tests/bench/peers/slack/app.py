"""The second peer: Slack Bolt's own flow for Lambda, states and installations in S3, as in its own example.

`install` answers both the start and the callback, as Bolt does it. Bolt rotates tokens inside an app's event
handling; `refresh` and `read` are that part alone: the installation store and the token rotator of its SDK.
"""

import json
import os
from typing import Any

from slack_bolt import App  # type: ignore[import-not-found]
from slack_bolt.adapter.aws_lambda import SlackRequestHandler  # type: ignore[import-not-found]
from slack_bolt.adapter.aws_lambda.lambda_s3_oauth_flow import (  # type: ignore[import-not-found]
    LambdaS3OAuthFlow,
)
from slack_bolt.oauth.oauth_settings import OAuthSettings  # type: ignore[import-not-found]
from slack_sdk import WebClient  # type: ignore[import-not-found]
from slack_sdk.oauth.token_rotation import TokenRotator  # type: ignore[import-not-found]

YEAR_MINUTES = 525_600
CLIENT = WebClient(base_url=os.environ["SLACK_API"])
FLOW = LambdaS3OAuthFlow(
    client=CLIENT,
    settings=OAuthSettings(
        redirect_uri=os.environ["REDIRECT_URI"],
        authorization_url=os.environ["AUTHORIZE_URL"],
        # A page with a button is the default; to be compared, it has to redirect as the others do.
        install_page_rendering_enabled=False,
    ),
)
APP = App(process_before_response=True, oauth_flow=FLOW, signing_secret="unused-here")
HANDLER = SlackRequestHandler(app=APP)
STORE = FLOW.settings.installation_store
ROTATOR = TokenRotator(
    client_id=FLOW.settings.client_id, client_secret=FLOW.settings.client_secret, client=CLIENT
)


def install(event: dict[str, Any], context: Any) -> Any:
    """GET /slack/install, and GET /slack/oauth_redirect?code=…&state=…."""
    return HANDLER.handle(event, context)


def refresh(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Rotate one workspace's token, due or not."""
    installation = STORE.find_installation(enterprise_id=None, team_id=event["team"])
    rotated = ROTATOR.perform_token_rotation(
        installation=installation, minutes_before_expiration=YEAR_MINUTES
    )
    if rotated is None:
        return {"statusCode": 500}
    STORE.save(rotated)
    return {"statusCode": 200}


def read(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Hand out one workspace's token."""
    bot = STORE.find_bot(enterprise_id=None, team_id=event["queryStringParameters"]["team"])
    body = {"access_token": bot.bot_token, "expires_at": bot.bot_token_expires_at}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
