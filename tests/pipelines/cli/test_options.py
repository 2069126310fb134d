from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from pipelines.cli.options import AsJson, grouped, hours


@dataclass(frozen=True)
class Pair:
    first: Annotated[str, typer.Argument(metavar="FIRST")]
    second: Annotated[int, typer.Option("--second", min=1)] = 2


@dataclass(frozen=True)
class OtherDefault(Pair):
    first: Annotated[str, typer.Argument(metavar="FIRST")] = "none"


@grouped
def command(pair: Pair, as_json: AsJson = False) -> None:
    print(pair, as_json)


@grouped
def with_default(pair: OtherDefault) -> None:
    print(pair)


@pytest.mark.parametrize(("text", "expected"), [("90m", 1.5), ("24h", 24), ("2d", 48), ("1d12h", 36), ("1.5h", 1.5)])
def test_a_duration_is_read(text: str, expected: float) -> None:
    assert hours(text) == expected


def test_the_fields_of_a_group_are_options_of_the_command() -> None:
    app = typer.Typer()
    app.command()(command)
    assert CliRunner().invoke(app, ["a", "--json"]).output == "Pair(first='a', second=2) True\n"
    assert CliRunner().invoke(app, ["--second", "3", "a"]).output == "Pair(first='a', second=3) False\n"
    assert CliRunner().invoke(app, []).exit_code == CliRunner().invoke(app, ["a", "--second", "0"]).exit_code == 2


def test_a_subclass_of_a_group_changes_defaults() -> None:
    app = typer.Typer()
    app.command()(with_default)
    assert CliRunner().invoke(app, []).output == "OtherDefault(first='none', second=2)\n"
