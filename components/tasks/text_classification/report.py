"""Report: mistakes as texts."""

from typing import Any

from markupsafe import Markup

from components.core import reports
from components.tasks._classifier.report import ClassifierReport
from components.tasks.text_classification import Info
from components.text import texts


class Report(ClassifierReport[Info]):
    def gallery(self, examples: list[tuple[Any, Markup]]) -> Markup:
        rows = [[caption, texts.excerpt(text)] for text, caption in examples]
        return reports.table(["label", "text"], rows, numeric=False)

    def description(self) -> dict[str, Any]:
        return {"input": "a text", "classes": len(self.info["classes"]), "sources": ", ".join(self.info["sources"])}

    def limits(self) -> list[str]:
        words = (
            "It reads only the first words of a text, as many as its network is long, and knows only the most frequent "
            "words of its training texts: a text in another language is all unknown words to it."
        )
        return [*super().limits(), words]
