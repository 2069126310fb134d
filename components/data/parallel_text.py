"""Parallel texts: one file with a tab between source and target in each line, or a file for each language."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import Field, field_validator

from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source

# Longer lines are truncated, in bytes: no task takes one that long.
MAX_LINE = 2**20


class Settings(DataSettings):
    """Sentences and their translations in text files (UTF-8).

    Attributes:
        file: one pair per line, source and target separated by a tab; with ``target_file``, the sources alone.
        target_file: the targets, in the same order.
        languages: of the first and the second text, for reports.
        reverse: translate from the second to the first.
    """

    name: Literal["parallel_text"] = "parallel_text"
    task: str = "translation"
    file: Annotated[str, Field(min_length=1)]
    target_file: str = ""
    languages: tuple[str, str] = ("source", "target")
    reverse: bool = False

    @field_validator("languages", mode="before")
    @classmethod
    def _from_one_line(cls, value: Any) -> Any:
        """``--set data.languages=de,en`` gives one string."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def state(settings: Settings) -> str:
    """The files' sizes and times; empty if a file is missing."""
    paths = [Path(name).expanduser() for name in (settings.file, settings.target_file) if name]
    if not all(path.is_file() for path in paths):
        return ""
    return " ".join(f"{path.stat().st_size}-{path.stat().st_mtime_ns}" for path in paths)


def facts(settings: Settings) -> Facts | None:
    """The number of lines; None if the file is not on this machine."""
    path = Path(settings.file).expanduser()
    if not path.is_file():
        return None
    return Facts({"train": _count(path)}, 0)


def source(settings: Settings) -> Source:
    """The pairs, in the order of the files.

    Raises:
        StepError: a file is missing or empty, or the files have different numbers of lines.
    """
    paths = [Path(name).expanduser() for name in (settings.file, settings.target_file) if name]
    for path, setting in zip(paths, ("file", "target_file"), strict=False):
        if not path.is_file():
            raise StepError(f"no such file: {path}", advice=f"set data.{setting} to a file on this machine")
        if not path.stat().st_size:
            raise StepError(f"{path} is empty", advice="one sentence per line was expected")
    counts = [_count(path) for path in paths]
    if len(set(counts)) > 1:
        raise StepError(
            f"{paths[0]} has {counts[0]:,} lines and {paths[1]} has {counts[1]:,}",
            advice="line N of one must be the translation of line N of the other",
        )
    order = settings.languages[::-1] if settings.reverse else settings.languages
    return Source(
        info={"languages": list(order)},
        splits={"train": lambda: _pairs(paths, settings.reverse)},
        counts={"train": counts[0]},
        version=settings.version,
        text=f"sentence pairs of {' and '.join(path.name for path in paths)}",
    )


def _count(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for _ in _lines(stream))


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines without their ends, truncated to MAX_LINE + 1 bytes."""
    while line := stream.readline(MAX_LINE + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE)
        yield line.rstrip(b"\r\n")


def _pairs(paths: list[Path], reverse: bool) -> Iterator[Example]:
    """The pairs; a line that is not a pair comes with its ``fault``."""
    with ExitStack() as stack:
        files = [_lines(stack.enter_context(path.open("rb"))) for path in paths]
        for number, lines in enumerate(zip(*files, strict=True), 1):
            sides = lines if len(paths) == 2 else tuple(lines[0].split(b"\t"))
            example: Example = {"name": f"{paths[0].name} line {number}"}
            if len(sides) != 2:
                yield example | {
                    "fault": f"the line has {len(sides) - 1} tabs, one between source and target was expected"
                }
                continue
            source, target = sides[::-1] if reverse else sides
            yield example | {"source": source, "target": target}
