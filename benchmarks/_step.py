"""The train step in a process of its own, as a run on this machine starts it: a JSON request on stdin."""

import json
import sys
from types import SimpleNamespace


def main() -> None:
    """Read ``parameters``, ``inputs`` and ``outputs`` (name -> path) and run the step."""
    from components.core import step

    request = json.load(sys.stdin)
    places = {
        side: {name: SimpleNamespace(path=path, uri="", metadata={}) for name, path in request[side].items()}
        for side in ("inputs", "outputs")
    }
    step.run("train", parameters=request["parameters"], **places)


if __name__ == "__main__":
    main()
