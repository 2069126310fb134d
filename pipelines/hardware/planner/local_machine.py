"""This machine as a row of the catalog: its processors' speed measured by a probe of seconds, once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from components.core.config import fingerprint
from components.core.devices import cpu_count, cpu_facts
from components.core.errors import StepError
from components.core.files import write_atomically
from components.core.sources import ROOT
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner import profiles

NAME = "here"
PATIENCE = 120
HALF: Literal["mixed_bfloat16"] = "mixed_bfloat16"


def row(cache: Path | None = None) -> Row:
    """The row ``here``, without a price.

    Args:
        cache: the folder of profiles, where the probe's answer is kept by the processor's name and threads.

    Raises:
        StepError: the probe failed.
    """
    found = measured(cache)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Row(
        name=NAME,
        kind="cpu",
        chip=NAME,
        machine_types=(NAME,),
        labels={},
        image="cpu",
        vcpus=found["threads"],
        memory_gib=memory / 2**30,
        chip_memory_gib=0,
        peak=found["conv"],
        bandwidth=found["bandwidth"],
        precisions=("float32", HALF) if HALF in found["conv"] else ("float32",),
        source=f"measured on this machine: {found['name']}, {found['threads']} threads",
    )


def measured(cache: Path | None = None) -> dict[str, Any]:
    """What ``components.profile.probe`` prints, from the cache or measured now.

    Raises:
        StepError: the probe failed.
    """
    path = (cache or profiles.cache_folder()) / f"cpu-{fingerprint([cpu_facts()[0], cpu_count()])}.json"
    try:
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    except (OSError, ValueError):
        pass  # not there, or not whole: measure again
    command = [sys.executable, "-P", "-m", "components.profile.probe"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment, check=True)
        values: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.SubprocessError, IndexError, ValueError):
        raise StepError(
            "this machine's speed could not be measured", advice="see suanli doctor", kind="resources"
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(values))
    return values
