"""A page of the documentation as what it asks for: files to write and commands to run, in its order."""

import re
from dataclasses import dataclass
from pathlib import Path

# A block with a file's path before it, or one of commands. A table of ours gets a row at its end.
BLOCK = re.compile(
    r"^(?:`(?P<path>[\w./]+)`(?P<row>, one row more)?:\n\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class File:
    """A file that the reader is to have."""

    path: str
    text: str


@dataclass(frozen=True)
class Row:
    """A row that the reader is to add to the table of a file that is there."""

    path: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command, and what it prints, where ``...`` stands for anything."""

    line: str
    printed: str


def read(page: Path) -> list[File | Row | Command]:
    """The files and commands of a page; a block that is neither is only shown."""
    found: list[File | Row | Command] = []
    for block in BLOCK.finditer(page.read_text()):
        if block["row"]:
            found.append(Row(block["path"], block["text"]))
        elif block["path"]:
            found.append(File(block["path"], block["text"]))
        elif block["kind"] == "console":
            for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                line, _, printed = part.partition("\n")
                found.append(Command(line, printed))
    return found
