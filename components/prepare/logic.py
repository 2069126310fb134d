"""Stream a source into a checked, content-addressed TFDS directory, and describe what is in it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components import storage
from components.core import staging
from components.core.artifacts import Artifact
from components.core.choices import load
from components.core.config import validated
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.plain import is_visible
from components.prepare import report as reporting
from components.prepare import writer
from components.prepare.filling import SPLITS, Filled, fill
from components.tasks import contract

LONGEST_NAME = 200


def prepare(data: dict[str, Any], data_root: str, freshness: str, examples: Artifact, report: Artifact) -> None:
    """Bring a data source into a TFDS directory ``<data_root>/<fingerprint>``, an index of it and a report.

    Args:
        data: the experiment's data section.
        data_root: a local folder or ``gs://``.
        freshness: stands for the state of the data that lie outside; only the step's key reads it.
        examples: gets the index, ``components.core.examples.PreparedData``.
        report: gets one HTML file.

    Raises:
        StepError: the data are missing or bad, or a split or class is empty.
        OSError: the directory cannot be written; nothing of it is left.
    """
    settings = validated("data", data)
    source = load("data", settings.name).source(settings)
    role = contract.Task(settings.task, source.info).examples
    _check_names(source.info.get("classes", []))
    with _aside(data_root) as folder:
        filled = fill(source, settings, role, folder)
        _require_examples(filled)
        for split in filled.splits:
            split.finish()
        text = f"{source.text}, version {source.version}" if source.version else source.text
        writer.describe(folder, role.features(), filled.splits, text=text, licence=source.licence)
        directory = _publish(folder, data_root, filled.fingerprint)
    counts = {split.name: sum(split.counts) for split in filled.splits}
    info = {**source.info, "licence": source.licence, "text": text}
    index = PreparedData(directory, filled.fingerprint, settings.task, settings.name, counts, info, settings.stream)
    index.write(examples.path)
    examples.metadata.update(
        directory=directory,
        fingerprint=filled.fingerprint,
        source=settings.name,
        duplicates_removed=sum(filled.duplicates.values()),
        quarantined=len(filled.quarantined),
        **counts,
    )
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    Path(report.path).write_text(reporting.page(index, filled))


def _check_names(names: list[str]) -> None:
    """Names go into files, pages and terminals, in one line and as they are.

    Raises:
        StepError: one is empty, too long, or has a character that is not to be read.
    """
    for name in names:
        if not (name.strip() and len(name) <= LONGEST_NAME and is_visible(name)):
            raise StepError(
                f"the class name {name[:LONGEST_NAME]!r} is not one readable line of 1 to {LONGEST_NAME} characters",
                advice="rename it",
            )


def _require_examples(filled: Filled) -> None:
    """Refuse a split that was asked for and got nothing.

    Raises:
        StepError: it names the split.
    """
    total = sum(sum(split.counts) for split in filled.splits)
    for split in filled.splits:
        if not split.counts:
            raise StepError(
                f"the {split.name} split is empty: the source gave {total} examples",
                advice="give data.split a larger fraction for it, raise data.limit, or check the source",
            )
    filled.splits.sort(key=lambda split: SPLITS.index(split.name))


@contextmanager
def _aside(data_root: str) -> Iterator[Path]:
    """A folder to write in, on the file system where the result will be, gone afterwards whatever happens."""
    if storage.is_remote(data_root):
        with tempfile.TemporaryDirectory(prefix="prepare-") as local:
            yield Path(local)
        return
    with staging.staged_folder(Path(data_root) / "prepare") as folder:
        yield folder


def _publish(folder: Path, data_root: str, fingerprint: str) -> str:
    """Give a finished folder its name, unless it is there already and whole; returns where it lies."""
    directory = storage.join(data_root, fingerprint)
    if storage.is_complete(directory):
        return directory
    if not storage.is_remote(directory) or storage.exists(storage.join(directory, storage.MANIFEST)):
        storage.remove(directory)  # files of it were lost; without a manifest, another run may be writing it
    try:
        storage.upload(folder, directory, move=True)
    except StepError as error:
        # Another run was faster; its directory holds the same examples, perhaps in other files.
        if error.kind != "conflict" or not storage.is_complete(directory):
            raise
    return directory
