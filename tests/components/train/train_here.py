"""Run the train step on the arguments in a JSON file, whose path is given; artifacts are paths there.

``SEEN`` (a file) gets a line for each training step as it is executed; ``STREAMED`` (any text) holds no split in
memory; ``AUTO`` is the precision that suits the device; ``LEASE`` is the seconds after which a lease is renewed, its
holder stops writing, and it has expired.
"""

import json
import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from seen import recorded

from components.core import devices, step
from components.train import lease

if policy := os.environ.get("AUTO"):
    devices.choose_precision = lambda wanted, *_: policy if wanted == "auto" else wanted
if seconds := os.environ.get("LEASE"):
    lease.RENEW_S, lease.STEP_DOWN_S, lease.EXPIRY_S = map(float, seconds.split())
parameters = json.loads(Path(sys.argv[1]).read_text())
places = {
    name: SimpleNamespace(path=parameters.pop(name), uri="", metadata={})
    for name in ("examples", "trained", "metrics", "curves", "logs")
}
if os.environ.get("STREAMED"):
    from components.train import inputs  # imports TensorFlow and with it Keras, for which the step chooses a backend

    inputs.open_split = partial(inputs.open_split, in_memory_bytes=0)
examples = {"examples": places.pop("examples")}
seen = os.environ.get("SEEN", "")
with recorded(Path(seen)) if seen else nullcontext():
    step.run("train", parameters=parameters, inputs=examples, outputs=places)
print("done", flush=True)
