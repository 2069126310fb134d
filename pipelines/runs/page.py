"""``index.html``: a run on one page, with relative links to all that it produced."""

import json
import shutil
import time
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from pydantic_core import to_jsonable_python

from components.core import estimates, reports
from components.core.config import section_class
from components.core.errors import StepError
from components.core.estimates import Estimate
from components.core.files import write_atomically
from components.core.reports import unbroken
from components.steps import STEPS
from pipelines.runs import champion, display, failure, navigation
from pipelines.runs.display import outcome, seconds
from pipelines.runs.folder import COMPILED, RECORD, Run

FILE = navigation.FILE
LATENCY = "latency_ms_"
# Step, output and which of its files a reader may want.
DOWNLOADS = (("export", "exported", "model*"), ("evaluate", "verdict", "predictions.jsonl"))
MISSING = object()


def write(run: Run, values: dict[str, Any]) -> None:
    """Write the page of a run that has ended, and the links between all its pages."""
    verdict = _verdict(run)
    links = _reports(run)
    champion.add(run, values, str(verdict.get("champion") or ""))
    navigation.insert(run, values)
    parts = [
        _decision(values),
        *_headline(values, verdict),
        reports.facts(_summary(values)),
        reports.section("Metrics", *_metrics(values), half=True) if values["metrics"] else "",
        reports.section("Settings", *_settings(values), half=True),
        reports.section("Steps", _steps(values)),
        reports.section("Reports and downloads", _list([*links, *_downloads(run)]), half=True),
        reports.section("Logs", _list(_logs(run)), half=True),
        reports.section("Where and with what", reports.facts(_circumstances(values))),
    ]
    subtitle, _, rest = values["description"].partition("\n\n")
    text = reports.page(
        f"{values['experiment']}: {values['status']}",
        *(part for part in parts if part),
        *([reports.folded("More about this experiment", reports.code(rest.strip()))] if rest.strip() else []),
        subtitle=" ".join(subtitle.split()),
        navigation=navigation.bar(run, values, FILE),
    )
    write_atomically(run.folder / FILE, text)


def _verdict(run: Run) -> dict[str, Any]:
    """What evaluate has written of its comparison; empty if it has not."""
    folder = run.output("evaluate", "verdict")
    try:
        values = json.loads((folder / "verdict.json").read_text()) if folder else {}
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _headline(values: dict[str, Any], verdict: dict[str, Any]) -> list[Markup]:
    """The paired metric, the bound and the champion on one axis."""
    metric, metrics = display.paired_metric(values), values["metrics"]
    value = metrics.get(metric)
    if not isinstance(value, int | float):
        return []
    change = (verdict.get("comparison") or {}).get("difference")
    rival = (str(verdict.get("champion")), None if change is None else value - change)
    bounds = [
        (bound["relation"], bound["bound"])
        for bound in values["parameters"].get("evaluation", {}).get("require", [])
        if bound["metric"] == metric
    ]
    share = metric in display.shares(values)
    ours = Estimate(value, display.interval(metrics, metric))
    baseline = {"baseline": metrics.get(f"baseline_{metric}") or verdict.get("baseline", {}).get(f"baseline_{metric}")}
    return [
        estimates.verdict(metric, ours, share=share, bounds=bounds, champion=rival, others=baseline),
    ]


def _metrics(values: dict[str, Any]) -> list[Markup]:
    """The metrics of quality with their intervals; times apart, with their unit."""
    every = {
        name: value
        for name, value in values["metrics"].items()
        if isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith(("_low", "_high"))
    }
    quality = {name: float(value) for name, value in every.items() if not name.startswith(LATENCY)}
    intervals = {name: ends for name in quality if (ends := display.interval(values["metrics"], name))}
    times = {
        name.removeprefix(LATENCY).replace("_", " "): f"{value:.2f}\N{NO-BREAK SPACE}ms"
        for name, value in every.items()
        if name.startswith(LATENCY)
    }
    parts = [estimates.metrics(quality, intervals, display.shares(values), {}, [])]
    return parts + ([Markup("<h3>Latency of a call</h3>"), reports.facts(times)] if times else [])


def _summary(values: dict[str, Any]) -> dict[str, Any]:
    data, model, training = (values["parameters"].get(section, {}) for section in ("data", "model", "training"))
    return {
        "data": data.get("name", ""),
        "model": model.get("name", ""),
        "epochs": training.get("epochs", ""),
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(values["started"])),
        "took": unbroken(seconds(values["seconds"])),
    }


def _decision(values: dict[str, Any]) -> Markup | str:
    note = Markup("")
    if cause := values.get("cause"):
        note = reports.note(failure.line(cause), "bad") + (reports.code(cause["details"]) if cause["details"] else "")
    if values["status"] == "interrupted":
        return note + reports.note(f"Interrupted. To continue: suanli run --resume {values['id']}", "warning")
    if note:
        return note
    decided = outcome(values)
    if not decided:
        return ""
    verdict = {
        "accepted": "The model was accepted.",
        "refused": "The model was refused: the champion stays.",
        "unchanged": "Nothing new: the model has the champion's weights, and the champion stays.",
    }[decided]
    lines = Markup("<br>").join([verdict, *values["reasons"]])
    return reports.note(lines, "good" if decided == "accepted" else "warning" if decided == "refused" else "info")


def _reports(run: Run) -> list[tuple[str, str]]:
    """Copies under plain names, so that a browser knows their type and the folder can be moved."""
    links = []
    for step in STEPS.values():
        for output, report in step.reports.items():
            if source := run.output(step.name, output):
                target = run.folder / navigation.FOLDER / report.file
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, target)
                links.append((f"{navigation.FOLDER}/{report.file}", report.label))
    return links


def _downloads(run: Run) -> list[tuple[str, str]]:
    """The files of the exported model and the predictions; the links hold while the run's folder is whole."""
    links = []
    for step, output, names in DOWNLOADS:
        folder = run.output(step, output)
        for path in sorted(folder.glob(names)) if folder and folder.is_dir() else ():
            if path.is_file():
                size = f"{path.stat().st_size / 1e6:,.2f}\N{NO-BREAK SPACE}MB"
                links.append((quote(str(path.relative_to(run.folder))), f"{path.name}, {size}"))
    return links


def _logs(run: Run) -> list[tuple[str, str]]:
    logs = sorted((run.folder / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    return [(f"log/{path.name}", path.stem) for path in logs] + [(COMPILED, "pipeline"), (RECORD, "record")]


def _list(links: list[tuple[str, str]]) -> Markup:
    if not links:
        return reports.text("None yet.")
    items = (Markup("<li>{}</li>").format(reports.link(target, label)) for target, label in links)
    return Markup("<ul>{}</ul>").format(Markup("").join(items))


def _steps(values: dict[str, Any]) -> Markup:
    rows = [
        (name, step["state"], unbroken(seconds(step.get("seconds", 0))), _memory(step), _origin(step), step["image"])
        for name, step in values["steps"].items()
    ]
    return reports.table(("step", "state", "time", "memory", "result", "image tag"), rows)


def _memory(step: dict[str, Any]) -> str:
    return unbroken(f"{step['peak_mb']:,} MB") if "peak_mb" in step else ""


def _origin(step: dict[str, Any]) -> str:
    if step.get("cached"):
        return f"taken from run {step['from']}"
    if step.get("changed"):
        shown = step["changed"][:3]
        more = f" and {len(step['changed']) - 3} more" if len(step["changed"]) > 3 else ""
        return f"computed; changed: {'; '.join(shown)}{more}"
    return "computed" if "seconds" in step else ""


def _settings(values: dict[str, Any]) -> list[Markup]:
    """The settings that differ from their defaults, and the others folded."""
    changed: list[list[Any]] = []
    same: list[list[Any]] = []
    for section, settings in values["parameters"].items():
        defaults = _defaults(section, values["parameters"])
        for key, value in settings.items():
            if key != "schema_version":
                name, default = f"{section}.{key}", defaults.get(key, MISSING)
                if default == value:
                    same.append([name, str(_plain(value))])
                else:
                    changed.append([name, str(_plain(value)), "none" if default is MISSING else str(_plain(default))])
    return [
        reports.table(["setting", "value", "default"], changed, numeric=False),
        reports.folded(
            f"{len(same)} settings with their defaults", reports.table(["setting", "value"], same, numeric=False)
        ),
    ]


def _defaults(section: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Setting -> its default as a JSON value, of those that have one; none if the section's class no longer exists."""
    try:
        cls = section_class(section, parameters[section], parameters.get("data", {}).get("task", ""))
        return {
            name: to_jsonable_python(field.get_default(call_default_factory=True))
            for name, field in cls.model_fields.items()
            if not field.is_required()
        }
    except (StepError, TypeError, ValueError):
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(str(_plain(part)) for part in value) or "none"
    if isinstance(value, dict):
        return " ".join(str(part) for key, part in value.items() if key != "schema_version")
    return str(value) if value != "" else "none"


def _circumstances(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": values["id"],
        "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(values["started"])),
        "took": seconds(values["seconds"]),
        "attempts": values["attempts"],
        "threads": values["threads"],
        "commit": values["commit"][:19] or "none",
        **({"checkpoints of other code": _origins(values)} if values.get("other_code") else {}),
        **values["versions"],
    }


def _origins(values: dict[str, Any]) -> str:
    """The checkpoints that other code had written, from which the run went on, and what has changed since."""
    return "; ".join(f"{one['checkpoints']} ({', '.join(one['changed'])})" for one in values["other_code"])
