"""A text in two languages, line by line: one file with a tab between the two, or a file for each language."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import Field, field_validator

from components.core.errors import StepError
from components.data import DataSettings, Example, Facts, Source

# A line is read up to here, and the rest of it is passed over: no task takes one that long.
LONGEST_LINE = 2**20


class Settings(DataSettings):
    """Sentences and their translations in text files (UTF-8).

    Attributes:
        file: one pair a line, source and target with a tab between them; with ``target_file``, the sources alone.
        target_file: the targets, in the same order.
        languages: of source and target, for reports; with ``reverse`` as well.
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
        """``--set data.languages=de,en`` comes as one text."""
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def state(settings: Settings) -> str:
    """The files' sizes and times; empty where they are missing."""
    paths = [Path(name).expanduser() for name in (settings.file, settings.target_file) if name]
    if not all(path.is_file() for path in paths):
        return ""
    return " ".join(f"{path.stat().st_size}-{path.stat().st_mtime_ns}" for path in paths)


def facts(settings: Settings) -> Facts | None:
    """Counted by the line ends of the file, or None where it is not on this machine."""
    path = Path(settings.file).expanduser()
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return Facts({"train": sum(1 for _ in _lines(stream))}, 0)


def source(settings: Settings) -> Source:
    """The pairs, as they lie in the files.

    Raises:
        StepError: a file is missing or empty, or the files have different numbers of lines.
    """
    paths = [Path(name).expanduser() for name in (settings.file, settings.target_file) if name]
    for path, which in zip(paths, ("file", "target_file"), strict=False):
        if not path.is_file():
            raise StepError(f"there is no file {path}", advice=f"set data.{which} to a file on this machine")
        if not path.stat().st_size:
            raise StepError(f"{path} is empty", advice="one sentence a line was expected")
    counts = [_count(path) for path in paths]
    if len(set(counts)) > 1:
        raise StepError(
            f"{paths[0]} has {counts[0]:,} lines and {paths[1]} has {counts[1]:,}",
            advice="lines of equal number must belong together",
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
    """Lines without their ends, of longer ones the first LONGEST_LINE bytes and one more."""
    while line := stream.readline(LONGEST_LINE + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_LINE)
        yield line.rstrip(b"\r\n")


def _pairs(paths: list[Path], reverse: bool) -> Iterator[Example]:
    """The pairs; a line that is none comes with its ``fault``."""
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
