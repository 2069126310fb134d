"""Options and arguments that several commands take, each declared once."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated

import typer

from components.core.errors import StepError

Experiment = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="A name (see suanli experiments), or the path of a .py file.")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting; repeatable.")
]
Runs = Annotated[Path | None, typer.Option("--runs", help="The folder of runs; also SUANLI_RUNS.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]
TargetName = Annotated[str, typer.Option("--target", metavar="NAME", help="An installation in targets.toml.")]
Spot = Annotated[bool, typer.Option("--spot", help="Spot capacity: cheaper, but can be preempted.")]

DURATION = re.compile(r"^(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?$")


def hours(text: str) -> float:
    """The hours of a duration such as ``90m``, ``24h`` or ``1d12h``.

    Raises:
        StepError: the text is not a duration, or is zero.
    """
    match = DURATION.match(text.strip())
    parts = match.groups() if match else ()
    value = sum(float(part or 0) * size for part, size in zip(parts, (24, 1, 1 / 60), strict=False))
    if not value:
        raise StepError(f"{text!r} is not a duration", advice="write 90m, 24h or 2d", kind="settings")
    return value


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command for typer in which a parameter that is a dataclass stands for its fields, each of them an option."""
    parameters = inspect.signature(command).parameters.values()
    kinds = {each.name: each.annotation for each in parameters}
    groups = {name: kind for name, kind in kinds.items() if isinstance(kind, type) and is_dataclass(kind)}
    fields = {name: list(inspect.signature(group).parameters.values()) for name, group in groups.items()}
    flat = [option for each in parameters for option in fields.get(each.name, [each])]
    keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in flat]

    @functools.wraps(command)
    def expanded(**values: object) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields[name]})
        command(**values)

    expanded.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    expanded.__annotations__ = {option.name: option.annotation for option in keywords}
    return expanded
