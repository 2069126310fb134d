"""Stream a source into a validated, content-addressed TFDS directory, and report on it."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components import storage
from components.core import progress, reports, staging
from components.core.artifacts import Artifact
from components.core.choices import load
from components.core.config import validated
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.plain import is_visible
from components.data import SPLITS
from components.prepare import near_duplicates, writer
from components.prepare import report as reporting
from components.prepare.filling import Filled, fill
from components.tasks import contract

MAX_NAME = 200


def prepare(data: dict[str, Any], data_root: str, freshness: str, examples: Artifact, report: Artifact) -> None:
    """Convert a data source to a TFDS directory ``<data_root>/<fingerprint>``, with an index and a report.

    Args:
        data: the experiment's data section.
        data_root: a local folder or ``gs://``.
        freshness: a token for the state of external data; only the step's cache key reads it.
        examples: for the index, ``components.core.examples.PreparedData``.
        report: for an HTML file.

    Raises:
        StepError: the data are missing or bad, or a split or class is empty.
        OSError: the directory cannot be written; no part of it remains.
    """
    settings = validated("data", data)
    source = load("data", settings.name).source(settings)
    role = contract.Task(settings.task, source.info).examples
    _check_names(source.info.get("classes", []))
    with _staged(data_root) as folder:
        filled = fill(source, settings, role, folder)
        _require_examples(filled)
        for split in filled.splits:
            split.finish()
        text = f"{source.text}, version {source.version}" if source.version else source.text
        writer.describe(folder, role.features(), filled.splits, text=text, licence=source.licence)
        directory = _publish(folder, data_root, filled.fingerprint)
    counts = {split.name: sum(split.counts) for split in filled.splits}
    info = {**source.info, **filled.summary.info(), "licence": source.licence, "text": text}
    if warned := near_duplicates.warnings(filled.near, settings, role.likeness):
        info["warnings"] = warned
    index = PreparedData(directory, filled.fingerprint, settings.task, settings.name, counts, info, settings.stream)
    index.write(examples.path)
    examples.metadata.update(
        directory=directory,
        fingerprint=filled.fingerprint,
        source=settings.name,
        duplicates_removed=sum(filled.duplicates.values()),
        quarantined=len(filled.quarantined),
        left_out=filled.reasons().total(),
        near_duplicates=sum(near.count for near in filled.near.values()),
        **counts,
    )
    for line in (filled.account(), *source.notes):
        print(line, flush=True)
    for line in warned:
        progress.log("prepare", line)
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    notes = (*source.notes, *warned)
    Path(report.path).write_text(reporting.page(index, filled, notes, _pairs(filled, role, source.info)))


def _pairs(filled: Filled, role: contract.Examples[Any], info: Mapping[str, Any]) -> Markup:
    """The report's section of near duplicates; empty if there are none."""
    if not filled.pairs or not role.likeness:
        return Markup("")
    lines = [reports.text(near.line(split, role.likeness.NOUN) + ".") for split, near in filled.near.items()]
    return reports.section("Nearly equal across splits", *lines, role.likeness.shown(filled.pairs, info))


def _check_names(names: list[str]) -> None:
    """Names appear in files, pages and terminals, so they must be readable on one line.

    Raises:
        StepError: a name is empty, too long, or has invisible characters.
    """
    for name in names:
        if not (name.strip() and len(name) <= MAX_NAME and is_visible(name)):
            raise StepError(
                f"the class name {name[:MAX_NAME]!r} is not one readable line of 1 to {MAX_NAME} characters",
                advice="rename it",
            )


def _require_examples(filled: Filled) -> None:
    """Check that each split of the settings has examples.

    Raises:
        StepError: a split is empty.
    """
    total = sum(sum(split.counts) for split in filled.splits)
    for split in filled.splits:
        if not split.counts:
            # A split that is not official is a part of train.
            origin = split.name if split.name in filled.duplicates else "train"
            if repeated := filled.duplicates.get(origin, 0):
                left = sum(
                    sum(each.counts) for each in filled.splits if each.name not in {*filled.duplicates} - {origin}
                )
                others = " or ".join(name for name in SPLITS if name in filled.duplicates and name != origin)
                raise StepError(
                    f"{repeated} of {repeated + left} {origin} examples are also in {others}",
                    advice="let each split have examples of its own, or give train alone: data.split divides it",
                )
            raise StepError(
                f"the {split.name} split is empty: the source gave {total} examples",
                advice="give data.split a larger fraction for it, raise data.limit, or check the source",
            )
    filled.splits.sort(key=lambda split: SPLITS.index(split.name))


@contextmanager
def _staged(data_root: str) -> Iterator[Path]:
    """A temporary folder, on the file system of the result, removed afterwards."""
    if storage.is_remote(data_root):
        with tempfile.TemporaryDirectory(prefix="prepare-") as local:
            yield Path(local)
        return
    with staging.staged_folder(Path(data_root) / "prepare") as folder:
        yield folder


def _publish(folder: Path, data_root: str, fingerprint: str) -> str:
    """Publish a finished folder under its fingerprint, unless it exists and is intact; returns its URI."""
    directory = storage.join(data_root, fingerprint)
    try:
        differences = storage.verify(directory)
    except FileNotFoundError:
        pass
    else:
        if not differences:
            return directory
        # In Cloud Storage another run may be writing a folder that has no manifest.
        if not storage.is_remote(directory) or storage.exists(storage.join(directory, storage.MANIFEST)):
            print(f"{directory} is damaged and prepared again: {differences[0]}", flush=True)
            storage.set_aside(directory)
    try:
        storage.upload(folder, directory, move=True)
    except StepError as error:
        # Another run was faster; its directory has the same examples, perhaps in different files.
        if error.kind != "conflict" or not storage.is_complete(directory):
            raise
    return directory
