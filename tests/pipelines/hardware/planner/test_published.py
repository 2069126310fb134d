"""The planner against published training speeds of the network that most are published for."""

import json
import os
import subprocess
import sys
from pathlib import Path

from components.core.sources import ROOT

SCRIPT = """
import json
from benchmarks import _published as published
every = [case for case in published.cases() if case.network == "resnet50"]
chosen = [case for case in every if case.devices == 1 or "tpu" in case.chip]
answers = published.judged(chosen, published.profiled(["resnet50"]))
print(json.dumps({f"{one.case.chip} {one.case.precision} {one.case.devices}": one.ratio for one in answers}))
"""
HELD_OUT = {"h100 float32 1", "h100-pcie float32 1", "tpu-v3 mixed_bfloat16 16"}


def test_resnet50_is_within_35_percent_of_what_was_published_on_every_chip(cache_home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "SUANLI_CACHE_HOME": str(cache_home)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ratios = json.loads(done.stdout.strip().splitlines()[-1])
    assert set(ratios) > HELD_OUT and len(ratios) > 15
    assert {name: ratio for name, ratio in ratios.items() if abs(ratio - 1) > 0.35} == {}
