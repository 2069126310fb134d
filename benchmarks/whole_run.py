"""A whole run of fashion_mnist against one plain script that does the same work (``_plain.py``), and what a small run
costs from nothing and from the cache."""

import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FACTOR, SECONDS = 1.10, 15.0
# Of <sys/prctl.h>: orphans below this process become its children, so that their processor time is told to it.
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Print both times, the breakdown by step, and whether the run keeps within 1.10 times plus 15 s; then the small
    run's times."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        suanli = str(Path(sys.executable).with_name("suanli"))
        run, ours, our_cpu = timed([suanli, "run", "fashion_mnist", "--no-cache", "--json", "--runs", f"{folder}/runs"])
        settings = {
            "epochs": run["training"]["epochs"],
            "precision": run["training"]["precision"],
            "batch_size": run["parameters"]["training"]["batch_size"],
            **{name: run["parameters"]["model"][name] for name in ("filters", "padding", "dense")},
        }
        plain, theirs, their_cpu = timed(
            [sys.executable, str(Path(__file__).with_name("_plain.py")), json.dumps(settings), folder]
        )
    print(f"{settings['epochs']} epochs of {settings['precision']}")
    for name, step in run["steps"].items():
        print(f"  suanli {name:10} {step.get('seconds', 0):7.1f} s")
    print(f"  suanli {'the rest':10} {ours - sum(step.get('seconds', 0) for step in run['steps'].values()):7.1f} s")
    for name, seconds in plain["parts"].items():
        print(f"  plain  {name:10} {seconds:7.1f} s")
    limit = FACTOR * theirs + SECONDS
    print(f"suanli {ours:.1f} s, {our_cpu:.1f} s of processor time (accuracy {run['metrics']['accuracy']:.4f})")
    print(f"plain  {theirs:.1f} s, {their_cpu:.1f} s of processor time (accuracy {plain['accuracy']:.4f})")
    verdict = "within" if ours <= limit else "ABOVE"
    print(f"ratio {ours / theirs:.2f}; {verdict} {FACTOR} x + {SECONDS:.0f} s = {limit:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        for what in ("from nothing", "against its own champion", "all from the cache"):
            _, seconds, processor = timed([suanli, "run", "digits", "--json", "--runs", f"{folder}/runs"])
            print(f"digits, {what}: {seconds:.1f} s, {processor:.1f} s of processor time")


def timed(command: list[str]) -> tuple[dict[str, Any], float, float]:
    """What a command prints last as JSON, its wall-clock seconds and its processor seconds.

    The two are measured one after the other: on a machine that others use, the processor's time is the fairer figure.
    """
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    with suppress(ChildProcessError):
        while os.wait():  # what it has left behind and ends after it, such as the fork server
            pass
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}:\n{done.stderr}")
    start = 0 if done.stdout.startswith("{") else done.stdout.find("\n{")
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return json.loads(done.stdout[start:]), seconds, processor
