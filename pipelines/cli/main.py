"""The entry point: every command, and every failure as one line."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pipelines.cli.output import debugging

app = typer.Typer(
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


def _add_commands() -> None:
    """Each file imports what it needs only when its command runs: ``suanli --help`` answers at once."""
    from pipelines.cli import (
        accelerators,
        compile,
        doctor,
        explain,
        lists,
        new,
        nodepool,
        plan,
        predict,
        registry,
        run,
        runs,
        schedule,
        schedules,
        step,
        submit,
        tensorboard,
    )

    panels: dict[str, dict[str, Callable[..., None]]] = {
        "Run": {
            "run": run.run,
            "predict": predict.predict,
            "step": step.step,
            "tensorboard": tensorboard.tensorboard,
            "doctor": doctor.doctor,
        },
        "Choose": {
            "experiments": lists.experiments,
            "data": lists.data,
            "models": lists.models,
            "tasks": lists.tasks,
            "accelerators": accelerators.accelerators,
            "new": new.new,
        },
        "Cluster": {
            "plan": plan.plan,
            "explain": explain.explain,
            "compile": compile.compile_,
            "submit": submit.submit,
            "wait": submit.wait,
            "cancel": submit.cancel,
            "schedule": schedule.schedule,
            "nodepool": nodepool.nodepool,
        },
    }
    for panel, commands in panels.items():
        for name, command in commands.items():
            app.command(name, rich_help_panel=panel)(command)
    app.add_typer(runs.app, name="runs", rich_help_panel="Run")
    app.add_typer(registry.app, name="registry", rich_help_panel="Run")
    app.add_typer(schedules.app, name="schedules", rich_help_panel="Cluster")


def main(arguments: list[str] | None = None) -> int:
    """Run a command line.

    Returns:
        The exit status: 0 for success, 1 for a failed run, 2 for what the user can mend, 128 + n after signal n.
    """
    if not app.registered_commands:
        _add_commands()
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
    from components.core.errors import StepError, told

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
