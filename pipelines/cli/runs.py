"""``suanli runs``: runs on this machine, and those submitted from it."""

import functools
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from components.core import plain
from components.core.errors import StepError
from pipelines.cli.options import AsJson, DryRun, Runs
from pipelines.cli.output import print_json, print_table
from pipelines.local import session
from pipelines.runs import compare as comparison
from pipelines.runs import display, failure, folder, page
from pipelines.runs import prune as pruning

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(help="List, show, compare, reproduce and prune runs.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="ID", help="A run's id, the beginning of one, or latest.")]


def _readable(command: Callable[P, R]) -> Callable[P, R]:
    """A command that reports a damaged record of a run as such.

    Raises:
        StepError: something is missing or invalid in a record.
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
    root = folder.root(runs)
    records = [folder.read_or_damaged(run) for run in folder.every(root)]
    if as_json:
        print_json(records)
        return
    if not records:
        print(f"there are no runs in {root}; {folder.START}")
        return
    print_table([("id", "status", "model", "metric", "time"), *map(_row, records)])


def _row(record: dict[str, Any]) -> tuple[Any, ...]:
    try:
        return (
            record["id"],
            record["status"],
            display.outcome(record),
            display.metric(record["metrics"], display.paired_metric(record)),
            display.seconds(record.get("seconds", 0)),
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return record["id"], "damaged", "", "", ""


@app.command()
@_readable
def show(which: Which = "latest", runs: Runs = None, as_json: AsJson = False) -> None:
    """Show a run: its steps, metrics, decision and page."""
    run = folder.find(folder.root(runs), which)
    record = run.read()
    if as_json:
        print_json(record)
        return
    print(plain.one_line(f"{run.id}  {' '.join(record['description'].split())}"))
    cluster = record.get("cluster")
    display.summary(record, (cluster["link"] or cluster["run"]) if cluster else str(run.folder / page.FILE))
    if cluster:
        print(f"on {cluster['host']}, {', then '.join(cluster['accelerator'])}\n")
        print_table(_predicted(record))
    if "cause" in record:
        print(plain.visible(f"{failure.line(record['cause'])}\n{record['cause']['details']}".strip()))


def _predicted(record: dict[str, Any]) -> list[tuple[str, ...]]:
    """Predicted and actual time and cost of each step; a total if all of a column is known."""
    predicted, steps = record.get("predicted", {}), record["steps"]
    values: dict[str, list[Any]] = {}
    for name in dict.fromkeys([*steps, *predicted]):
        before, after = predicted.get(name, {}), steps.get(name, {})
        values[name] = [before.get("seconds"), after.get("seconds"), before.get("usd"), after.get("usd")]
    values["all"] = [sum(column) if all(column) else None for column in zip(*values.values(), strict=True)]
    rows: list[tuple[str, ...]] = [("step", "predicted", "actual", "predicted USD", "actual USD")]
    for name, row in values.items():
        rows.append((name, *(display.seconds(value) if value else "" for value in row[:2]), *map(_usd, row[2:])))
    return rows


def _usd(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value >= 1 else f"{value:.4f}"


@app.command()
@_readable
def compare(
    which: Annotated[list[str], typer.Argument(metavar="ID ID...", help="Two or more runs.")],
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: settings and versions that differ, metrics side by side, and a page with the paired tests."""
    if len(which) < 2:
        raise StepError("compare needs two runs", advice="see suanli runs list", kind="settings")
    from pipelines.runs import compare_page  # it imports numpy and scipy

    root = folder.root(runs)
    compared = [folder.find(root, run) for run in which]
    table = comparison.side_by_side([run.read() for run in compared])
    try:
        print(plain.one_line(f"page: {compare_page.write(root, compared)}"), file=sys.stderr)
    except OSError as error:
        print(f"warning: the page cannot be written: {error.strerror}", file=sys.stderr)
    if as_json:
        print_json(table)
        return
    metrics = {name: row for name, row in table["metrics"].items() if display.headline({name: row[0]})}
    rows: list[list[Any]] = [["", *table["runs"]], ["model", *table["outcome"]]]
    rows += [
        [name, *(f"{value:.4f}" if isinstance(value, int | float) else "" for value in row)]
        for name, row in metrics.items()
    ]
    rows += [[name, *row] for part in ("parameters", "versions") for name, row in table[part].items()]
    print_table(rows)


@app.command()
@_readable
def why(which: Which = "latest", runs: Runs = None, as_json: AsJson = False) -> None:
    """Show for each step whether it ran or came from the cache, and which part of its key has changed."""
    rows = comparison.why(folder.find(folder.root(runs), which))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(plain.one_line(f"{row['step']:9} {row['state']:9} {row['reason']}"))
        for change in row["changed"]:
            print(plain.one_line(f"{'':20}{change}"))


@app.command()
def reproduce(which: Which = "latest", runs: Runs = None, as_json: AsJson = False) -> None:
    """Repeat a run without the cache and compare metrics and artifacts; exit 1 if they differ."""
    first = folder.find(folder.root(runs), which)
    code, second = session.reproduce(first, as_json=as_json)
    if code:
        raise typer.Exit(code)
    rows = comparison.reproduction(first, second)
    same = all(row["equal"] for row in rows)
    changed = comparison.side_by_side([first.read(), second.read()])["versions"]
    if as_json:
        print_json({"runs": [first.id, second.id], "equal": same, "changed": changed, "compared": rows})
    else:
        print_table([("=" if row["equal"] else "≠", row["what"], *row["values"]) for row in rows])
        print("identical, bit for bit" if same else "not identical")
        for name, (before, after) in changed.items():
            print(f"changed since: {name} {before} -> {after}")
    raise typer.Exit(int(not same))


@app.command()
@_readable
def prune(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs to keep.")],
    dry_run: DryRun = False,
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Remove old runs and what only they use: prepared data, cached results, checkpoints.

    Models stay, and so do the runs that made the champions.
    """
    root = folder.root(runs)
    removed = pruning.prune(root, keep, dry_run)
    if as_json:
        print_json(asdict(removed))
        return
    for line in (*removed.runs, *removed.shared, *removed.stays):
        print(plain.one_line(line))
    verb = "would free" if dry_run else "freed"
    print(f"{len(removed.runs)} runs, {len(removed.shared)} shared folders: {verb} {removed.megabytes:,.1f} MB")
