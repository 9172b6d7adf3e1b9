"""`/authorize/{provider}`: verify the link, keep the flow in a cookie, send the merchant to the provider.

Makes no AWS call and imports no AWS, HTTP or validation library: this is the path that must start fast.
"""

from typing import Any

from mooring.entry.http_api import Event, respond
from mooring.entry.light_log import begin
from mooring.entry.wiring import authorize_ports, light_browser
from mooring.flows.authorize import authorize

PORTS = authorize_ports()
BROWSER = light_browser("/authorize/", metric="FlowStarted")


def handler(event: Event, context: Any) -> dict[str, Any]:
    """Answer one HTTP API event (payload format 2.0)."""
    begin(context)
    return respond(event, lambda visit, _ref: authorize(visit, PORTS), BROWSER)
