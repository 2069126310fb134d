"""Examples: a text, where it comes from, and its length."""

from collections.abc import Sequence
from typing import Any, ClassVar

from components.core.examples import TfdsConversion
from components.tasks import _features
from components.tasks._texts import TextExamples
from components.tasks.text_generation import LONGEST, Info
from components.tasks.text_generation.summary import CorpusSummary
from components.text import texts


class Examples(TextExamples[Info]):
    """An example of a source has ``text`` (bytes or str), and ``source``, its number, if there are several."""

    kinds: ClassVar[dict[str, type]] = {"text": bytes, "key": bytes, "source": int, "characters": int}

    def record(self, example: dict[str, Any]) -> dict[str, Any]:
        text = texts.as_bytes(example["text"])
        if fault := texts.problem(text, self.info.get("longest", LONGEST)):
            raise ValueError(fault)
        return {"text": text, "source": example.get("source", 0), "characters": len(text.decode())}

    def summary(self) -> CorpusSummary:
        return CorpusSummary(list(self.info.get("sources", ["all"])))

    @staticmethod
    def from_tfds(features: Any, settings: Any, supervised: Sequence[str] = ()) -> TfdsConversion:
        """Data sets with a text, called ``text`` unless the settings name another."""
        content = _features.find_content(features, settings, supervised, "text", _features.is_text)
        info = {"sources": [getattr(settings, "dataset", settings.name)], "longest": LONGEST}
        return TfdsConversion(info, lambda one: {"text": bytes(one[content])})
