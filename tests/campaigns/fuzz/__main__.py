"""Broken inputs for everything that reads one.

``python -m tests.campaigns.fuzz [--cases 10000] [--seed N] [--only KIND]``
"""

import argparse
import faulthandler
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.campaigns.fuzz import commands, models, pictures, settings, stored
from tests.campaigns.fuzz.campaign import MOST_S, Kind, run

# The last ones load TensorFlow, of which a forked process must know nothing.
KINDS = [
    Kind("--set", 2500, settings.changes),
    Kind("sections", 1800, settings.sections),
    Kind("experiment files", 400, settings.files),
    Kind("targets", 700, settings.target_files),
    Kind("schedules", 700, settings.schedule_files),
    Kind("accelerators", 300, settings.accelerator_files),
    Kind("images", 1200, pictures.images),
    Kind("arrays", 400, pictures.arrays),
    Kind("manifests", 700, stored.manifests),
    Kind("champions", 500, stored.champions),
    Kind("records", 300, stored.records),
    Kind("commands", 300, commands.commands),
    Kind("checkpoints", 300, models.checkpoints),
    Kind("keras files", 200, models.keras_files),
]
# Native code that hangs hears no signal: the process ends with every thread's stack.
SILENT_S = 120


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="about how many in all (10000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed makes the same cases")
    parser.add_argument("--only", action="append", metavar="KIND", help=f"one of {', '.join(k.name for k in KINDS)}")
    asked = parser.parse_args()
    chosen = [kind for kind in KINDS if not asked.only or kind.name in asked.only]
    print(f"seed {asked.seed}", flush=True)
    warnings.simplefilter("ignore")

    def say(line: str) -> None:
        print(line, flush=True)
        faulthandler.dump_traceback_later(SILENT_S * 10, exit=True)

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        tally = run(chosen, asked.cases, asked.seed, Path(folder), say)
    for fault in tally.faults[:50]:
        print(f"FAULT {fault}")
    print(f"{tally.cases:,} cases, {len(tally.faults)} faults, slowest {tally.slowest:.2f} s (at most {MOST_S} s)")
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
