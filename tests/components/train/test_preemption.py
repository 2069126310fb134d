import subprocess
import sys
import time

from components.core.errors import EXIT_CODES

# A block whose work hangs when SIGTERM comes, as storage that does not answer does.
HANGS = """
import os, signal, time
from components.train import preemption
preemption.STOP_TIMEOUT_S = 0.5
with preemption.sigterm_deferred():
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(600):
        time.sleep(0.1)
"""


def test_a_checkpoint_that_cannot_be_written_does_not_hold_the_process() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == EXIT_CODES["preempted"]
    assert "no checkpoint could be written within 0.5 s" in done.stderr
    assert time.monotonic() - began < 50
