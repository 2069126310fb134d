"""Report: average precision by class, precision and recall, and images with their boxes."""

from typing import Any

from markupsafe import Markup

from components.tasks import _images, contract
from components.tasks.contract import Arrays, Shown
from components.tasks.object_detection import Info, Settings, figures
from components.vision import boxes


class Report(contract.Report[Info, Settings]):
    def figures(self, predicted: Arrays, truth: Arrays, intervals: Any, shown: Shown) -> list[Markup]:
        # Matching all boxes anew would take as long as all the rest.
        return figures.parts(intervals.predictions, self.info["classes"], shown)

    def description(self) -> dict[str, Any]:
        return _images.description(self.info)

    def limits(self) -> list[str]:
        return [
            "It finds only its classes, and may take something else for one of them.",
            f"At most {boxes.MAX_DETECTIONS} objects of a picture are found.",
            f"Objects of a class whose boxes overlap by more than {boxes.MAX_IOU:g} may be taken for one.",
            f"Boxes that score under {self.settings.confidence:g} are not shown.",
        ]
