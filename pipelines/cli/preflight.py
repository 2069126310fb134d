"""What the preflight found, on the terminal."""

import sys
from collections.abc import Iterable
from typing import TextIO

from pipelines.cluster.session import Look
from pipelines.compile.check_result import CheckResult


def show(findings: Iterable[CheckResult], stream: TextIO) -> None:
    """Print findings, a line each."""
    for one in findings:
        print(f"{one.level:5} {_line(one)}", file=stream)


def passed(look: Look, stream: TextIO) -> bool:
    """Whether nothing fails. Warnings go to the stream, each failure is an error of its own."""
    show((one for one in look.findings if one.level == "warn"), stream)
    for one in look.failed:
        print(f"error: {_line(one)}", file=sys.stderr)
    return not look.failed


def _line(one: CheckResult) -> str:
    return f"{one.what}: {one.found}{f'; {one.advice}' if one.advice else ''}"
