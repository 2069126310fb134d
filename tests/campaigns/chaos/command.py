"""``suanli`` on this machine with its places elsewhere: ``python -m tests.campaigns.chaos.command PLACES ARGUMENT...``.

PLACES is JSON: ``data_root``, ``checkpoint_root`` and ``registry``. A run keeps them in its record, so it is resumed by
the plain command.
"""

import json
import sys
from pathlib import Path

from pipelines.cli.main import main
from pipelines.compile import targets

if __name__ == "__main__":
    places = json.loads(sys.argv.pop(1))
    local = targets.local

    def elsewhere(runs: Path) -> targets.Target:
        return targets.Target(**{**local(runs).model_dump(), **places})

    targets.local = elsewhere
    sys.exit(main())
