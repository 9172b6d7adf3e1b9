"""The one-time code with which a product confirms a connection that its merchant did not start at home."""

from base64 import urlsafe_b64encode
from hashlib import sha256

from mooring.core.flow import Flow


def confirmation_code(flow: Flow) -> str:
    """The code of a flow: known only to whoever holds the flow's cookie with its verifier."""
    digest = sha256(f"confirmation:{flow.state}:{flow.verifier}".encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def confirmation_hash(code: str) -> str:
    """What is stored of a code."""
    return sha256(code.encode()).hexdigest()[:32]
