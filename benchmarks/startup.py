"""How long the command takes to answer, against the bare imports that it cannot do without."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
SUANLI = [str(Path(sys.executable).with_name("suanli"))]
# (what, command, yardstick, factor, seconds): command <= factor x yardstick + seconds.
COMPLETION = [sys.executable, "-P", "-m", "pipelines.cli.completion"]
CASES = (
    ("TAB after run", [*COMPLETION, "run", ""], "pass", 0.0, 0.15),
    ("suanli --help", [*SUANLI, "--help"], "import typer, rich", 1.3, 0.15),
    ("suanli experiments", [*SUANLI, "experiments"], "import typer, rich, pydantic", 1.3, 0.15),
    ("suanli compile", [*SUANLI, "compile", "digits"], "import kfp, kfp.kubernetes, kfp.compiler", 1.0, 0.5),
)


def main() -> None:
    """Print each command's time beside its yardstick's, medians of interleaved rounds."""
    for what, command, yardstick, factor, allowance in CASES:
        bare = [sys.executable, "-c", yardstick]
        times = [(seconds(command), seconds(bare)) for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        limit = factor * theirs + allowance
        verdict = "within" if ours <= limit else "ABOVE"
        print(
            f"{what:20} {ours:.3f} s   {yardstick:42} {theirs:.3f} s   ratio {ours / theirs:.2f}   "
            f"{verdict} {factor} x + {allowance} s = {limit:.3f} s"
        )


def seconds(command: list[str]) -> float:
    """Wall-clock time of one process, its start included."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SUANLI_RUNS": folder}
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
