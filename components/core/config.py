"""The sections of an experiment: frozen, checked at once, and the only settings a step ever sees."""

import hashlib
import importlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from components.core import secrets
from components.core.choices import load, nearest
from components.core.errors import StepError

# Settings of these names say how often training saves itself and when it gives up, never what it computes: a checkpoint
# serves, and a kept result too, whatever they are.
NOT_IN_RESULT = ("checkpoint_", "stall_")

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


def _parts(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


# For a field of several values: ``--set section.field=one,two`` comes as one text.
FROM_ONE_LINE = BeforeValidator(_parts)


class Section(BaseModel):
    """One section of an experiment. Every field is a setting that ``--set section.field=value`` reaches."""

    # pydantic would repeat a part of a refused value, which may be a secret.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    schema_version: Literal[1] = 1

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, values: Any) -> Any:
        """Settings go into records, compiled files and reports: what looks like a secret is none of them."""
        return without_secrets(values)

    def parameters(self) -> dict[str, Any]:
        """The section as a pipeline parameter: plain JSON values, every field present."""
        return self.model_dump(mode="json")

    def fingerprint(self) -> str:
        """A digest of the values that decide the result: equal settings give equal digests whatever wrote them."""
        values = self.parameters().items()
        return fingerprint({name: value for name, value in values if not name.startswith(NOT_IN_RESULT)})


SECTIONS = ("data", "model", "training", "evaluation", "export")
# Looked up by name, so that a step's image holds, and is named by, only the sections it reads.
FIXED = {
    "training": "components.train.settings:TrainingSettings",
    "export": "components.export.settings:ExportSettings",
}


def section_class(section: str, values: Mapping[str, Any], task: str = "") -> type[Section]:
    """The class that checks a section: a room's file decides it for data and model, the task for evaluation.

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
    """A step's section, read from its pipeline parameter: a missing key is an error, never a default.

    Raises:
        StepError: a key is missing, unknown or has an impossible value.
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
    """Validate a section and say the first thing wrong with it in one line.

    Raises:
        StepError: what is wrong, with the nearest setting's name for a misspelt one.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([section, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            known = [name for name in cls.model_fields if name != "schema_version"]
            raise StepError(
                f"unknown setting {where}", advice=nearest(str(first["loc"][-1]), known), kind="settings"
            ) from None
        got = "" if first["type"] in {"missing", "value_error"} else f", not {first['input']!r}"
        message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        raise StepError(f"{where}: {message}{got}", kind="settings") from None


def without_secrets(values: Any) -> Any:
    """The values as they are.

    Raises:
        ValueError: one looks like a secret; it is not repeated.
    """
    where, kind = secrets.found_in(values)
    if kind:
        raise ValueError(
            f"{where} looks like {kind}, which records and compiled files would repeat: let the machine's or the pod's "
            "own account sign in instead"
        )
    return values


def fingerprint(value: Any) -> str:
    """A digest (16 hexadecimal digits) of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
