"""The entry point: every command, and every failure as one line."""

import errno
import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from components.core.errors import StepError, told
from pipelines.cli.output import debugging

# Panel of the help -> command -> where it is, and what the help says of it: the first paragraph of its docstring.
PANELS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "run": ("run.run", "Run an experiment's whole pipeline here: prepare, train, evaluate, export."),
        "predict": (
            "predict.predict",
            "Predict with a published model: a table on a terminal, lines of JSON for programs.",
        ),
        "step": (
            "step.step",
            "Run one step of a run again in this process, on the same inputs. The run is left unchanged.",
        ),
        "tensorboard": ("tensorboard.tensorboard", "Show runs in TensorBoard, those in progress included."),
        "doctor": (
            "doctor.doctor",
            "Check this machine, and the cluster of a target, host or context. Exit 1 where a run would fail.",
        ),
        "runs": ("runs.app", "Look at runs on this machine."),
        "registry": ("registry.app", "Look at published models, and go back to an earlier version."),
    },
    "Choose": {
        "experiments": ("lists.experiments", "List the experiments, one a file in pipelines/experiments."),
        "data": ("lists.data", "List the data sources, one a file in components/data."),
        "models": (
            "lists.models",
            "List the model architectures, one a file in components/models, with what goes in and comes out.",
        ),
        "tasks": ("lists.tasks", "List the tasks, one a file in components/tasks; models of the same interface fit."),
        "accelerators": (
            "accelerators.accelerators",
            "List the accelerators: one word each for --accelerator. Prices are list prices: verify before use.",
        ),
        "new": ("new.new", "Write components/ROOM/NAME.py and its test, which passes as it is."),
    },
    "Cluster": {
        "plan": ("plan.plan", "Estimate time, cost and memory of training on every accelerator, and recommend one."),
        "explain": (
            "explain.explain",
            "Print each pod of a run: image, node selector, tolerations, limits, price an hour. Nothing is submitted.",
        ),
        "compile": ("compile.compile_", "Compile an experiment, or all of them, into pipeline files."),
        "submit": ("submit.submit", "Check an experiment against a cluster and run it there."),
        "wait": (
            "submit.wait",
            "Follow a submitted run to its end; an interrupt ends the waiting, never the run.",
        ),
        "cancel": ("submit.cancel", "Stop a run on a cluster."),
        "schedule": (
            "schedule.schedule",
            "Run an experiment on a cluster again and again, at the times of a cron or every so many hours.",
        ),
        "nodepool": (
            "nodepool.nodepool",
            "Print what creates the GKE node pool for an accelerator. Nothing is created.",
        ),
        "schedules": ("schedules.app", "Look at schedules and change them."),
    },
}


class Commands(TyperGroup):
    """The commands, each imported only when it is invoked, completed or its help is asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for panel, commands in PANELS.items():
            for name, (_, help_) in commands.items():
                self.add_command(TyperCommand(name, help=help_, rich_help_panel=panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else command, rest


def load(name: str) -> Any:
    """A command, imported."""
    target = next(commands[name][0] for commands in PANELS.values() if name in commands)
    module, _, attribute = target.partition(".")
    found = getattr(importlib.import_module(f"pipelines.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    single = typer.Typer(add_completion=False)
    single.command(name)(found)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=Commands,
    help="Machine-learning pipelines for Kubeflow: one experiment file, from a laptop to GPU and TPU node pools.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"suanli {version('suanli')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show whole tracebacks.")] = False,
) -> None:
    debugging(debug)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        The exit status: 0 for success, 1 for a failed run, 2 for what the user can mend, 128 + n after signal n.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        result: Any = app(arguments or ["--help"], standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        # The reader has gone (head, less): what it did not want needs no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _told(error)


def _told(error: Exception) -> int:
    # typer brings a copy of click from 0.24 on: its exceptions are known by what they can do.
    usage = getattr(error, "format_message", None)
    if type(error).__name__ == "Abort":
        return 130
    if os.environ.get("SUANLI_DEBUG") and not usage:
        raise error
    if not (usage or isinstance(error, StepError)):
        if isinstance(error, OSError):
            where = f": {error.filename}" if error.filename else ""
            advice = "; free space and try again" if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
            print(f"error: {told(f'{error.strerror}{where}')}{advice}", file=sys.stderr)
            return 1
        said = " ".join(told(f"{type(error).__name__}: {error}").split())
        print(f"error: {said}; this is a fault of suanli: give --debug for the traceback", file=sys.stderr)
        return 1
    # typer has printed the help where a group was called without a command, and says nothing more.
    if line := " ".join(told(str(usage() if usage else error)).split()):
        print(f"error: {line}", file=sys.stderr)
    return 2
