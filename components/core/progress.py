"""Progress of a step, reported to the run."""

import json
import os
import time
from pathlib import Path
from typing import Any

from components.core import secrets


def report(step: str, **values: Any) -> None:
    """Append one line of JSON to the run's ``progress.jsonl``; outside a local run, do nothing.

    Args:
        step: the step that reports.
        values: any of ``state``, ``note``, ``epoch``, ``epochs``, ``batch``, ``batches``, ``loss``, ``rate`` (examples
            per second), ``done`` and ``total``.
    """
    folder = os.environ.get("SUANLI_RUN", "")
    if not folder:
        return
    line = json.dumps({"time": round(time.time(), 3), "step": step, **secrets.redact(values)})
    with (Path(folder) / "progress.jsonl").open("a") as stream:
        stream.write(line + "\n")


def log(step: str, note: str) -> None:
    """Print a line and report it as a note."""
    print(note, flush=True)
    report(step, note=note)
