"""This machine as a row of the catalog, with the speed of its processors measured by a probe of seconds, once."""

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
from pipelines.hardware.catalog.row import Row
from pipelines.hardware.planner import profiles

NAME = "here"
TIMEOUT_S = 120
HALF: Literal["mixed_bfloat16"] = "mixed_bfloat16"


def row(cache: Path | None = None) -> Row:
    """The row ``here``, without a price.

    Args:
        cache: the folder of profiles, which holds the result for each processor and number of threads.

    Raises:
        StepError: the probe failed.
    """
    speed = measure(cache)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Row(
        name=NAME,
        kind="cpu",
        chip=NAME,
        machine_types=(NAME,),
        labels={},
        image="cpu",
        vcpus=speed["threads"],
        memory_gib=memory / 2**30,
        chip_memory_gib=0,
        peak=speed["conv"],
        bandwidth=speed["bandwidth"],
        precisions=("float32", HALF) if HALF in speed["conv"] else ("float32",),
        source=f"measured on this machine: {speed['name']}, {speed['threads']} threads",
    )


def measure(cache: Path | None = None) -> dict[str, Any]:
    """The result of ``components.profile.probe``, from the cache or measured now.

    Raises:
        StepError: the probe failed.
    """
    path = (cache or profiles.cache_folder()) / f"cpu-{fingerprint([cpu_facts()[0], cpu_count()])}.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        return values
    except (OSError, ValueError):
        pass  # absent or incomplete: measure again
    command = [sys.executable, "-P", "-m", "components.profile.probe"]
    options: dict[str, Any] = {"env": profiles.environment(), "timeout": TIMEOUT_S, "check": True}
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
        values = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.SubprocessError, IndexError, ValueError):
        raise StepError(
            "this machine's speed could not be measured", advice="see suanli doctor", kind="resources"
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(values))
    return values
