"""A check of a run's parameters: Kubeflow's client and server check neither names nor types."""

from collections.abc import Mapping
from typing import Any

import yaml

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.hardware.pods import Loader

# kfp's parameter types -> the Python types that the backend can use.
TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "STRUCT": (dict,),
    "LIST": (list,),
}
WORDS = {"STRING": "a text", "STRUCT": "a table", "LIST": "a list", "BOOLEAN": "true or false"}


def check(text: str, arguments: Mapping[str, Any]) -> None:
    """Check a run's parameters against the inputs of the compiled file.

    Args:
        text: the compiled file.
        arguments: name -> value.

    Raises:
        StepError: a name is unknown, a value has another type than the input, or an input without a default is missing.
    """
    inputs = next(yaml.load_all(text, Loader))["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, value in arguments.items():
        if name not in inputs:
            raise StepError(f"the pipeline has no parameter {name!r}", advice=nearest(name, inputs), kind="settings")
        kind = inputs[name]["parameterType"]
        wrong = not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "BOOLEAN")
        if wrong:
            expected = WORDS.get(kind, "a number")
            raise StepError(
                f"the pipeline's parameter {name} is {expected}, not {value!r}",
                advice="the server would accept it and silently drop it",
                kind="settings",
            )
    missing = [name for name, body in inputs.items() if name not in arguments and not body.get("isOptional")]
    if missing:
        raise StepError(f"the pipeline's parameter {missing[0]} is not given", kind="settings")
