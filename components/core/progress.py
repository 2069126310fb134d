"""Lines of progress from inside a step to whoever watches the run."""

import json
import os
import time
from pathlib import Path
from typing import Any

from components.core import secrets


def report(step: str, **values: Any) -> None:
    """Append one line of JSON to the run's ``progress.jsonl``; outside a local run, do nothing.

    Args:
        step: the step that speaks.
        values: what it says: ``state``, ``note``, ``epoch``, ``epochs``, ``batch``, ``batches``, ``loss``, ``rate``
            (examples a second), ``done`` and ``total``.
    """
    folder = os.environ.get("SUANLI_RUN", "")
    if not folder:
        return
    line = json.dumps({"time": round(time.time(), 3), "step": step, **secrets.cleaned(values)})
    with (Path(folder) / "progress.jsonl").open("a") as stream:
        stream.write(line + "\n")
