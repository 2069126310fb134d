"""Parallel texts: one file with a tab between source and target in each line, or a file for each language."""

import codecs
import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import Field, field_validator

from components.core import project
from components.core.config import Positive
from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source, local_path
from components.text import tables

# Longer lines are truncated, in bytes: no task takes one that long.
MAX_LINE = 2**20
# Lines that tell how many tabs a line has.
HEAD = 100


class Settings(DataSettings):
    """Sentences and their translations in text files (UTF-8).

    Attributes:
        file: one pair per line, in columns separated by tabs; with ``target_file``, the sources alone. A local path, or
            ``gs://``, which is read again according to ``version`` and ``max_age``.
        target_file: the targets, in the same order.
        columns: of the source and the target, from 1, in a file with tabs.
        languages: of the first and the second text, for reports.
        reverse: translate from the second to the first.
    """

    name: Literal["parallel_text"] = "parallel_text"
    task: str = "translation"
    file: Annotated[str, Field(min_length=1)]
    target_file: str = ""
    columns: tuple[Positive, Positive] = (1, 2)
    languages: tuple[str, str] = ("source", "target")
    reverse: bool = False

    def locations(self) -> dict[str, str]:
        return {name: location for name in ("file", "target_file") if (location := getattr(self, name))}

    @field_validator("languages", mode="before")
    @classmethod
    def _from_one_line(cls, value: Any) -> Any:
        """``--set data.languages=de,en`` gives one string."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def state(settings: Settings) -> str:
    """The files' sizes and times; empty if a file is missing."""
    paths = [project.path(name) for name in (settings.file, settings.target_file) if name]
    if not all(path.is_file() for path in paths):
        return ""
    return " ".join(f"{path.stat().st_size}-{path.stat().st_mtime_ns}" for path in paths)


def facts(settings: Settings) -> Facts | None:
    """The number of lines; None if the file is not on this machine."""
    path = project.path(settings.file)
    if not path.is_file():
        return None
    return Facts({"train": _count(path)}, 0)


def source(settings: Settings) -> Source:
    """The pairs, in the order of the files.

    Raises:
        StepError: a file is missing or empty, or the files have different numbers of lines.
    """
    paths = [local_path(location) for location in settings.locations().values()]
    for path, setting in zip(paths, settings.locations(), strict=True):
        if not path.is_file():
            raise StepError(f"no such file: {path}", advice=f"set data.{setting} to a file on this machine or in gs://")
        if not path.stat().st_size:
            raise StepError(f"{path} is empty", advice="one sentence per line was expected")
    counts = [_count(path) for path in paths]
    if len(set(counts)) > 1:
        raise StepError(
            f"{paths[0]} has {counts[0]:,} lines and {paths[1]} has {counts[1]:,}",
            advice="line N of one must be the translation of line N of the other",
        )
    order = settings.languages[::-1] if settings.reverse else settings.languages
    names = " and ".join(path.name for path in paths)
    tabs = _tabs(paths[0]) if len(paths) == 1 else 0
    chosen = f", columns {settings.columns[0]} and {settings.columns[1]} of {tabs + 1}" if tabs > 1 else ""
    return Source(
        info={"languages": list(order)},
        splits={"train": lambda: _pairs(paths, settings, tabs)},
        counts={"train": counts[0]},
        version=settings.version,
        text=f"sentence pairs of {names}{chosen}",
    )


def _count(path: Path) -> int:
    with _opened(path) as stream:
        return sum(1 for _ in _lines(stream))


def _tabs(path: Path) -> int:
    """The tabs that most of the first lines have."""
    with _opened(path) as stream:
        counts = Counter(line.count(b"\t") for line in islice(_lines(stream), HEAD) if line.strip())
    return counts.most_common(1)[0][0] if counts else 0


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes in UTF-8, after its byte order mark if any.

    Raises:
        StepError: it is not in the encoding of its mark.
    """
    with path.open("rb") as stream, tempfile.TemporaryFile() as converted:
        head = stream.read(len(codecs.BOM_UTF32_LE))
        encoding = tables.encoding_of(head)
        stream.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)
        if encoding == "utf-8-sig":
            yield stream
            return
        try:
            with io.TextIOWrapper(stream, encoding, newline="") as text:
                while part := text.read(MAX_LINE):
                    converted.write(part.encode())
        except UnicodeDecodeError as error:
            raise StepError(f"{path} is not {error.encoding}, as its first bytes say", advice=tables.UTF_8) from None
        converted.seek(0)
        yield converted


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines without their ends, truncated to MAX_LINE + 1 bytes."""
    while line := stream.readline(MAX_LINE + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE)
        yield line.rstrip(b"\r\n")


def _pairs(paths: list[Path], settings: Settings, tabs: int) -> Iterator[Example]:
    """The pairs; a line that is not a pair comes with its ``fault``.

    Args:
        tabs: of a line of a single file.
    """
    needed = max(settings.columns) - 1
    with ExitStack() as stack:
        files = [_lines(stack.enter_context(_opened(path))) for path in paths]
        for number, lines in enumerate(zip(*files, strict=True), 1):
            example: Example = {"name": f"{paths[0].name} line {number}"}
            if len(paths) == 1:
                parts = lines[0].split(b"\t")
                if len(parts) != tabs + 1 or tabs < needed:
                    expected = f"{tabs} as in most lines" if tabs >= needed else f"at least {needed}"
                    yield example | {"fault": f"the line has {len(parts) - 1} tabs, not {expected}"}
                    continue
                lines = tuple(parts[column - 1] for column in settings.columns)
            source, target = lines[::-1] if settings.reverse else lines
            yield example | {"source": source, "target": target}
