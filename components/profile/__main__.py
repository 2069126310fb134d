"""Print the profile of a model section: ``python -m components.profile``, with a JSON request on stdin."""

import json
import os
import re
import sys

from components.core.choices import load
from components.core.config import validated
from components.core.errors import StepError

BOLD = re.compile(r"\x1b\[[0-9;]*m")


def main() -> None:
    """Read ``{"model": section, "arguments": {...}}`` and write the profile's record as one line of JSON.

    The arguments are those of the model's ``build`` other than its settings.
    """
    request = json.load(sys.stdin)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Tracing executes nothing, so it should not reserve an accelerator.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from components.profile import counting  # Keras reads KERAS_BACKEND when it is imported

    try:
        architecture = validated("model", request["model"])
        module = load("models", architecture.name)
        # Shapes are tuples, which JSON does not have.
        arguments = {name: tuple(one) if isinstance(one, list) else one for name, one in request["arguments"].items()}

        answer = counting.profile(lambda: module.build(architecture, **arguments)).record()
    except StepError as error:
        answer = {"error": error.message, "advice": error.advice}
    except Exception as error:  # a model's own code may raise anything
        answer = {"error": f"model {request['model'].get('name')}: {_one_line(error)}", "advice": ""}
    print(json.dumps(answer))


def _one_line(error: Exception) -> str:
    """An exception in one line. Keras writes several, in bold: first the location, then the cause."""
    lines = [line.strip() for line in BOLD.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"


if __name__ == "__main__":
    main()
