"""``suanli registry``: published versions of each model, which one is served, and whether the files are intact."""

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from components import storage
from components.core import project
from components.core.choices import nearest
from components.core.errors import StepError, printable
from components.registry import contents, pointer, publishing
from components.registry.contents import Version
from pipelines.cli.options import AsJson, Runs, TargetName
from pipelines.cli.output import print_json, print_table
from pipelines.compile import targets
from pipelines.runs import display, folder

app = typer.Typer(help="List, show, verify and roll back published models.", no_args_is_help=True)

MODEL = "A model's name, or its registry: a folder or gs://."
Model = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)]
AnyModel = Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL} All models by default.")]
Which = Annotated[str, typer.Argument(metavar="VERSION", help="A version's id, or the beginning of one.")]


@app.command("list")
def list_(model: AnyModel = "", target: TargetName = "", runs: Runs = None, as_json: AsJson = False) -> None:
    """List the versions of each model, the newest last."""
    registries = _registries(model, target, runs)
    versions = [version for registry in registries for version in contents.list_versions(registry)]
    for registry in registries:
        _warn(registry)
    if as_json:
        print_json([version.document() for version in versions])
        return
    if not versions:
        print(f"no models are published in {_root(target, runs)}")
        return
    noted = any(version.note for version in versions)
    rows = [("model", "version", "state", "metric", "from best", "published", "run", *(["note"] if noted else []))]
    for version in versions:
        rows.append(
            (
                contents.model_name(version.registry),
                version.id,
                version.state,
                display.metric(version.facts.get("metrics", {}), version.facts.get("paired_metric", "")),
                "" if version.drift is None else f"{version.drift:+.4f}" if version.drift else "best",
                _published(version),
                version.entry.run if version.entry else "",
                *([version.note] if noted else []),
            )
        )
    print_table(rows)


@app.command()
def show(model: Model, which: Which = "", target: TargetName = "", runs: Runs = None, as_json: AsJson = False) -> None:
    """Show a version, by default the champion: its metrics, formats and folder."""
    registry = _registry(model, target, runs)
    _warn(registry)
    version = contents.find(registry, which)
    if as_json:
        print_json({**version.document(), "facts": version.facts})
        return
    entry, facts = version.entry, version.facts
    rows: list[tuple[str, Any]] = [
        ("version", f"{version.id} of {contents.model_name(version.registry)}, {version.state}"),
        ("published", _published(version) or "never"),
        ("run", entry.run if entry else ""),
        ("replaced", (entry and entry.replaced) or "none"),
        *([("note", version.note)] if version.note else []),
        ("data", facts.get("fingerprints", {}).get("data", "")),
        ("folder", version.uri),
        *((f"  {name}", f"{values['bytes']:,} bytes") for name, values in facts.get("formats", {}).items()),
        *((f"  {name}", value) for name, value in display.headline(facts.get("metrics", {})).items()),
    ]
    print_table(rows)


@app.command()
def rollback(
    model: Model,
    to: Annotated[str, typer.Option("--to", metavar="ID", help="A version; by default the previous one.")] = "",
    from_: Annotated[str, typer.Option("--from", metavar="ID", help="Only if this is the champion.")] = "",
    target: TargetName = "",
    runs: Runs = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier version the champion again. Nothing is removed: --to undoes it."""
    registry = _registry(model, target, runs)
    chosen, expected = (contents.find(registry, which).id if which else "" for which in (to, from_))
    before, now = publishing.rollback(registry, chosen, expected or None)
    if as_json:
        print_json({"model": contents.model_name(registry), "champion": now, "replaced": before})
        return
    if before in {"", now}:
        print(f"{contents.model_name(registry)}: the champion is {now}; {pointer.CHAMPION} was written again")
        return
    print(f"{contents.model_name(registry)}: the champion is {now} again, in place of {before}")
    if note := contents.find(registry, before).note:
        print(f"{before}: {note}")
    print(f"to undo: suanli registry rollback {shlex.quote(model)} --to {before}")


@app.command()
def verify(
    model: AnyModel = "", which: Which = "", target: TargetName = "", runs: Runs = None, as_json: AsJson = False
) -> None:
    """Compare every version with its checksums, digests and id; exit 1 with a line for each fault."""
    results = [contents.verify(registry, which) for registry in _registries(model, target, runs)]
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            for line in [*result.faults, *result.notes]:
                print(line)
            if not result.faults:
                print(f"{contents.model_name(result.registry)}: {result.versions} published, all files intact")
    raise typer.Exit(int(any(result.faults for result in results)))


def _registries(model: str, target: str, runs: Path | None) -> list[str]:
    """The registries of the models that the user means.

    Raises:
        StepError: there is no such model.
    """
    root = _root(target, runs)
    if not model:
        return contents.list_models(root)
    for uri in (model, storage.join(root, model)):
        if (storage.is_remote(uri) or "/" in uri or Path(uri).is_dir()) and (models := contents.list_models(uri)):
            return models
    known = [contents.model_name(uri) for uri in contents.list_models(root)]
    advice = nearest(model, known) if known else folder.START
    raise StepError(f"unknown model {model!r} in {root}", advice=advice, kind="settings")


def _root(target: str, runs: Path | None) -> str:
    return targets.load(target, project.folder()).registry if target else str(folder.root(runs) / folder.REGISTRY)


def _registry(model: str, target: str, runs: Path | None) -> str:
    registries = _registries(model, target, runs)
    if len(registries) > 1:
        names = ", ".join(map(contents.model_name, registries))
        raise StepError(f"{model} holds several models", advice=f"name one: {names}", kind="settings")
    return registries[0]


def _warn(registry: str) -> None:
    """Tell on stderr of a history that had to be rebuilt."""
    champion = pointer.load(registry)
    if champion.fault:
        known = f"; rebuilt from its history: {champion.version} is the champion" if champion.version else ""
        command = f"suanli registry rollback {shlex.quote(registry)} --to {champion.version or 'ID'}"
        print(printable(f"warning: {champion.fault}{known}; to write it again: {command}"), file=sys.stderr)


def _published(version: Version) -> str:
    return contents.day(version.entry.time) if version.entry else ""
