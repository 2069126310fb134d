"""Report: mistakes as images."""

from typing import Any

from markupsafe import Markup

from components.core import reports
from components.tasks import _images
from components.tasks._classifier.report import ClassifierReport
from components.tasks.image_classification import Info


class Report(ClassifierReport[Info]):
    def gallery(self, examples: list[tuple[Any, str]]) -> Markup:
        return reports.gallery(examples)

    def description(self) -> dict[str, Any]:
        return _images.description(self.info)
