"""The rules catch what they are for: tiny made-up sources that break each of them."""

import pytest

from tests.architecture.rules import Import, Module, complaints, imports, long_functions, reached


def module(name: str, source: str, *, package: bool = False) -> Module:
    return Module(name, source, package)


@pytest.mark.parametrize(
    ("name", "source", "what"),
    [
        ("mooring.core.a", "from mooring.flows import b", "core must not import flows"),
        ("mooring.core.a", "import mooring.adapters.kms", "core must not import adapters"),
        ("mooring.core.a", "from mooring import entry", "core must not import entry"),
        (
            "mooring.core.a",
            "def f():\n    from mooring.providers.oauth2 import x",
            "core must not import providers",
        ),
        ("mooring.core.a", "from ..flows import b", "core must not import flows"),
        ("mooring.core.a", "import time", "core must not import time"),
        ("mooring.core.a", "import logging", "core must not import logging"),
        ("mooring.core.a", "from os import environ", "core must not import os"),
        ("mooring.core.a", "from cryptography import x509", "standard library only"),
        ("mooring.core.a", "import importlib\nimportlib.import_module('boto3')", "standard library only"),
        ("mooring.core.a", "__import__(name)", "only the running program knows"),
        ("mooring.flows.a", "from mooring.adapters import kms", "flows must not import adapters"),
        ("mooring.flows.a", "from mooring.providers import oauth2", "flows must not import providers"),
        (
            "mooring.flows.a",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import boto3",
            "library only",
        ),
        ("mooring.providers.a", "from mooring.adapters import http", "providers must not import adapters"),
        ("mooring.providers.a", "import requests", "providers must not import requests"),
        ("mooring.adapters.a", "from mooring.flows import read", "adapters must not import flows"),
        (
            "mooring.adapters.a",
            "import aws_lambda_powertools",
            "adapters must not import aws_lambda_powertools",
        ),
        ("mooring.adapters.a", "from pydantic import BaseModel", "adapters must not import pydantic"),
        ("mooring.entry.a", "from botocore.config import Config", "entry must not import botocore"),
        (
            "mooring.entry.a",
            "class A:\n    def f(self):\n        import boto3",
            "entry must not import boto3",
        ),
        ("mooring.entry.a", "from local import stack", "entry must not import local"),
        ("mooring.entry.a", "import yaml", "entry must not import yaml"),
        ("mooring.entry.a", "from functions.callback import handler", "entry must not import functions"),
        ("mooring.adapters.a", "import tests.fakes", "adapters must not import tests"),
        ("functions.x.handler", "from mooring.adapters import kms", "functions must not import adapters"),
        (
            "functions.x.handler",
            "from mooring.providers import oauth2",
            "functions must not import providers",
        ),
        ("functions.x.handler", "import boto3", "functions must not import boto3"),
        ("mooring", "from mooring.core import link", "the package must not import core"),
    ],
)
def test_each_rule_bites(name: str, source: str, what: str) -> None:
    (complaint,) = complaints([module(name, source)])
    assert what in complaint
    assert complaint.startswith(f"{name}:")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mooring.core.a", "import json, hashlib\nfrom mooring.core import link\nfrom . import names"),
        ("mooring.flows.a", "from mooring.core.link import Link\nimport mooring.flows.b"),
        ("mooring.providers.a", "from mooring.core import provider\nimport pydantic, yaml"),
        (
            "mooring.adapters.a",
            "import boto3, time\nfrom cryptography import x509\nfrom mooring.core import ports",
        ),
        (
            "mooring.entry.a",
            "from mooring.adapters import kms\nimport pydantic, logging, aws_lambda_powertools",
        ),
        ("mooring.client.a", "import boto3, requests\nfrom mooring.adapters import kms"),
        ("functions.x.handler", "from mooring.entry import http_api\nfrom mooring.flows import read"),
        ("mooring", "from importlib import metadata"),
    ],
)
def test_what_is_allowed_passes(name: str, source: str) -> None:
    assert complaints([module(name, source)]) == []


def test_relative_imports_are_resolved() -> None:
    assert imports(module("mooring.core.a", "from .b import c")) == [Import("mooring.core.b.c", 1)]
    assert imports(module("mooring.core", "from .b import c", package=True)) == [
        Import("mooring.core.b.c", 1)
    ]
    assert imports(module("mooring.core.a", "from .. import flows")) == [Import("mooring.flows", 1)]


def test_an_import_inside_a_function_is_lazy() -> None:
    source = "import json\ndef f():\n    if True:\n        import re\n"
    assert imports(module("mooring.core.a", source)) == [Import("json", 1), Import("re", 4, lazy=True)]


RUNTIME = [
    module("functions.callback.handler", "from mooring.entry.wiring import flow"),
    module("mooring.entry.wiring", "def flow():\n    from mooring.providers.loader import load"),
]


def test_a_function_reaches_no_build_time_module_even_lazily() -> None:
    build_time = module("mooring.providers.loader", "import yaml")
    (complaint,) = complaints([*RUNTIME, build_time])
    assert (
        complaint
        == "mooring.providers.loader:1: is for build time, but functions.callback.handler can reach it"
    )
    assert complaints([*RUNTIME, module("mooring.providers.loader", "import json")]) == []


def test_a_build_time_module_that_nothing_reaches_is_fine() -> None:
    assert complaints([*RUNTIME, module("mooring.providers.compiler", "import yaml, pydantic")]) == []


def test_authorize_stays_light_but_for_what_it_imports_later() -> None:
    handler = module("functions.authorize.handler", "from mooring.entry import light")
    heavy = module("mooring.entry.light", "from aws_lambda_powertools import Logger")
    assert complaints([handler, heavy]) == ["mooring.entry.light:1: authorize imports aws_lambda_powertools"]
    lazy = module("mooring.entry.light", "def f():\n    from aws_lambda_powertools import Logger")
    assert complaints([handler, lazy]) == []


def test_what_only_the_type_checker_reads_weighs_nothing_but_keeps_the_rooms() -> None:
    handler = module("functions.authorize.handler", "from mooring.entry import light")
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mooring.adapters import kms"
    heavy = module("mooring.adapters.kms", "import boto3")
    assert complaints([handler, module("mooring.entry.light", source), heavy]) == []
    assert complaints([module("mooring.flows.a", source)]) == [
        "mooring.flows.a:3: flows must not import adapters"
    ]


def test_reaching_goes_through_parent_packages() -> None:
    modules = [
        module("functions.authorize.handler", "import mooring.entry.light"),
        module("mooring.entry", "from mooring.entry import other", package=True),
        module("mooring.entry.light", ""),
        module("mooring.entry.other", ""),
    ]
    assert reached(modules, "functions.authorize.handler", lazily=False) == {each.name for each in modules}


def test_long_functions_are_found_nested_ones_too() -> None:
    source = (
        "class A:\n    def short(self):\n        return 1\n\n    def long(self):\n" + "        x = 1\n" * 3
    )
    assert long_functions(module("mooring.core.a", source), 3) == [
        "mooring.core.a:5: long has 4 lines, at most 3"
    ]
