"""``suanli registry``: the published versions of each model, which one is served, and whether they are whole."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from components import storage
from components.core.choices import nearest
from components.core.errors import StepError
from components.registry import contents, publishing
from components.registry.contents import Version, model_name
from pipelines.cli import output
from pipelines.compile import targets
from pipelines.runs import display, folder

app = typer.Typer(help="Look at published models, and go back to an earlier version.", no_args_is_help=True)

MODEL = "A model's name, or its registry: a folder or gs://."
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)]
AnyModel = Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL} Every model without it.")]
Which = Annotated[str, typer.Argument(metavar="VERSION", help="A version's id, or the beginning of one.")]
Runs = Annotated[Path | None, typer.Option("--runs", help="The folder of runs; also SUANLI_RUNS.")]
Target = Annotated[str, typer.Option("--target", metavar="NAME", help="An installation in targets.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(model: AnyModel = "", target: Target = "", runs: Runs = None, as_json: AsJson = False) -> None:
    """List the versions of each model, the newest last."""
    found = [version for place in _registries(model, target, runs) for version in contents.every(place)]
    if as_json:
        output.as_document([version.document() for version in found])
        return
    rows: list[tuple[Any, ...]] = [("model", "version", "state", "metric", "published", "run")]
    for version in found:
        rows.append(
            (
                contents.model_name(version.registry),
                version.id,
                version.state,
                display.metric(version.facts.get("metrics", {}), version.facts.get("paired_metric", "")),
                _when(version),
                version.entry.run if version.entry else "",
            )
        )
    output.columns(rows)


@app.command()
def show(model: Model, which: Which = "", target: Target = "", runs: Runs = None, as_json: AsJson = False) -> None:
    """Show a version, the champion without one: its metrics, formats, and where its files lie."""
    version = contents.find(_one(model, target, runs), which)
    if as_json:
        output.as_document({**version.document(), "facts": version.facts})
        return
    entry, facts = version.entry, version.facts
    rows: list[tuple[Any, ...]] = [
        ("version", f"{version.id} of {contents.model_name(version.registry)}, {version.state}"),
        ("published", _when(version) or "never"),
        ("run", entry.run if entry else ""),
        ("replaced", (entry and entry.replaced) or "none"),
        ("data", facts.get("fingerprints", {}).get("data", "")),
        ("folder", version.uri),
        *((f"  {name}", f"{values['bytes']:,} bytes") for name, values in facts.get("formats", {}).items()),
        *((f"  {name}", value) for name, value in display.headline(facts.get("metrics", {})).items()),
    ]
    output.columns(rows)


@app.command()
def rollback(
    model: Model,
    to: Annotated[str, typer.Option("--to", metavar="ID", help="A version; else the one before.")] = "",
    seen: Annotated[str, typer.Option("--from", metavar="ID", help="Only if this is the champion.")] = "",
    target: Target = "",
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Let an earlier version be the champion again. Nothing is removed, so it can be undone with --to."""
    place = _one(model, target, runs)
    chosen, expected = (contents.find(place, which).id if which else "" for which in (to, seen))
    before, now = publishing.rollback(place, chosen, expected or None)
    if as_json:
        output.as_document({"model": contents.model_name(place), "champion": now, "replaced": before})
        return
    print(f"{contents.model_name(place)}: the champion is {now} again, in place of {before}")
    print(f"to undo: suanli registry rollback {model} --to {before}")


@app.command()
def verify(
    model: AnyModel = "", which: Which = "", target: Target = "", runs: Runs = None, as_json: AsJson = False
) -> None:
    """Compare every file of every version with its checksum; exit 1 with a line for each fault."""
    found = [contents.verify(place, which) for place in _registries(model, target, runs)]
    if as_json:
        output.as_document([asdict(one) for one in found])
    else:
        for one in found:
            for line in [*one.faults, *one.notes]:
                print(line)
            if not one.faults:
                print(f"{contents.model_name(one.registry)}: {one.versions} published, every file as it was written")
    raise typer.Exit(int(any(one.faults for one in found)))


def _registries(model: str, target: str, runs: Path | None) -> list[str]:
    """The registries that a user means.

    Raises:
        StepError: there is none of that name.
    """
    root = targets.load(target, Path.cwd()).registry if target else str(folder.root(runs) / folder.REGISTRY)
    if not model:
        return contents.models(root)
    for place in (model, storage.join(root, model)):
        if (storage.is_remote(place) or "/" in place or Path(place).is_dir()) and (found := contents.models(place)):
            return found
    known = [contents.model_name(place) for place in contents.models(root)]
    advice = nearest(model, known) if known else folder.START
    raise StepError(f"unknown model {model!r} in {root}", advice=advice, kind="settings")


def _one(model: str, target: str, runs: Path | None) -> str:
    found = _registries(model, target, runs)
    if len(found) > 1:
        names = ", ".join(map(model_name, found))
        raise StepError(f"{model} holds several models", advice=f"name one: {names}", kind="settings")
    return found[0]


def _when(version: Version) -> str:
    return version.entry.time.replace("T", " ").replace("+00:00", " UTC") if version.entry else ""
