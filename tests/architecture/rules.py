"""The rules about who may import whom, as functions from sources to complaints.

    functions -> entry -> flows    -> core <- providers
                 entry -> adapters -> core

`core` imports nothing of ours and only the standard library. `entry` and `client` are the two places that
join flows, providers and adapters. Imports are read with `ast`, those inside functions and under
TYPE_CHECKING included.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

#: What each room may import of ours, besides itself.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "core": frozenset(),
    "flows": frozenset({"core"}),
    "providers": frozenset({"core"}),
    "adapters": frozenset({"core"}),
    "entry": frozenset({"core", "flows", "providers", "adapters"}),
    "client": frozenset({"core", "flows", "providers", "adapters"}),
    "functions": frozenset({"core", "flows", "entry"}),
}
#: Packages that have their rooms. Others may stand anywhere but in core and flows.
PLACES: Mapping[str, frozenset[str]] = {
    "boto3": frozenset({"adapters", "client"}),
    "botocore": frozenset({"adapters", "client"}),
    "mypy_boto3": frozenset({"adapters", "client"}),
    "requests": frozenset({"adapters", "client"}),
    "urllib3": frozenset({"adapters", "client"}),
    "cryptography": frozenset({"adapters", "client"}),
    "aws_lambda_powertools": frozenset({"entry", "functions"}),
    "pydantic": frozenset({"providers", "entry", "client"}),
    "pydantic_core": frozenset({"providers"}),
    "yaml": frozenset({"providers"}),
    "httpx": frozenset({"client"}),
    "anyio": frozenset({"client"}),
}
#: What core may not have even though it is in the standard library: a clock, a logger, the outside world.
NOT_IN_CORE = frozenset(
    {
        "asyncio",
        "http",
        "io",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "shutil",
        "socket",
        "ssl",
        "subprocess",
    }
    | {"tempfile", "threading", "time"}
)
#: Read descriptors and settings when the project is built. No function may reach a module that imports them.
BUILD_TIME = frozenset({"pydantic", "pydantic_core", "yaml"})
#: Never in the process of `authorize`, which has no time for them.
NOT_IN_AUTHORIZE = frozenset({"boto3", "botocore", "requests", "pydantic", "aws_lambda_powertools"})


class Module(NamedTuple):
    """One Python file: its dotted name (`mooring.core.link`, `functions.callback.handler`) and its source."""

    name: str
    source: str
    package: bool = False

    @property
    def room(self) -> str:
        """`core`, `flows` and so on, `functions` for handlers, an empty text for the package's own file."""
        first, *rest = self.name.split(".")
        return first if first == "functions" else (rest[0] if rest else "")


class Import(NamedTuple):
    """One imported name, absolute and dotted.

    `lazy` when it stands inside a function; `typing` when it is for the type checker and never runs.
    """

    target: str
    line: int
    lazy: bool = False
    typing: bool = False


def imports(module: Module) -> list[Import]:
    """Every import of a module, wherever it stands, `importlib.import_module("...")` included."""
    return list(_walk(ast.parse(module.source), module, Import("", 0)))


def _walk(node: ast.AST, module: Module, here: Import) -> Iterator[Import]:
    """The imports below `node`; `here` carries whether that place is lazy or for typing only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (here._replace(target=alias.name, line=child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _base(child, module)
            yield from (here._replace(target=f"{base}.{a.name}", line=child.lineno) for a in child.names)
        elif isinstance(child, ast.Call) and (name := _dynamic(child)):
            yield here._replace(target=name, line=child.lineno)
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        yield from _walk(child, module, here._replace(lazy=here.lazy or lazy, typing=here.typing or typing))


def _base(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + (1 if module.package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _dynamic(call: ast.Call) -> str | None:
    """What `import_module` or `__import__` is given; `?` when only the running program knows."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("import_module", "__import__") or not call.args:
        return None
    first = call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "?"


def complaints(modules: Iterable[Module]) -> list[str]:
    """Everything that breaks the rules of import, as `module:line: what`."""
    known = list(modules)
    found = [
        f"{module.name}:{item.line}: {what}"
        for module in known
        for item in imports(module)
        if (what := _wrong(module, item))
    ]
    return found + _reached_build_time(known) + _heavy_authorize(known)


def _wrong(module: Module, item: Import) -> str | None:
    top, _, rest = item.target.partition(".")
    room = module.room
    if item.target == "?":
        return "imports what only the running program knows"
    if top in ("local", "tools", "tests", "mooring_cli", "functions"):
        return f"{room or 'the package'} must not import {top}"
    if top == "mooring":
        return _wrong_room(room, rest.partition(".")[0])
    return _wrong_package(room, top)


def _wrong_room(room: str, target: str) -> str | None:
    if target == room or target not in MAY_IMPORT or target in MAY_IMPORT.get(room, frozenset()):
        return None
    return f"{room or 'the package'} must not import {target}"


def _wrong_package(room: str, top: str) -> str | None:
    name = "mypy_boto3" if top.startswith("mypy_boto3") else top
    if name in sys.stdlib_module_names:
        return f"core must not import {name}" if room == "core" and name in NOT_IN_CORE else None
    if room in ("core", "flows", ""):
        return f"{room or 'the package'} must not import {name}: standard library only"
    if room not in PLACES.get(name, frozenset({room})):
        return f"{room} must not import {name}"
    return None


def reached(modules: Iterable[Module], start: str, *, lazily: bool) -> set[str]:
    """Names of our modules that a module brings in, itself included; `lazily`: also what it may later."""
    by_name = {module.name: module for module in modules}
    todo, seen = [start], set[str]()
    while todo:
        name = todo.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        for item in imports(by_name[name]):
            if _runs(item, lazily=lazily):
                parts = item.target.split(".")
                # `from a.b import c` may name a module or something in one; a parent package runs as well.
                todo += [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    return seen


def _runs(item: Import, *, lazily: bool) -> bool:
    return not item.typing and (lazily or not item.lazy)


def _packages(module: Module, *, lazily: bool) -> dict[str, int]:
    ran = (item for item in imports(module) if _runs(item, lazily=lazily))
    return {item.target.partition(".")[0]: item.line for item in ran}


def _reached_build_time(modules: list[Module]) -> list[str]:
    found = set()
    by_name = {module.name: module for module in modules}
    for start in (module.name for module in modules if module.room == "functions"):
        for name in reached(modules, start, lazily=True):
            if by_name[name].room == "providers" and BUILD_TIME & set(_packages(by_name[name], lazily=True)):
                found.add(f"{name}:1: is for build time, but {start} can reach it")
    return sorted(found)


def _heavy_authorize(modules: list[Module]) -> list[str]:
    by_name = {module.name: module for module in modules}
    found = []
    for name in sorted(reached(modules, "functions.authorize.handler", lazily=False)):
        heavy = {p: n for p, n in _packages(by_name[name], lazily=False).items() if p in NOT_IN_AUTHORIZE}
        found += [f"{name}:{line}: authorize imports {package}" for package, line in heavy.items()]
    return found


def long_functions(module: Module, most: int) -> list[str]:
    """Functions of more than `most` lines, decorators not counted."""
    return [
        f"{module.name}:{node.lineno}: {node.name} has {length} lines, at most {most}"
        for node in ast.walk(ast.parse(module.source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > most
    ]
