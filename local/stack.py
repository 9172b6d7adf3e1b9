"""Starts and stops everything: the order of things, and little else.

simulated AWS, link key, providers' simulators, demo, staged code, resources of the template, Lambda API,
function processes, HTTP API, pollers and schedules, stack.json. What takes long runs side by side, and
what was started last stops first.
"""

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from local import HOST, REGION, ROOT
from local.aws import AwsProcess
from local.aws_requests import note_call
from local.callers import credentials_of
from local.console import Console
from local.demo import Demo, DemoConfig, start_demo
from local.demo.events import subscribe
from local.emulator import FunctionSpec, InvocationResult, emulator_path
from local.functions import as_json, first_event, spec_of, warm
from local.invoker import Invoker
from local.keys import KID, make_link_key
from local.lambda_api import LambdaApi
from local.processes import guarded
from local.providers import Providers, start_simulators, store_secrets, without_secret
from local.provision import CREDENTIALS, Function, Provisioned, provision, short_name
from local.runtime import RuntimePool
from local.services import Services, read_services
from local.settings import Options, read_secrets
from local.stack_dir import StackDir, StackError
from local.starters import Starters

if TYPE_CHECKING:
    from mooring.providers.compiler import LocalCompile, Project

STAGE = "local"
_TEMPLATE = ROOT / "template.yaml"
_PARAMETERS = {"Stage": STAGE, "DomainName": HOST}
#: Processes of one function at most, unless the template reserves fewer.
_PROCESSES = 8


class Stack:
    """One local stack, as a context manager: entered it is ready, left it is gone.

    Entering raises:
        StackError: something that whoever started it can mend; the message says how.
        ConfigurationError (mooring.providers): mooring.yaml or a descriptor is wrong.
        ProcessError: a program is missing or does not start.
        TemplateError: the template asks for something that does not exist locally.
        StagingError (tools): a dependency cannot be had.

    Args:
        options: how to start it.
        console: told what happens.
    """

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._state = StackDir(options.stack_dir)
        self._cleanup = ExitStack()
        self._base_url = ""
        self._specs: dict[str, FunctionSpec] = {}
        self._pools: dict[str, RuntimePool] = {}
        self._invoker = Invoker(self._report)
        self._services: Services = {}
        self.info: dict[str, Any] = {}
        """The content of stack.json."""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # First of all: whoever looks for a running stack must not find one that is going.
        self._state.forget()
        self._cleanup.close()

    def _start(self) -> None:
        started = time.monotonic()
        emulator_path()
        guarded([])
        given = read_secrets(self._options.secrets)
        self._services = read_services(self._options.services)
        listener = self._cleanup.enter_context(_listen(self._options.port))
        self._base_url = f"http://{HOST}:{listener.getsockname()[1]}"
        self._state.hold(self._base_url)
        self._cleanup.callback(self._state.release)
        aws = AwsProcess(self._state.log("aws"))
        self._cleanup.callback(aws.stop)
        threads = ThreadPoolExecutor(4, thread_name_prefix="start")
        self._cleanup.callback(threads.shutdown, wait=False, cancel_futures=True)
        made = threads.submit(self._provision, aws)
        project, local = self._load()
        client_ids = {name: enabled.client_id for name, enabled in project.config.providers.items()}
        providers = start_simulators(
            client_ids,
            base_url=self._base_url,
            given=given,
            own_descriptors=self._options.providers_dir,
            token_seconds=self._options.token_seconds,
            cleanup=self._cleanup,
        )
        demo = self._start_demo(project)
        self._stage(local, providers, demo)
        endpoint_url, resources = made.result()
        store_secrets(endpoint_url, STAGE, providers.secrets)
        for bus in resources.buses.values():
            demo.listen(subscribe(endpoint_url, REGION, CREDENTIALS, bus))
        starters = Starters(resources, endpoint_url, self._invoker)
        lambda_url = self._start_lambda_api(resources, endpoint_url, starters)
        # They wait for what runs, which ends with the function processes: after those, so before them here.
        self._cleanup.callback(starters.join)
        self._start_pools(resources, endpoint_url, lambda_url)
        warmed = [threads.submit(self._warm, function, resources) for function in resources.functions]
        self._start_gateway(resources, listener)
        for future in warmed:
            future.result()
        self._cleanup.callback(starters.stop)
        starters.start()
        self._announce(endpoint_url, lambda_url, resources, providers, demo)
        self._say_ready(project, providers, time.monotonic() - started)

    def _provision(self, aws: AwsProcess) -> tuple[str, Provisioned]:
        endpoint_url = aws.endpoint_url()
        if self._options.aws_through:
            self._state.tell_aws(endpoint_url)
        return endpoint_url, provision(_TEMPLATE, endpoint_url=endpoint_url, parameters=_PARAMETERS)

    def _load(self) -> tuple["Project", "LocalCompile"]:
        # pydantic and PyYAML: worth waiting for only now, while the simulated AWS starts.
        from mooring.providers.compiler import LocalCompile, load_project
        from tools.stage import CODE

        local = LocalCompile(
            extra_catalog=self._options.providers_dir,
            config_overlay=self._options.config,
            link_keys={KID: make_link_key(self._state.link_key)},
        )
        config = ROOT / "mooring.yaml"
        return load_project(config=config, catalog=CODE / "providers/catalog", local=local), local

    def _start_demo(self, project: "Project") -> Demo:
        names = [(name, project.descriptors[name].name) for name in project.config.providers]
        config = DemoConfig(
            base_url=self._base_url,
            link_key_path=self._state.link_key,
            kid=KID,
            region=REGION,
            credentials=CREDENTIALS,
            providers=names,
            # A fixed place beside the API, unless the API itself took any port.
            port=_port_of(self._base_url) + 1 if self._options.port else 0,
        )
        try:
            demo = start_demo(config)
        except OSError:
            demo = start_demo(replace(config, port=0))
        self._cleanup.callback(demo.stop)
        return demo

    def _stage(self, local: "LocalCompile", providers: Providers, demo: Demo) -> None:
        from tools.stage import stage

        origins = [demo.url, demo.url.replace(HOST, "localhost")]
        local = replace(local, simulators=providers.base_urls, return_to_origins=origins)
        stage(self._state.build, local=local)

    def _start_lambda_api(self, resources: Provisioned, endpoint_url: str, starters: Starters) -> str:
        callers = [CREDENTIALS, *(credentials_of(function.name) for function in resources.functions)]
        api = LambdaApi(
            self._invoker,
            credentials=dict(callers),
            note=lambda call: note_call(endpoint_url, call),
            control=starters.control,
        )
        self._cleanup.callback(api.stop)
        return api.url

    def _start_pools(self, resources: Provisioned, endpoint_url: str, lambda_url: str) -> None:
        for function in resources.functions:
            spec = spec_of(
                function,
                build=self._state.build,
                endpoint_url=self._options.aws_through or endpoint_url,
                lambda_url=lambda_url,
                base_url=self._base_url,
            )
            limit = _PROCESSES if function.reserved is None else min(_PROCESSES, function.reserved)
            pool = RuntimePool(spec, log_path=self._state.log(spec.name), limit=limit)
            self._specs[function.logical_id] = spec
            self._pools[function.logical_id] = pool
            self._invoker.add(function.logical_id, function.physical_name, pool)
        self._cleanup.callback(_stop_all, list(self._pools.values()))

    def _warm(self, function: Function, resources: Provisioned) -> None:
        event = first_event(function, resources, self._base_url)
        if event is not None:
            warm(self._pools[function.logical_id], event, self._state.log(function.name))

    def _start_gateway(self, resources: Provisioned, listener: socket.socket) -> None:
        # Importing SAM CLI takes seconds; by now the other processes are busy with their own start.
        from local.gateway import Gateway

        gateway = Gateway(
            _TEMPLATE,
            _PARAMETERS,
            routes=resources.routes,
            pools=self._pools,
            credentials=dict([CREDENTIALS]),
            listener=listener,
            report=self._report,
            services=self._services,
        )
        self._cleanup.callback(gateway.stop)
        gateway.start()

    def _report(self, function: str, result: InvocationResult) -> None:
        if self.info:
            self._console.invocation(self._specs[function].name, result)

    def _announce(
        self, endpoint_url: str, lambda_url: str, resources: Provisioned, providers: Providers, demo: Demo
    ) -> None:
        self.info = {
            "base_url": self._base_url,
            "demo_url": demo.url,
            "aws_endpoint_url": endpoint_url,
            "lambda_endpoint": lambda_url,
            "region": REGION,
            "functions": {function.name: function.physical_name for function in resources.functions},
            "tables": {short_name(name): name for name in resources.tables.values()},
            "queues": {short_name(name): url for name, url in resources.queues.items()},
            "buses": list(resources.buses.values()),
            "buckets": list(resources.buckets.values()),
            "providers": dict(providers.base_urls),
            "link_key": {"path": str(self._state.link_key), "kid": KID},
            "credentials": {"access_key_id": CREDENTIALS[0], "secret_access_key": CREDENTIALS[1]},
            "services": {name: service.credentials for name, service in self._services.items()},
        }
        self._state.announce([as_json(spec) for spec in self._specs.values()], self.info)

    def _say_ready(self, project: "Project", providers: Providers, seconds: float) -> None:
        addresses = [("Demo product", self.info["demo_url"]), ("Mooring", self._base_url)]
        addresses += [(f"Simulated {name}", url) for name, url in providers.base_urls.items()]
        addresses += [("Simulated AWS", self.info["aws_endpoint_url"])]
        addresses += [("Logs", str(self._state.log("aws").parent))]
        self._console.ready(addresses, seconds)
        notes = list(project.warnings)
        notes += [
            f"{name} has no client secret: put it into a JSON file and name that in MOORING_SECRETS"
            for name in without_secret(project.config.providers, providers.secrets)
        ]
        for note in notes:
            self._console.say(f"  note: {note}")
        self._console.say("Open the demo product in a browser. Ctrl-C stops everything.\n")


def _listen(port: int) -> socket.socket:
    """A bound socket: the port is ours from now on, and nobody is let in before all is ready."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # Without this somebody else could still bind the port; connections wait until we accept.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StackError(
            f"port {port} is not free ({error.strerror}): stop what uses it, or take another: "
            f"PORT=8080 make run"
        ) from error
    return listener


def _stop_all(pools: Sequence[RuntimePool]) -> None:
    # Side by side: each takes its time to end its processes.
    with ThreadPoolExecutor(max(1, len(pools)), thread_name_prefix="stop") as threads:
        for done in [threads.submit(pool.stop) for pool in pools]:
            done.result()


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2])
