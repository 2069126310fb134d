"""The words of the field: names that said nothing to a newcomer do not come back."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for package in ("components", "pipelines") for path in (ROOT / package).rglob("*.py"))
# A name that is gone -> what the field calls it.
MODULES = {
    "aside": "staging",
    "patience": "retry",
    "pulse": "watchdog",
    "watch": "callbacks",
    "parts": "callbacks",
    "spent": "goodput",
    "telling": "logging",
    "stopping": "preemption",
    "waiting": "input_wait",
    "intervals": "checkpoint_timer",
    "saving": "checkpoint_file",
    "saver": "checkpoint_callback",
    "checkpoints": "checkpoint_store",
    "looks": "reads",
    "wire": "request",
    "asked": "options",
    "keeper": "reaper",
    "cause": "failure",
    "ended": "failure",
    "failures": "failure",
    "rooms": "choices",
    "running": "inference",
    "pieces": "subwords",
    "tokens": "words",
    "vocabularies": "vocabulary",
    "labelled": "sample",
    "lines": "estimate",
    "here": "local_machine",
    "choice": "placement_parameters",
    "finding": "check_result",
}
DEFINITIONS = {
    "beside": "staged_folder",
    "Pulse": "Watchdog",
    "Heart": "Watchdog",
    "Part": "Callback",
    "say": "log",
    "Ledger": "GoodputTracker",
    "Account": "GoodputTracker",
    "held": "sigterm_deferred",
    "timed": "measured",
    "Rhythm": "CheckpointTimer",
    "Way": "FollowOptions",
    "Look": "Read",
    "seen": "read",
    "tried": "read",
    "Wire": "Transport",
    "ask": "request",
    "once": "request_once",
    "Asked": "Options",
    "gathered": "resolve",
    "Runner": "Predictor",
    "Tokens": "SubwordTokenizer",
    "Encoder": "WordTokenizer",
    "Bytes": "ByteTokenizer",
    "Pairs": "BPETokenizer",
    "Choice": "Sampling",
    "chosen": "sample",
    "noise": "uniforms",
    "filled": "generate",
    "recomputed": "generate_without_cache",
    "stored": "to_records",
    "answers": "predict",
    "paired": "example_metric",
    "resampled": "confidence_intervals",
    "notable": "worst_examples",
    "feeding": "input_fn",
    "Kept": "Sample",
    "Line": "Estimate",
    "Course": "Duration",
    "Named": "NamedExperiment, ChampionPointer",
    "Finding": "CheckResult",
}
# As a name of anything: what it holds.
NAMES = dict.fromkeys(("found", "told", "laid", "kept", "place", "way", "look", "of"), "what it holds")
# Keys of cached profiles and of what doctor --json prints.
EXCEPT = {("components/profile/__init__.py", "kept"), ("pipelines/compile/check_result.py", "found")}
PHRASES = ("sign of the beginning", "what fills up", "where there is none", "that are no such")


def names(node: ast.AST) -> list[str]:
    """What a node defines or binds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name.lstrip("_")]
    if isinstance(node, ast.arg):
        return [node.arg]
    return [node.id] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else []


def test_names_are_the_fields_own() -> None:
    wrong = []
    for path in FILES:
        file, text = str(path.relative_to(ROOT)), path.read_text()
        if path.stem in MODULES or path.stem.endswith("_profile"):
            wrong.append(f"{file}: {MODULES.get(path.stem, 'summary')}")
        for node in ast.walk(ast.parse(text)):
            known = NAMES | (DEFINITIONS if hasattr(node, "body") else {})
            wrong += [
                f"{file}:{node.lineno} {name}: {known[name]}"  # type: ignore[attr-defined]
                for name in names(node)
                if name in known and (file, name) not in EXCEPT
            ]
    assert len(FILES) > 300 and wrong == []


def test_no_phrase_has_to_be_translated() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {phrase}"
        for path in FILES
        for phrase in PHRASES
        if re.search(phrase.replace(" ", r"\s+"), path.read_text())
    ]
    assert wrong == []
