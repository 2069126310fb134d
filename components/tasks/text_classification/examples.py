"""Examples: a text, its label, where it comes from, and its length for slices."""

from typing import Any, ClassVar

from components.core.examples import TfdsConversion
from components.tasks import contract
from components.tasks.text_classification import Info
from components.tasks.text_classification.summary import TextSummary
from components.text import texts, words


class Examples(contract.Examples[Info]):
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
    def from_tfds(features: Any, settings: Any) -> TfdsConversion:
        """Data sets with a feature ``label``, and one of text or one that is called ``text``."""
        from tensorflow_datasets import features as kinds

        named = [name for name, kind in features.items() if isinstance(kind, kinds.Text)]
        content = "text" if "text" in named else named[0] if len(named) == 1 else ""
        if not content or "label" not in features or not isinstance(features["label"], kinds.ClassLabel):
            raise ValueError(f"has {', '.join(features)}, where one text and label (a class) were expected")
        name = getattr(settings, "dataset", settings.name)
        info = {"classes": list(features["label"].names), "sources": [name], "longest": texts.MAX_BYTES}
        return TfdsConversion(info, lambda one: {"text": one[content], "label": int(one["label"]), "source": 0})
