"""``suanli runs``: what ran on this machine, and why it came out as it did."""

import functools
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from components.core import plain
from components.core.errors import StepError
from pipelines.cli import output
from pipelines.local import session
from pipelines.runs import compare as comparison
from pipelines.runs import display, failure, folder, page
from pipelines.runs import prune as pruning

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(help="Look at runs on this machine.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="ID", help="A run's id, the beginning of one, or latest.")]
Runs = Annotated[Path | None, typer.Option("--runs", help="The folder of runs; also SUANLI_RUNS.")]
MODEL: dict[bool | None, str] = {True: "accepted", False: "refused"}
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _readable(command: Callable[P, R]) -> Callable[P, R]:
    """A command that tells of a record which is not as it was written, in place of the error that this leads to.

    Raises:
        StepError: something is missing or odd in a run's record.
    """

    @functools.wraps(command)
    def readable(*arguments: P.args, **options: P.kwargs) -> R:

        try:
            return command(*arguments, **options)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StepError(f"a run's record is damaged ({type(error).__name__}: {error})") from error

    return readable


@app.command("list")
@_readable
def list_(runs: Runs = None, as_json: AsJson = False) -> None:
    """List the runs, the newest last."""
    records = [run.read() for run in folder.every(folder.root(runs))]
    if as_json:
        output.as_document(records)
        return
    rows: list[tuple[Any, ...]] = [("id", "status", "model", "metric", "time")]
    for record in records:
        rows.append(
            (
                record["id"],
                record["status"],
                MODEL.get(record.get("accepted"), ""),
                display.metric(record["metrics"], display.paired_metric(record)),
                display.seconds(record.get("seconds", 0)),
            )
        )
    output.columns(rows)


@app.command()
@_readable
def show(which: Which = "latest", runs: Runs = None, as_json: AsJson = False) -> None:
    """Show a run: its steps, metrics and decision, and where its page lies."""
    run = folder.find(folder.root(runs), which)
    record = run.read()
    if as_json:
        output.as_document(record)
        return
    print(plain.one_line(f"{run.id}  {' '.join(record['description'].split())}"))
    cluster = record.get("cluster")
    display.summary(record, (cluster["link"] or cluster["run"]) if cluster else str(run.folder / page.FILE))
    if cluster:
        print(f"on {cluster['host']}, {', then '.join(cluster['accelerator'])}\n")
        output.columns(_predicted(record))
    if "cause" in record:
        print(plain.visible(f"{failure.line(record['cause'])}\n{record['cause']['details']}".strip()))


def _predicted(record: dict[str, Any]) -> list[tuple[str, ...]]:
    """Predicted time and cost of each step beside the actual ones; a total where all of a column is known."""
    predicted, steps = record.get("predicted", {}), record["steps"]
    rows: list[tuple[str, ...]] = [("step", "predicted", "actual", "predicted USD", "actual USD")]
    sums: list[list[float | None]] = []
    for name in dict.fromkeys([*steps, *predicted]):
        before, after = predicted.get(name, {}), steps.get(name, {})
        values = [before.get("seconds"), after.get("seconds"), before.get("usd"), after.get("usd")]
        sums.append(values)
        rows.append((name, *(display.seconds(value) if value else "" for value in values[:2]), *map(_usd, values[2:])))
    totals = [sum(part or 0 for part in column) if all(column) else None for column in zip(*sums, strict=True)]
    rows.append(("all", *(display.seconds(value) if value else "" for value in totals[:2]), *map(_usd, totals[2:])))
    return rows


def _usd(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value >= 1 else f"{value:.4f}"


@app.command()
@_readable
def compare(
    which: Annotated[list[str], typer.Argument(metavar="ID ID...", help="Two runs or more.")],
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: settings and versions that differ, and the metrics side by side."""
    if len(which) < 2:
        raise StepError("compare needs two runs", advice="see suanli runs list", kind="settings")
    root = folder.root(runs)
    found = comparison.side_by_side([folder.find(root, one).read() for one in which])
    if as_json:
        output.as_document(found)
        return
    metrics = {name: row for name, row in found["metrics"].items() if display.headline({name: row[0]})}
    decisions = [MODEL.get(accepted, "") for accepted in found["accepted"]]
    rows: list[list[Any]] = [["", *found["runs"]], ["model", *decisions]]
    rows += [[name, *(_number(value) for value in row)] for name, row in metrics.items()]
    rows += [[name, *row] for part in ("parameters", "versions") for name, row in found[part].items()]
    output.columns(rows)


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else ""


@app.command()
@_readable
def why(which: Which = "latest", runs: Runs = None, as_json: AsJson = False) -> None:
    """Say for each step whether it ran or came from the cache, and which part of its key had changed."""
    rows = comparison.why(folder.find(folder.root(runs), which))
    if as_json:
        output.as_document(rows)
        return
    for row in rows:
        print(plain.one_line(f"{row['step']:9} {row['state']:9} {row['reason']}"))
        for change in row["changed"]:
            print(plain.one_line(f"{'':20}{change}"))


@app.command()
def reproduce(which: Which = "latest", runs: Runs = None, as_json: AsJson = False) -> None:
    """Run a run's record again without the cache, and compare metrics and artifacts; exit 1 where they differ."""
    first = folder.find(folder.root(runs), which)
    code, second = session.reproduce(first, as_json=as_json)
    if code:
        raise typer.Exit(code)
    rows = comparison.reproduction(first, second)
    same = all(row["equal"] for row in rows)
    changed = comparison.side_by_side([first.read(), second.read()])["versions"]
    if as_json:
        output.as_document({"runs": [first.id, second.id], "equal": same, "changed": changed, "compared": rows})
    else:
        output.columns([("=" if row["equal"] else "≠", row["what"], *row["values"]) for row in rows])
        print("the same, bit for bit" if same else "not the same")
        for name, (before, after) in changed.items():
            print(f"changed since: {name} {before} -> {after}")
    raise typer.Exit(int(not same))


@app.command()
@_readable
def prune(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs to keep.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Remove old runs and what only they used: prepared data, cached results, checkpoints. Models stay."""
    root = folder.root(runs)
    folder.every(root)
    removed = pruning.prune(root, keep, dry_run)
    if as_json:
        output.as_document(asdict(removed))
        return
    for name in (*removed.runs, *removed.shared):
        print(name)
    verb = "would free" if dry_run else "freed"
    print(f"{len(removed.runs)} runs, {len(removed.shared)} shared folders: {verb} {removed.megabytes:,.1f} MB")
