"""An HTTP client that reaches nobody: it answers from a script and keeps what it was asked."""

import re
from urllib.parse import urlsplit

from mooring.core.ports import HttpFault, HttpRequest, HttpResponse

BODY_BYTES = 262_144


class FakeHttp:
    """The HTTP port. `answers` is used up from its front; `requests` is what was sent, in order."""

    def __init__(self, *answers: HttpResponse | HttpFault) -> None:
        self.answers = list(answers)
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        """Refuse what the real client refuses before it sends; then play the next answer."""
        parts = urlsplit(request.url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and request.local)
        if not secure or parts.netloc not in request.hosts:
            raise HttpFault("refused_address", sent=False)
        if any(re.search(r"[\r\n]", text) for pair in request.headers.items() for text in pair):
            raise HttpFault("refused_request", sent=False)
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, HttpFault):
            raise answer
        if len(answer.body) > BODY_BYTES:
            raise HttpFault("too_large", sent=True)
        return answer
