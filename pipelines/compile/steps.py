"""The steps by name: pipelines call ``steps.export(...)``, because their parameters are named like the steps."""

from components.evaluate.component import evaluate
from components.export.component import export
from components.prepare.component import prepare
from components.train.component import train

__all__ = ["evaluate", "export", "prepare", "train"]
