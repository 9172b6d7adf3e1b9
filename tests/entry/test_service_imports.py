"""Reading a token never waits for pydantic, which takes longer to load than a whole read; a report does."""

import json
import subprocess
import sys

from tests.support import ROOT

_PROGRAM = """
import json, sys
from mooring.core.upkeep import Answer
from mooring.entry import service_api as api
from mooring.flows.disconnect import DisconnectPorts
from mooring.flows.read import ReadPorts
from mooring.flows.renew import RenewPorts
from tests.fakes.refresher import FakeRefresher
from tests.flows.upkeep_world import KEY, UpkeepWorld

world, refresher = UpkeepWorld(), FakeRefresher()
world.stands(expires_at=int(world.clock()) + 900)
refresher.answer = Answer("fresh")
ports = api.ServicePorts(
    ReadPorts(world.connections, world.sealer, refresher, lambda _: True, world.clock, world.clock.advance),
    RenewPorts(world.connections, refresher),
    DisconnectPorts(world.endings, world.clock),
    world.providers.__contains__,
    world.provider,
)
loaded = {}
for route, body in (
    (api.TOKEN_ROUTE, None), (api.LIST_ROUTE, None), (api.CONNECTION_ROUTE, None), (api.REFRESH_ROUTE, None),
    (api.UNAUTHORIZED_ROUTE, '{"generation": 1, "version": 1}'),
):
    names = KEY._asdict()
    event = {"routeKey": route, "rawPath": route.partition(" ")[2].format_map(names), "pathParameters": names}
    answered = api.answer(event | {"body": body}, ports, lambda _line: None, lambda: 28.0)
    assert answered["statusCode"] == 200, answered
    loaded[route] = sorted({"pydantic", "boto3", "botocore", "requests"} & sys.modules.keys())
print(json.dumps(loaded))
"""


def test_only_a_report_loads_pydantic() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    loaded = json.loads(ran.stdout)
    (report,) = [route for route in loaded if route.endswith("/unauthorized")]
    assert loaded.pop(report) == ["pydantic"]
    assert set(map(tuple, loaded.values())) == {()}
