"""Check a running installation from outside, without credentials: does it answer as documented?

    make smoke URL=https://connect.example.com            a deployed one
    make smoke URL=http://127.0.0.1:8000                  the local stack
    make smoke URL=… ARGS="--provider acme --json"

Sends a dozen requests that change nothing: none carries a valid link, state, notice or signature. One line
for each check; 1 when any failed, else 0.
"""

import argparse
import http.client
import ipaddress
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import yaml

from mooring.entry.http_api import HEADERS

SETTINGS = Path(__file__).resolve().parent.parent / "mooring.yaml"
UNKNOWN = "no-such-provider"
SECONDS = 15.0
PLAIN_SECONDS = 5.0
_MERCHANT = "/merchants/smoke-test/connections"
OWN_NAMES = re.compile(
    r"arn:aws|amazonaws\.com|execute-api|/var/task|/opt/python|Traceback|[a-z_]+\.py\b|AccessDenied"
    r"|mooring-[a-z0-9-]+-(?:access|announce|authorize|callback|connections|data|export|flows|reader|recovery"
    r"|refresh|reseal|revoke|schedule|sweep|token|undelivered|uninstall)"
)
"""What nobody outside may read in an answer."""


class Expected(NamedTuple):
    """One request and the status codes it may be answered with.

    `ours`: a function of ours answers it, and so with our headers; otherwise API Gateway itself does.
    """

    method: str
    path: str
    statuses: tuple[int, ...]
    ours: bool
    advice: str


class Answer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


class Check(NamedTuple):
    """One finding. `advice` says what to do when it is not `ok`."""

    name: str
    ok: bool
    expected: str
    seen: str
    advice: str

    def line(self) -> str:
        """For people: one line."""
        if self.ok:
            return f"ok    {self.name}: {self.seen}"
        return f"FAIL  {self.name}: expected {self.expected}, saw {self.seen}. {self.advice}"


class Site(NamedTuple):
    """Where an installation answers."""

    scheme: str
    host: str
    port: int | None

    @property
    def is_local(self) -> bool:
        """Whether it is this very machine, where http is all there is."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def ask(self, method: str, path: str, seconds: float = SECONDS) -> Answer:
        """Send one request, and follow no redirect.

        Raises:
            OSError: nobody answers, or not as a server should (a wrong certificate included).
        """
        kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=seconds)
        try:
            connection.request(method, path, headers={"User-Agent": "mooring-smoke"})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read(65_536).decode("utf-8", "replace"))
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer ({type(error).__name__})") from None
        finally:
            connection.close()


def requests(provider: str) -> list[Expected]:
    """The requests of a check. `provider` is an enabled one."""
    deployed = "Look whether the stack is deployed as template.yaml says"
    page = f"{deployed}, and whether {provider} is enabled in the mooring.yaml that was built."
    callback = f"/callback/{provider}"
    browser = [
        Expected("GET", f"/authorize/{UNKNOWN}", (404,), True, f"{deployed}, and where DNS points."),
        Expected("GET", f"/authorize/{provider}", (400,), True, page),
        Expected("GET", callback, (400,), True, page),
        Expected("GET", f"{callback}/", (400,), True, "The route must be /callback/{provider+}, greedy."),
        Expected("GET", f"{callback}/more", (404,), True, f"{deployed}."),
        Expected("POST", f"/uninstall/{UNKNOWN}", (404,), True, f"{deployed}."),
        # API Gateway says 404 for a route that is not there, some CDNs 403.
        Expected("GET", "/no-such-route", (404, 403), False, "Something else than Mooring answers here."),
    ]
    iam = "The route must have Auth: AWS_IAM. Until it has, take the API off the net."
    one = f"{_MERCHANT}/{provider}/default"
    unsigned = [
        ("GET", _MERCHANT),
        ("GET", one),
        ("GET", f"{one}/token"),
        ("POST", f"{one}/unauthorized"),
        ("POST", f"{one}/refresh"),
        ("DELETE", one),
    ]
    return browser + [Expected(method, path, (403,), False, iam) for method, path in unsigned]


def checks(site: Site, provider: str, plain_port: int = 80) -> Iterator[Check]:
    """Every check in turn, each as soon as its answer is there.

    Args:
        site: what to check.
        provider: an enabled one.
        plain_port: where http would be answered beside https.
    """
    yield _encrypted(site, plain_port)
    if site.scheme == "http" and not site.is_local:
        return
    answers: list[tuple[Expected, Answer]] = []
    for expected in requests(provider):
        try:
            answer = site.ask(expected.method, expected.path)
        except OSError as error:
            yield _silent(expected, error)
            if not answers:
                return
            continue
        answers.append((expected, answer))
        yield _status(expected, answer)
    yield _secured(answers)
    yield _discreet(answers)


def _name(expected: Expected) -> str:
    return f"{expected.method} {expected.path}"


def _silent(expected: Expected, error: OSError) -> Check:
    seen = f"no answer ({error})"
    advice = "Compare the URL, DNS (the output DomainTarget), and the certificate."
    return Check(_name(expected), False, _words(expected.statuses), seen, advice)


def _status(expected: Expected, answer: Answer) -> Check:
    ok = answer.status in expected.statuses
    return Check(_name(expected), ok, _words(expected.statuses), str(answer.status), expected.advice)


def _words(statuses: Sequence[int]) -> str:
    return " or ".join(str(status) for status in statuses)


def _secured(answers: Sequence[tuple[Expected, Answer]]) -> Check:
    """Each answer of a function has our headers, and a page a policy for its content."""
    wrong = []
    for expected, answer in answers:
        if not expected.ours:
            continue
        missing = [name for name, value in HEADERS.items() if answer.headers.get(name) != value]
        is_page = answer.headers.get("content-type", "").startswith("text/html")
        if is_page and "content-security-policy" not in answer.headers:
            missing.append("content-security-policy")
        wrong += [f"{name} missing or changed on {_name(expected)}" for name in missing]
    advice = "Something on the way (a CDN's response headers policy?) takes them off."
    return Check(
        "security headers", not wrong, "them on every answer", "; ".join(wrong) or "on every answer", advice
    )


def _discreet(answers: Sequence[tuple[Expected, Answer]]) -> Check:
    """No answer tells a name of the stack, an address of AWS or a place in the code."""
    told = []
    for expected, answer in answers:
        text = "\n".join([*(f"{name}: {value}" for name, value in answer.headers.items()), answer.body])
        told += [f"{found[0]!r} in {_name(expected)}" for found in OWN_NAMES.finditer(text)]
    advice = "An error of AWS or of our code is shown to the world: look for it in the log."
    return Check("names of the stack", not told, "none told", "; ".join(told[:5]) or "none told", advice)


def _encrypted(site: Site, plain_port: int) -> Check:
    """Plain http leads to https, or nowhere."""
    expected = "only https, or a redirect to it"

    def check(ok: bool, seen: str) -> Check:
        advice = "Merchants' links must not travel in the clear: answer http with a redirect, or not at all."
        return Check("https only", ok, expected, seen, advice)

    if site.scheme == "http":
        return check(site.is_local, "http, on this machine" if site.is_local else "an address with http")
    try:
        answer = Site("http", site.host, plain_port).ask("GET", f"/authorize/{UNKNOWN}", PLAIN_SECONDS)
    except OSError:
        return check(True, "nobody answers to http")
    if answer.status in (301, 302, 307, 308) and answer.headers.get("location", "").startswith("https://"):
        return check(True, "http is redirected to https")
    return check(answer.status == 403, f"http answered with {answer.status}")


def site_from(url: str) -> Site:
    """Where a base URL leads. Raises ValueError when it is none."""
    parts = urlsplit(url.strip().rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise ValueError("name the base URL alone, for example https://connect.example.com")
    return Site(parts.scheme, parts.hostname, parts.port)


def enabled_provider(settings: Path) -> str:
    """The first provider that mooring.yaml enables. Raises ValueError when there is none."""
    try:
        providers = yaml.safe_load(settings.read_text(encoding="utf-8"))["providers"]
        return str(next(iter(providers)))
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration):
        raise ValueError(f"{settings.name} enables no provider: name one with --provider") from None


def main(arguments: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    """Run all checks; 0, or 1 when one failed. A command line of no use raises SystemExit(2)."""
    parser = argparse.ArgumentParser(prog="make smoke", description="Check an installation from outside.")
    parser.add_argument("url", help="its base URL, for example https://connect.example.com")
    parser.add_argument("--provider", help="an enabled provider; default: the first one in mooring.yaml")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    given = parser.parse_args(arguments)
    try:
        site, provider = site_from(given.url), given.provider or enabled_provider(SETTINGS)
    except ValueError as error:
        parser.error(str(error))
    found = []
    for check in checks(site, provider):
        found.append(check)
        if not given.json:
            say(check.line())
    failed = sum(not check.ok for check in found)
    if given.json:
        listed = [check._asdict() for check in found]
        say(json.dumps({"url": given.url, "ok": not failed, "checks": listed}, indent=2))
    else:
        say(f"{len(found)} checks, {failed} failed" if failed else f"{len(found)} checks, all well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
