"""The verdict: the results and decision of evaluate, in files for export and programs."""

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.core.files import write_atomically
from components.core.markdown import escape
from components.evaluate.gate import TITLES, Decision, Slice

VERDICT, PREDICTIONS, LABELS = "verdict.json", "predictions.npz", "predictions.jsonl"
# In predictions.npz: the paired metric of each example, and what the names of the truth begin with.
SCORES, TRUTH = "paired_metric", "true_"
# Further decimals depend on the number of threads.
DIGITS = 6


def flat(values: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Metrics and their 95% intervals as one level of names: ``accuracy``, ``accuracy_low``, ``accuracy_high``.

    Values that are not finite are left out: JSON, and so Kubeflow, does not have them.
    """
    metrics = dict(values)
    for name, (low, high) in intervals.items():
        metrics |= {f"{name}_low": low, f"{name}_high": high}
    return {name: round(float(value), DIGITS) for name, value in sorted(metrics.items()) if math.isfinite(value)}


def markdown(decision: Decision) -> str:
    """The decision with its reasons, for Kubeflow."""
    marks = {"good": "✓", "bad": "✗", "warning": "!", "info": "·"}
    lines = [f"- {marks[reason.kind]} {escape(reason.text)}" for reason in decision.reasons]
    return "\n".join([f"# {TITLES[decision.outcome]}", "", *lines, ""])


def write(
    folder: Path,
    decision: Decision,
    slices: Sequence[Slice],
    predicted: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    predictions: Sequence[Mapping[str, Any]],
    scores: np.ndarray,
    facts: Mapping[str, Any],
) -> None:
    """Write the folder; equal evaluations give equal bytes.

    ``predictions.npz`` has the model's outputs for each test example, its key, its truth (``true_label``) and its
    paired metric; ``predictions.jsonl`` has the task's predictions from them, one line per example, which ``predict``
    must reproduce.

    Args:
        scores: the paired metric of each example, float64 [n].
        facts: further values for verdict.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = [key.decode() if isinstance(key, bytes) else str(key) for key in truth["key"].tolist()]
    arrays = {name: _plain(values) for name, values in predicted.items()}
    arrays |= {f"{TRUTH}{name}": _plain(values) for name, values in truth.items() if name != "key"}
    arrays |= {"key": np.array(keys), SCORES: scores}
    temporary = folder / f".{PREDICTIONS}"
    _save(temporary, arrays)
    temporary.replace(folder / PREDICTIONS)
    lines = (json.dumps({"key": key} | dict(one)) for key, one in zip(keys, predictions, strict=True))
    write_atomically(folder / LABELS, "\n".join(lines) + "\n")
    values = {
        "accepted": decision.accepted,
        "reasons": [reason.text for reason in decision.reasons],
        **facts,
        "slices": [_slice(one) for one in slices],
    }
    # Last: a folder without it is not complete.
    write_atomically(folder / VERDICT, json.dumps(values, indent=1, sort_keys=True, allow_nan=False))


def _plain(values: np.ndarray) -> np.ndarray:
    """The array without objects, which would need pickle: byte strings get one length, padded with zero bytes."""
    return values if values.dtype != object else np.array([bytes(value) for value in values], np.bytes_)


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Like ``numpy.savez``, but with equal bytes from all patch versions of Python, whose zip headers differ."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, values, allow_pickle=False)
            # A member without a date of its own has 1980-01-01.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())


def _slice(one: Slice) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": one.name,
        "examples": one.n,
        "counts": one.counts,
        "metrics": flat(one.values, one.intervals),
    }
    if one.champion:
        values["difference"] = flat(
            {"difference": one.champion.difference}, {"difference": (one.champion.low, one.champion.high)}
        )
    return values
