"""Print the profile of a model section: ``python -m components.profile``, with a JSON request on stdin."""

import json
import os
import re
import sys
from typing import Any

BOLD = re.compile(r"\x1b\[[0-9;]*m")


def main() -> None:
    """Read ``{"model": section, "arguments": {...}}``, write the profile's record as one line of JSON.

    The arguments are those of the model's ``build`` beside its settings, as the task expects them.
    """
    request = json.load(sys.stdin)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Tracing executes nothing: it must not wait for, or take, an accelerator's memory.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from components.core.choices import load
    from components.core.config import validated
    from components.core.errors import StepError
    from components.profile import counting

    try:
        architecture = validated("model", request["model"])
        module = load("models", architecture.name)
        # JSON has no tuples, and a shape is one.
        arguments = {name: tuple(one) if isinstance(one, list) else one for name, one in request["arguments"].items()}

        def build() -> Any:
            return module.build(architecture, **arguments)

        answer = counting.of(build).record()
    except StepError as error:
        answer = {"error": error.message, "advice": error.advice}
    except Exception as error:  # a model's own code may raise anything
        answer = {"error": f"model {request['model'].get('name')}: {_told(error)}", "advice": ""}
    print(json.dumps(answer))


def _told(error: Exception) -> str:
    """An exception in one line: Keras writes several, in bold, the cause after a line that says where."""
    lines = [line.strip() for line in BOLD.sub("", str(error)).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"


if __name__ == "__main__":
    main()
