"""Reads template.yaml as CloudFormation would: translated by SAM's own translator, intrinsics resolved."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import REGION

ACCOUNT = "123456789012"
"""The account that the simulated AWS says it is."""

_CODE_BUCKET = "s3://local/"
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")
_FUNCTION_IN_URI = re.compile(r"\$\{(\w+)\.Arn\}")
_METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options"})
_LONGEST_INTEGRATION_MS = 30_000
_PSEUDO: Mapping[str, str] = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/mooring-local/1",
    "AWS::StackName": "mooring-local",
    "AWS::URLSuffix": "amazonaws.com",
}
_NO_VALUE = object()


class TemplateError(Exception):
    """The template cannot be read here; the message is one line that names the place."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the HTTP API.

    Attributes:
        method: upper case.
        path: as in the template, for example `/callback/{provider+}`.
        function: logical id of the function behind it.
        iam: whether callers must sign.
        timeout_ms: how long the API waits for the function.
    """

    method: str
    path: str
    function: str
    iam: bool
    timeout_ms: int


def translate(path: Path, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The template without SAM's shorthand: plain CloudFormation, intrinsics unresolved.

    Raises:
        TemplateError: not YAML, or SAM refuses it.
    """
    # The translator looks the region up on import, and says so if there is none.
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    import boto3
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator
    from samtranslator.yaml_helper import yaml_parse

    template = yaml_parse(path.read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            uri = resource.get("Properties", {}).get(name)
            if isinstance(uri, str):
                # Folders become bucket keys only in `sam deploy`; the translator takes nothing else.
                resource["Properties"][name] = _CODE_BUCKET + uri
    translator = Translator({}, Parser(), boto_session=boto3.session.Session(region_name=REGION))
    try:
        translated: dict[str, Any] = translator.translate(template, parameter_values=dict(parameters))
    except InvalidDocumentException as error:
        raise TemplateError(f"{path.name}: {'; '.join(str(cause) for cause in error.causes)}") from error
    return translated


def routes(translated: Mapping[str, Any]) -> list[Route]:
    """Every route of the HTTP API, from the API's OpenAPI body.

    Raises:
        TemplateError: a route is written in a way that is not understood here.
    """
    found = []
    for name, resource in translated["Resources"].items():
        if resource["Type"] == "AWS::ApiGatewayV2::Route":
            raise TemplateError(f"{name}: routes are read from functions' HttpApi events only")
        if resource["Type"] != "AWS::ApiGatewayV2::Api":
            continue
        for path, methods in resource["Properties"]["Body"]["paths"].items():
            found += [_route(path, method, operation) for method, operation in methods.items()]
    return found


def _route(path: str, method: str, operation: Mapping[str, Any]) -> Route:
    place = f"{method.upper()} {path}"
    if method not in _METHODS:
        raise TemplateError(f"{place}: name the method, this is not understood here")
    integration = operation["x-amazon-apigateway-integration"]
    function = _FUNCTION_IN_URI.search(str(integration["uri"]))
    schemes = [scheme for choice in operation.get("security", []) for scheme in choice]
    if function is None or integration.get("payloadFormatVersion") != "2.0" or set(schemes) - {"AWS_IAM"}:
        raise TemplateError(f"{place}: needs a function, payload format 2.0, and no authorizer but AWS_IAM")
    timeout_ms = int(integration.get("timeoutInMillis", _LONGEST_INTEGRATION_MS))
    return Route(method.upper(), path, function[1], bool(schemes), timeout_ms)


class Intrinsics:
    """Resolves CloudFormation's functions.

    Args:
        template: the translated template.
        parameters: values by name; the template's defaults fill the rest.
        ref: gives `Ref` of a resource, by logical id.
        attribute: gives `Fn::GetAtt` of a resource, by logical id and attribute.

    Raises:
        TemplateError: a parameter has no value.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        *,
        ref: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
    ) -> None:
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._resource_ref = ref
        self._attribute = attribute
        self._known: dict[str, Any] = dict(_PSEUDO)
        for name, declared in template.get("Parameters", {}).items():
            value = parameters.get(name, declared.get("Default"))
            if value is None:
                raise TemplateError(f"parameter {name} has no value")
            self._known[name] = value
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::And": lambda given: all(self.resolve(given)),
            "Fn::Equals": self._equals,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::Join": self._join,
            "Fn::Not": lambda given: not self.resolve(given[0]),
            "Fn::Or": lambda given: any(self.resolve(given)),
            "Fn::Select": lambda given: self.resolve(given[1])[int(self.resolve(given[0]))],
            "Fn::Split": lambda given: self.resolve(given[1]).split(given[0]),
            "Fn::Sub": self._sub,
        }

    def resolve(self, value: Any) -> Any:
        """`value` with every intrinsic replaced; entries that become AWS::NoValue are left out.

        Raises:
            TemplateError: an intrinsic or a name that is not known here.
        """
        resolved = self._resolve(value)
        return None if resolved is _NO_VALUE else resolved

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds.

        Raises:
            TemplateError: there is no such condition.
        """
        if name not in self._conditions:
            raise TemplateError(f"no condition {name}")
        return bool(self.resolve(self._conditions[name]))

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            [(name, given)] = value.items()
            # A policy's "Condition" is a mapping; only the intrinsic names one with a string.
            if name in self._functions and (name != "Condition" or isinstance(given, str)):
                return self._functions[name](given)
            if name.startswith("Fn::"):
                raise TemplateError(f"{name} is not supported by the local stack")
        resolved = {name: self._resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not _NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        return self._known[name] if name in self._known else self._resource_ref(name)

    def _get_att(self, given: str | list[str]) -> Any:
        name, _, attribute = given.partition(".") if isinstance(given, str) else (given[0], "", given[1])
        return self._attribute(name, attribute)

    def _equals(self, given: list[Any]) -> bool:
        left, right = self.resolve(given)
        return str(left) == str(right)

    def _if(self, given: list[Any]) -> Any:
        return self._resolve(given[1] if self.condition(given[0]) else given[2])

    def _join(self, given: list[Any]) -> str:
        return str(given[0]).join(str(item) for item in self.resolve(given[1]))

    def _sub(self, given: str | list[Any]) -> str:
        text, own = (given, {}) if isinstance(given, str) else (given[0], given[1])

        def replace(match: re.Match[str]) -> str:
            literal, name = match[1], match[2]
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(self.resolve(own[name]))
            return str(self._get_att(name) if "." in name else self._ref(name))

        return _VARIABLE.sub(replace, text)
