"""``index.html``: a run on one page, with relative links to all that it produced."""

import shutil
import time
from typing import Any

from markupsafe import Markup

from components.core import reports
from components.core.files import write_atomically
from components.steps import STEPS
from pipelines.runs import failure
from pipelines.runs.display import headline, outcome, seconds
from pipelines.runs.folder import COMPILED, RECORD, Run

FILE = "index.html"


def write(run: Run, values: dict[str, Any]) -> None:
    """Write the page of a run that has ended."""
    parts = [
        _decision(values),
        reports.section("Reports", _list(_reports(run))),
        reports.section("Metrics", reports.facts(headline(values["metrics"]))) if values["metrics"] else "",
        reports.section("Steps", _steps(values)),
        reports.section("Settings", *_settings(values)),
        reports.section("Where and with what", reports.facts(_circumstances(values))),
        reports.section("Logs", _list(_logs(run))),
    ]
    subtitle = " ".join(values["description"].split())
    text = reports.page(
        f"{values['experiment']}: {values['status']}", *(part for part in parts if part), subtitle=subtitle
    )
    write_atomically(run.folder / FILE, text)


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
                target = run.folder / "reports" / report.file
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(source, target)
                links.append((f"reports/{report.file}", report.label))
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
        (name, step["state"], _unbroken(seconds(step.get("seconds", 0))), _memory(step), _origin(step), step["image"])
        for name, step in values["steps"].items()
    ]
    return reports.table(("step", "state", "time", "memory", "result", "image tag"), rows)


def _memory(step: dict[str, Any]) -> str:
    return _unbroken(f"{step['peak_mb']:,} MB") if "peak_mb" in step else ""


def _unbroken(text: str) -> str:
    """The text with spaces that do not break: a number and its unit stay on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _origin(step: dict[str, Any]) -> str:
    if step.get("cached"):
        return f"taken from run {step['from']}"
    if step.get("changed"):
        shown = step["changed"][:3]
        more = f" and {len(step['changed']) - 3} more" if len(step["changed"]) > 3 else ""
        return f"computed; changed: {'; '.join(shown)}{more}"
    return "computed" if "seconds" in step else ""


def _settings(values: dict[str, Any]) -> list[Markup]:
    parts = []
    for section, settings in values["parameters"].items():
        shown = {key: _plain(value) for key, value in settings.items() if key != "schema_version"}
        parts += [Markup("<h3>{}</h3>").format(section), reports.facts(shown)]
    return parts


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
