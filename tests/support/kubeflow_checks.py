"""What the Kubeflow Pipelines server checks in a request: fields, types, pipelines, parameters, cron."""

import re
from datetime import datetime
from typing import Any

import kfp_server_api
import robfig
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

# gRPC's status codes with the HTTP status that grpc-gateway gives them.
CODES = {400: 3, 404: 5, 409: 6, 403: 7, 429: 8, 500: 13, 503: 14, 401: 16}
# Written as strings by the generated client, because they are int64; protobuf's JSON takes numbers, too.
INT64 = {"max_concurrency", "interval_second"}
KINDS: dict[str, tuple[type, str]] = {
    "STRING": (str, "string"),
    "BOOLEAN": (bool, "bool"),
    "LIST": (list, "list"),
    "STRUCT": (dict, "struct"),
}


class RefusalError(Exception):
    """A request that the server refuses.

    Args:
        status: of the HTTP answer.
        message: for people.
        upload: the upload endpoints answer in another form than the others.
    """

    def __init__(self, status: int, message: str, *, upload: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.upload = upload

    def body(self) -> dict[str, Any]:
        """As grpc-gateway writes it (backend/src/common/util/error.go), or the upload server."""
        if self.upload:
            return {"error_message": self.message, "error_details": self.message}
        inner = f"Invalid input error: {self.message}" if self.status == 400 else self.message
        detail = {"@type": "type.googleapis.com/api.Error", "error_message": self.message, "error_details": inner}
        return {"error": inner, "code": CODES[self.status], "message": inner, "details": [detail]}


def check_fields(name: str, value: Any, where: str = "") -> None:
    """Refuse what protobuf's JSON parser would: unknown fields and wrong types, at any depth.

    Args:
        name: a type as ``kfp_server_api`` writes it: a model, ``str``, ``list[...]``, ``dict(str, ...)``.
        value: the JSON value.
        where: the field, for the message.
    """
    if inner := re.fullmatch(r"list\[(.*)\]|dict\(str, (.*)\)", name):
        many = inner[1] is not None
        _expect(isinstance(value, list if many else dict), where, "list" if many else "object", value)
        for key, item in enumerate(value) if many else value.items():
            check_fields(inner[1] or inner[2], item, f"{where}[{key}]")
    elif name == "object":
        return
    elif name == "datetime":
        _expect(isinstance(value, str) and _has_zone(value), where, "a time in RFC 3339 with its zone", value)
    elif name in {"str", "int", "bool", "float"}:
        kinds = {"str": str, "int": int, "bool": bool, "float": (int, float)}[name]
        if where.rpartition(".")[2] in INT64:
            kinds = (str, int)
        _expect(isinstance(value, kinds) and (name == "bool") == isinstance(value, bool), where, name, value)  # type: ignore[arg-type]
    else:
        _check_model(getattr(kfp_server_api, name), value, where)


def _check_model(model: Any, value: Any, where: str) -> None:
    if hasattr(model, "allowable_values"):
        _expect(value in model.allowable_values, where, f"one of {model.allowable_values}", value)
        return
    _expect(isinstance(value, dict), where, "object", value)
    kinds = {model.attribute_map[attribute]: kind for attribute, kind in model.openapi_types.items()}
    for key, item in value.items():
        if key not in kinds:
            raise RefusalError(400, f'unknown field "{key}" in {model.__name__}')
        if item is not None:
            check_fields(kinds[key], item, f"{where}.{key}".lstrip("."))


def _expect(good: bool, where: str, kind: str, value: Any) -> None:
    if not good:
        raise RefusalError(400, f"invalid value for {where or 'the body'}: expected {kind}, got {value!r}")


def _has_zone(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


class NeverAnsweredError(Exception):
    """A request that keeps the server busy until it is restarted."""


def parse_pipeline(text: str) -> dict[str, Any]:
    """An uploaded file as the server keeps it: the pipeline's document, or both, checked against their protos."""
    if not text:
        raise RefusalError(500, "the file is empty", upload=True)
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise NeverAnsweredError from error
    specs: dict[str, Any] = {}
    try:
        for document in documents:
            if not isinstance(document, dict):
                raise RefusalError(400, "unknown template format", upload=True)
            platform = "platforms" in document
            message = pipeline_spec_pb2.PlatformSpec() if platform else pipeline_spec_pb2.PipelineSpec()
            json_format.ParseDict(document, message)
            specs["platform_spec" if platform else "pipeline_spec"] = document
    except json_format.ParseError as error:
        raise RefusalError(400, f"unknown template format: {error}", upload=True) from error
    spec = specs.get("pipeline_spec")
    if not spec:
        raise RefusalError(400, "no pipeline spec is provided", upload=True)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", spec.get("pipelineInfo", {}).get("name", "")):
        raise RefusalError(
            400, "invalid v2 pipeline spec: name should consist of lower case, digits and -", upload=True
        )
    if not spec.get("root"):
        raise RefusalError(400, "invalid v2 pipeline spec: root component is empty", upload=True)
    if spec.get("schemaVersion") != "2.1.0":
        raise RefusalError(400, "invalid v2 pipeline spec: the schema version is not 2.1.0", upload=True)
    return specs if "platform_spec" in specs else spec


def check_parameters(spec: dict[str, Any], given: dict[str, Any]) -> None:
    """As ``validatePipelineJobInputs`` does (backend/src/apiserver/template/v2_template.go)."""
    spec = spec.get("pipeline_spec", spec)
    wanted = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, parameter in wanted.items():
        if name in given:
            _check_kind(name, parameter["parameterType"], given[name])
        elif not parameter.get("isOptional") and "defaultValue" not in parameter:
            raise RefusalError(
                400, f"parameter {name} is not optional, yet has neither default value nor user provided value"
            )
    if extra := sorted(set(given) - set(wanted)):
        raise RefusalError(400, f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")


def _check_kind(name: str, kind: str, value: Any) -> None:
    if kind.startswith("NUMBER_"):
        good, word = isinstance(value, int | float) and not isinstance(value, bool), "double or integer"
    else:
        wanted, word = KINDS[kind]
        good = isinstance(value, wanted)
    if not good:
        raise RefusalError(
            400, f"input parameter {name} requires type {word}, but the input parameter is not of that type"
        )


def check_cron(text: str) -> None:
    """As robfig/cron's ``Parse`` does: six fields, or five (which mean something else), or a descriptor."""
    try:
        robfig.parse(text)
    except ValueError as error:
        message = f"Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron). Error: {error}"
        raise RefusalError(400, message) from error


def check_column(name: str, text: str, size: int) -> None:
    """As the database does, in strict mode."""
    if len(text) > size:
        raise RefusalError(500, f"Error 1406 (22001): Data too long for column '{name}' at row 1")
