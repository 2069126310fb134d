"""Report: mistakes as images."""

from typing import Any

from markupsafe import Markup

from components.core import reports
from components.tasks import _images
from components.tasks._classifier.report import ClassifierReport
from components.tasks.image_classification import Info
from components.vision import images

SIDE_SHOWN = 256


class Report(ClassifierReport[Info]):
    def gallery(self, examples: list[tuple[Any, Markup]]) -> Markup:
        return reports.gallery((images.thumbnail(pixels, SIDE_SHOWN), caption) for pixels, caption in examples)

    def preprocessing(self) -> str:
        return _images.preprocessing(self.info)

    def description(self) -> dict[str, Any]:
        return _images.description(self.info)
