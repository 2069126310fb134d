"""Versions of a few bytes, all of whose content follows from their names."""

import json
from pathlib import Path

MODEL, VERSION = "model.keras", "version.json"


def written(folder: Path, text: str, measured: int = 0) -> Path:
    """A version's folder, as export leaves it.

    Args:
        text: its weights.
        measured: what was timed, which differs from run to run.
    """
    (folder / "formats").mkdir(parents=True)
    (folder / MODEL).write_text(text)
    (folder / "formats" / "model.tflite").write_text(f"{text} for a phone")
    (folder / "card.md").write_text(f"# {text}\n\n{measured} microseconds\n")
    described = {
        "text": text,
        "metrics": {"accuracy": 0.5},
        "paired_metric": "accuracy",
        "formats": {"litert": {"bytes": measured}},
    }
    (folder / VERSION).write_text(json.dumps(described))
    return folder
