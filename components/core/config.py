"""The sections of an experiment: frozen, validated, and the only settings of a step."""

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from components.core import secrets
from components.core.choices import load, nearest
from components.core.errors import StepError
from components.core.plain import is_visible

# Settings with these prefixes say when training saves and when it gives up, not what it computes, so checkpoints and
# cached results do not depend on them.
NOT_IN_RESULT = ("checkpoint_", "stall_")
# Characters of a refused text in its message.
SHOWN = 60

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


def _parts(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


# For fields of several values: ``--set section.field=one,two`` gives one string.
FROM_ONE_LINE = BeforeValidator(_parts)


class Section(BaseModel):
    """One section of an experiment. Each field is a setting for ``--set section.field=value``."""

    # Without hide_input_in_errors, pydantic repeats part of an invalid value, which may be a secret.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    schema_version: Literal[1] = 1

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, values: Any) -> Any:
        """Settings appear in records, compiled files and reports, so they must be readable, and not secrets."""
        return refuse_unfit(values)

    def parameters(self) -> dict[str, Any]:
        """The section as a pipeline parameter: JSON values of all fields."""
        return self.model_dump(mode="json")

    def fingerprint(self) -> str:
        """A digest of the values that affect the result."""
        values = self.parameters().items()
        return fingerprint({name: value for name, value in values if not name.startswith(NOT_IN_RESULT)})


SECTIONS = ("data", "model", "training", "evaluation", "export")
# By name, so that a step's image contains, and its tag depends on, only the sections that it reads.
FIXED = {
    "training": "components.train.settings:TrainingSettings",
    "export": "components.export.settings:ExportSettings",
}


def section_class(section: str, values: Mapping[str, Any], task: str = "") -> type[Section]:
    """The class of a section: that of the data source, of the model, or of the task for evaluation.

    Raises:
        StepError: the section names a data source, model or task that does not exist.
    """
    if section in FIXED:
        path, _, name = FIXED[section].partition(":")
        fixed: type[Section] = getattr(importlib.import_module(path), name)
        return fixed
    if section == "evaluation":
        module = load("tasks", task)
    else:
        module = load("data" if section == "data" else "models", str(values.get("name", "")))
    chosen: type[Section] = module.Settings
    return chosen


def validated(section: str, values: Mapping[str, Any], task: str = "") -> Any:
    """A section from its pipeline parameter, in which all keys are required.

    Raises:
        StepError: a key is missing or unknown, or a value is invalid.
    """
    cls = section_class(section, values, task)
    missing = sorted(set(cls.model_fields) - set(values))
    if missing:
        raise StepError(
            f"the section {section!r} lacks {', '.join(missing)}",
            advice="compile the pipeline again with this version",
            kind="settings",
        )
    return checked(section, cls, values)


def checked(section: str, cls: type[Section], values: Mapping[str, Any]) -> Any:
    """Validate a section.

    Raises:
        StepError: the first error in one line, with the nearest setting for a misspelt one.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise one_line_error(section, cls, error) from None


def one_line_error(section: str, cls: type[Section], error: ValidationError) -> StepError:
    """The first error of a section in one line, with the nearest setting for a misspelt one."""
    first = error.errors()[0]
    where = ".".join([section, *(str(part) for part in first["loc"])])
    if first["type"] == "extra_forbidden":
        settings = [name for name in cls.model_fields if name != "schema_version"]
        return StepError(f"unknown setting {where}", advice=nearest(str(first["loc"][-1]), settings), kind="settings")
    got = "" if first["type"] in {"missing", "value_error"} else f", not {first['input']!r}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return StepError(f"{where}: {message}{got}", kind="settings")


def from_text(cls: type[Section], name: str, text: str) -> Any:
    """The value of a setting as it was typed: a text stays one if the setting takes it, so a version 1.10 is not 1.1;
    else it is JSON, or several values between commas. The section's validation says what is wrong with it."""
    value, inner = _json(text), text.strip()
    inner = inner[1:-1] if inner[:1] + inner[-1:] in {"()", "[]"} else inner
    parts = [part.strip() for part in inner.split(",") if part.strip()]
    if name not in cls.model_fields:
        return value
    annotation = cls.model_fields[name].rebuild_annotation()
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    # A text in quotes is JSON, too: someone has quoted it twice.
    for candidate in (value if isinstance(value, str) else text, value, parts, [_json(part) for part in parts]):
        with suppress(ValidationError):
            adapter.validate_python(candidate)
            return candidate
    return parts if isinstance(value, str) and "tuple[" in str(annotation) else value


def _json(text: str) -> Any:
    """The JSON value of a text, or the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def refuse_unfit(values: Any) -> Any:
    """The values, unchanged.

    Raises:
        ValueError: one of them looks like a secret, which the message does not repeat, or has characters that mislead a
            reader or that Kubeflow replaces.
    """
    where, kind = secrets.find(values)
    if kind:
        raise ValueError(
            f"{where} looks like {kind}, which records and compiled files would contain: sign in with the machine's "
            "or the pod's own account instead"
        )
    for where, text in _texts(values):
        if not is_visible(text):
            raise ValueError(f"{where} is not one line of visible characters: {text[:SHOWN]!r}")
        if "{{" in text:
            raise ValueError(f"{where} contains {{{{, which Kubeflow replaces by another value: {text[:SHOWN]!r}")
    return values


def _texts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Location and text of each string in a value, names included."""
    if isinstance(value, str):
        yield where or "a text", value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield where or "a name", str(name)
            yield from _texts(part, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _texts(part, f"{where}.{number}")


def fingerprint(value: Any) -> str:
    """A digest (16 hexadecimal digits) of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
