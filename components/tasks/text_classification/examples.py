"""Examples: a text, its label, where it comes from, and its length for slices."""

from collections.abc import Sequence
from typing import Any, ClassVar

from components.core.examples import TfdsConversion
from components.tasks import _features
from components.tasks._texts import TextExamples
from components.tasks.text_classification import Info
from components.tasks.text_classification.summary import TextSummary
from components.text import texts, words


class Examples(TextExamples[Info]):
    """An example of a source has ``text`` (bytes or str), ``label``, and if there are several sources ``source``, its
    number."""

    kinds: ClassVar[dict[str, type]] = {"text": bytes, "key": bytes, "label": int, "source": int, "words": float}

    def record(self, example: dict[str, Any]) -> dict[str, Any]:
        text, label, last = texts.as_bytes(example["text"]), example["label"], len(self.info["classes"]) - 1
        if fault := texts.problem(text, self.info["longest"]):
            raise ValueError(fault)
        if not 0 <= label <= last:
            raise ValueError(f"label {label} is outside 0..{last}")
        return {"text": text, "label": label, "source": example.get("source", 0), "words": len(words.words(text))}

    def summary(self) -> TextSummary:
        return TextSummary(self.info["classes"], self.info["sources"])

    @staticmethod
    def from_tfds(features: Any, settings: Any, supervised: Sequence[str] = ()) -> TfdsConversion:
        """Data sets with a text and a class, called ``text`` and ``label`` unless the settings name others."""
        content = _features.find_content(features, settings, supervised, "text", _features.is_text)
        label = _features.find_label(features, settings, supervised, content)
        name = getattr(settings, "dataset", settings.name)
        return TfdsConversion(
            {"sources": [name], "longest": texts.MAX_BYTES, **_features.classes(features[label])},
            lambda one: {"text": one[content], "label": one[label], "source": 0},
            label=(label,),
        )
