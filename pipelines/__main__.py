"""``python -m pipelines`` is the command ``suanli``."""

import sys

from pipelines.cli.main import main

sys.exit(main())
