"""The steps' components by name: pipelines call ``steps.export(...)``, as their parameters are named like the steps."""

import importlib
from typing import Any

from components.steps import STEPS


def __getattr__(name: str) -> Any:
    """The component of a step in ``components.steps.STEPS``."""
    if name not in STEPS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: the steps are {', '.join(STEPS)}")
    return getattr(importlib.import_module(f"components.{name}.component"), name)
