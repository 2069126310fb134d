"""Run train's logic on the arguments in a JSON file, whose path is given; artifacts are paths there."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from components.train.logic import train

values = json.loads(Path(sys.argv[1]).read_text())
for name in ("examples", "trained", "metrics", "curves", "logs"):
    values[name] = SimpleNamespace(path=values[name], uri="", metadata={})
train(**values)
print("done", flush=True)
