"""The model card: a model's purpose, origin, quality and limits, as a page and in Markdown.

Its sections follow M. Mitchell et al., Model Cards for Model Reporting, FAT* 2019 (arXiv:1810.03993).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from components.core import reports
from components.core.choices import title
from components.core.examples import PreparedData
from components.core.markdown import escape, paragraph, table
from components.export import usage
from components.export.accepted import Verdict
from components.export.runtime import QUANTIZED
from components.tasks.contract import Task


@dataclass(frozen=True)
class Table:
    """Rows with a header."""

    head: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Section:
    """One section, with any of sentences, facts, a table, and code to copy (title -> lines)."""

    title: str
    sentences: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    table: Table | None = None
    code: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    title: str
    subtitle: str
    parts: list[Section]


def card(
    name: str,
    version: str,
    task: Task,
    data: PreparedData,
    training: Mapping[str, Any],
    verdict: Verdict,
    formats: Mapping[str, Mapping[str, Any]],
    left_out: Mapping[str, str],
    fingerprints: Mapping[str, str],
) -> Card:
    """The card of a version.

    Args:
        task: has the model's description and limits.
        training: the record of train.
        formats: format -> size, differences and latencies.
        left_out: format -> reason.
        fingerprints: name -> digest.
    """
    return Card(
        f"Model card: {name}",
        f"version {version}",
        [
            _summary(task, data, training, verdict),
            _limits(task, data, verdict),
            _metrics(verdict),
            _slices(verdict),
            Section("Decision", list(verdict.reasons), {"compared with": verdict.champion or "no champion yet"}),
            _data(data),
            _training(training),
            _formats(formats, left_out, verdict.metric),
            _use(name, task, formats),
            Section("Fingerprints", table=Table(("what", "digest"), sorted(fingerprints.items()))),
        ],
    )


def _summary(task: Task, data: PreparedData, training: Mapping[str, Any], verdict: Verdict) -> Section:
    metric = verdict.metric
    return Section(
        "Model",
        [title(task.module)],
        {
            metric: _number(verdict.metrics[metric]),
            "95% interval": _interval(verdict, metric),
            "test examples": verdict.examples,
            "architecture": training.get("name", ""),
            "parameters": training.get("parameters", 0),
            **task.report.description(),
            **_baseline(verdict),
        },
    )


def _baseline(verdict: Verdict) -> dict[str, str]:
    """The baseline's paired metric, if any."""
    value = verdict.baseline.get(f"baseline_{verdict.metric}")
    return {} if value is None else {f"{verdict.metric} of the baseline": _number(value)}


def _interval(verdict: Verdict, name: str) -> str:
    ends = verdict.interval(name)
    return f"{_number(ends[0])} to {_number(ends[1])}" if ends else ""


def _limits(task: Task, data: PreparedData, verdict: Verdict) -> Section:
    sentences = [
        f"All figures come from the test split of {data.source}; they say nothing about inputs of another origin.",
        *task.report.limits(),
    ]
    worst = next((one for one in verdict.slices if one["name"] == verdict.worst_slice), None)
    if worst and verdict.metric in worst["metrics"]:
        value = _number(worst["metrics"][verdict.metric])
        sentences.append(
            f"It is at its weakest on {worst['name']}: {verdict.metric} {value} on {worst['examples']:,} examples."
        )
    if small := [one["name"] for one in verdict.slices if not one["counts"]]:
        least = verdict.settings.get("min_slice", 0)
        sentences.append(f"Slices of fewer than {least:,} examples did not count for the decision: {', '.join(small)}.")
    sentences.append("The quantized formats give slightly other outputs; how much is in the table of formats.")
    return Section("Limits", sentences)


def _metrics(verdict: Verdict) -> Section:
    rows = [(name, verdict.metrics[name], _interval(verdict, name)) for name in verdict.metric_names()]
    text = f"On {verdict.examples:,} test examples, with 95% intervals where they were computed."
    return Section("Metrics", [text], table=Table(("metric", "value", "95% interval"), rows))


def _slices(verdict: Verdict) -> Section:
    names = dict.fromkeys(name for one in verdict.slices for name in one["metrics"])
    shown = list(dict.fromkeys([verdict.metric, *(name for name in names if not name.endswith(("_low", "_high")))]))
    rows = [
        (
            one["name"],
            one["examples"],
            *(one["metrics"].get(name, "") for name in shown),
            _slice_interval(one, verdict),
        )
        for one in verdict.slices
    ]
    head = ("slice", "examples", *shown, f"interval of {verdict.metric}")
    return Section(
        "Slices", ["Intervals of slices that count are corrected for their number."], table=Table(head, rows)
    )


def _slice_interval(one: Mapping[str, Any], verdict: Verdict) -> str:
    low, high = (one["metrics"].get(f"{verdict.metric}_{end}") for end in ("low", "high"))
    return "" if low is None or high is None else f"{_number(low)} to {_number(high)}"


def _data(data: PreparedData) -> Section:
    facts: dict[str, Any] = {"source": data.source, "fingerprint": data.fingerprint}
    if licence := data.info.get("licence"):
        facts["licence"] = licence
    order = [split for split in ("train", "validation", "test") if split in data.splits]
    facts |= {f"{split} examples": data.splits[split] for split in (*order, *sorted(set(data.splits) - set(order)))}
    names = data.info.get("classes", [])
    listed = ", ".join(map(str, names[:50])) + (f" and {len(names) - 50:,} more" if len(names) > 50 else "")
    sentences = [data.info.get("text", ""), f"Classes: {listed}." if names else ""]
    return Section("Data", [sentence for sentence in sentences if sentence], facts)


def _training(training: Mapping[str, Any]) -> Section:
    names = ("epochs", "best_epoch", "backend", "precision", "seed", "threads")
    facts = {name.replace("_", " "): training[name] for name in names if name in training}
    versions = training.get("versions", {})
    sentences = [
        f"Its first part was computed by other code: it went on {position}."
        for position in training.get("other_code", [])
    ]
    return Section("Training", sentences, facts | {f"{name} version": versions[name] for name in sorted(versions)})


def _formats(formats: Mapping[str, Mapping[str, Any]], left_out: Mapping[str, str], metric: str) -> Section:
    rows = [
        (
            name,
            f"{measured['bytes'] / 1e6:.3g} MB",
            f"{measured['difference']:.1e}",
            f"{measured['metric_change']:+.4f}",
            *(measured[f"p{percent}_us_batch{size}"] for size in (1, 64) for percent in (50, 99)),
        )
        for name, measured in formats.items()
    ]
    head = ("format", "size", "difference", f"{metric} change", "p50 of 1", "p99 of 1", "p50 of 64", "p99 of 64")
    quantized = ", ".join(name for name in formats if name in QUANTIZED)
    latency = "microseconds of a call with 1 and with 64 inputs on the machine that exported"
    sentences = [
        "Difference: the largest in any output, relative to the Keras model's largest output, on real test examples.",
        f"Latency: {latency}; LiteRT and ONNX Runtime with one thread.",
    ]
    if quantized:
        sentences.append(f"Quantized: {quantized}.")
    sentences += [f"Left out: {name} ({reason})." for name, reason in left_out.items()]
    return Section("Formats", sentences, table=Table(head, rows))


def _use(name: str, task: Task, formats: Mapping[str, Mapping[str, Any]]) -> Section:
    code = usage.code(name, formats, task.report.preprocessing())
    sentences = ["The command prepares its inputs exactly as training did."]
    if len(code) > 1:
        sentences.append("The code is for the version's folder, where the formats are.")
    if outputs := task.report.outputs():
        sentences.append(f"Outputs: {outputs}.")
    return Section("Use", sentences, code=code)


# --- renderings ------------------------------------------------------------------------------------------------------


def html(content: Card) -> str:
    """The card as a page."""
    return reports.page(content.title, *map(_section, content.parts), subtitle=content.subtitle)


def _section(part: Section) -> Markup:
    blocks = [reports.text(sentence) for sentence in part.sentences]
    if part.facts:
        blocks.append(reports.facts(part.facts))
    if part.table:
        blocks.append(reports.table(part.table.head, part.table.rows))
    for runtime, code in part.code.items():
        blocks += [Markup("<h3>{}</h3>").format(runtime), reports.code(code)]
    return reports.section(part.title, *blocks)


def markdown(content: Card) -> str:
    """The card as Markdown with pipe tables."""
    lines = [f"# {escape(content.title)}", "", paragraph(content.subtitle)]
    for part in content.parts:
        lines += ["", f"## {escape(part.title)}"]
        for sentence in part.sentences:
            lines += ["", paragraph(sentence)]
        if part.facts:
            lines += ["", *(f"- {paragraph(name)}: {escape(_plain(value))}" for name, value in part.facts.items())]
        if part.table:
            lines += ["", *table(part.table.head, ([_plain(cell) for cell in row] for row in part.table.rows))]
        for runtime, code in part.code.items():
            lines += ["", f"### {escape(runtime)}", "", "```", *code.splitlines(), "```"]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    return str(reports.format_value(value).unescape())


def _number(value: float) -> str:
    return f"{value:.4f}"
