"""The entry point: every command, and every failure as one line."""

import errno
import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from components.core.errors import StepError, printable
from pipelines.cli.output import escape_unprintable, show_tracebacks

# Panel of the help -> command -> where it is defined, and its line of help: the first paragraph of its docstring.
PANELS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "run": ("run.run", "Run an experiment's whole pipeline on this machine: prepare, train, evaluate, export."),
        "predict": (
            "predict.predict",
            "Predict with a published model: a table on a terminal, lines of JSON for programs.",
        ),
        "step": (
            "step.step",
            "Run one step of a run again in this process, on the same inputs. The run is left unchanged.",
        ),
        "tensorboard": (
            "tensorboard.tensorboard",
            "Show the learning curves of runs in TensorBoard, including those in progress.",
        ),
        "doctor": (
            "doctor.doctor",
            "Check this machine, and the cluster of a target, host or context. Exit 1 if a run would fail.",
        ),
        "open": (
            "open.open_",
            "Open a run's page in the browser, or the page of all runs; print its path if there is no browser.",
        ),
        "completion": (
            "completion_words.completion",
            "Print what makes a shell complete commands, experiments, runs, accelerators and settings after TAB.",
        ),
        "runs": ("runs.app", "List, show, compare, reproduce and prune runs."),
        "registry": ("registry.app", "List, show, verify and roll back published models."),
    },
    "Choose": {
        "experiments": (
            "lists.experiments",
            "List the experiments, Suanli's and the project's own; of one, what it is and what it sets.",
        ),
        "data": ("lists.data", "List the data sources, one per file in components/data; of one, its settings."),
        "models": (
            "lists.models",
            "List the models, one per file in components/models, with inputs and outputs; of one, its settings.",
        ),
        "tasks": (
            "lists.tasks",
            "List the tasks in components/tasks; of one, its settings. A model fits a task with the same interface.",
        ),
        "settings": (
            "settings.settings",
            "Print the settings of an experiment: meaning, type, default and allowed values.",
        ),
        "accelerators": (
            "accelerators.accelerators",
            "List the accelerators that --accelerator takes. Prices are list prices: verify before use.",
        ),
        "init": (
            "init.init",
            "Make a folder a project of your own: experiments, data sources, models and tasks beside Suanli's.",
        ),
        "new": (
            "new.new",
            "Write an experiment, data source, model or task from a template or another, with a test that passes.",
        ),
    },
    "Cluster": {
        "plan": ("plan.plan", "Estimate time, cost and memory of training on every accelerator, and recommend one."),
        "explain": (
            "explain.explain",
            "Print each pod of a run: image, node selector, tolerations, limits, price per hour. Nothing is submitted.",
        ),
        "compile": ("compile.compile_", "Compile an experiment, or all of them, into pipeline files."),
        "images": ("images.app", "Build, push and list the images that the steps run in."),
        "submit": ("submit.submit", "Check an experiment against a cluster and run it there."),
        "wait": ("submit.wait", "Follow a submitted run to its end. An interrupt ends the waiting, not the run."),
        "cancel": ("submit.cancel", "Stop a run on a cluster."),
        "schedule": (
            "schedule.schedule",
            "Run an experiment on a cluster repeatedly: at the times of a cron, or at an interval.",
        ),
        "nodepool": (
            "nodepool.nodepool",
            "Print the command that creates the GKE node pool of an accelerator. Nothing is created.",
        ),
        "bootstrap": (
            "bootstrap.bootstrap",
            "Print the commands that lead from an empty project to the first run on GKE. Nothing is run.",
        ),
        "schedules": ("schedules.app", "List, show, change and delete schedules."),
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
    definition = getattr(importlib.import_module(f"pipelines.cli.{module}"), attribute)
    if isinstance(definition, typer.Typer):
        return typer.main.get_group(definition)
    single = typer.Typer(add_completion=False)
    single.command(name)(definition)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=Commands,
    help="Machine-learning pipelines for Kubeflow: one experiment file, from a laptop to GPU and TPU node pools.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # a third of the time that suanli --help takes

        print(f"suanli {version('suanli')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show full tracebacks.")] = False,
) -> None:
    if debug:
        show_tracebacks()


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        The exit status: 0 for success, 1 for a failed run, 2 for what the user can fix, 128 + n after signal n.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    escape_unprintable()
    try:
        result: Any = app(arguments or ["--help"], standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        # The reader has closed the pipe (head, less): output that it does not want is not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _report(error)


def _report(error: Exception) -> int:
    """Print an error as one line, and return the exit status."""
    # typer brings a copy of click from 0.24 on: its exceptions are recognised by their methods.
    usage = getattr(error, "format_message", None)
    if type(error).__name__ == "Abort":
        return 130
    if os.environ.get("SUANLI_DEBUG") and not usage:
        raise error
    if usage or isinstance(error, StepError):
        # typer has printed the help of a group that was called without a command: its message is empty.
        if line := " ".join(printable(str(usage() if usage else error)).split()):
            print(f"error: {line}", file=sys.stderr)
        return 2
    if isinstance(error, OSError):
        file = f": {error.filename}" if error.filename else ""
        advice = "; free space and try again" if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
        print(f"error: {printable(f'{error.strerror}{file}')}{advice}", file=sys.stderr)
    else:
        message = " ".join(printable(f"{type(error).__name__}: {error}").split())
        print(f"error: {message}; this is a bug in suanli: give --debug for the traceback", file=sys.stderr)
    return 1
