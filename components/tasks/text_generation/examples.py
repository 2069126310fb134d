"""Examples: a text, where it comes from, and its length."""

from typing import Any, ClassVar

from components.core.examples import TfdsConversion
from components.tasks import contract
from components.tasks.text_generation import LONGEST, Info
from components.tasks.text_generation.summary import CorpusSummary
from components.text import texts


class Examples(contract.Examples[Info]):
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
    def from_tfds(features: Any, settings: Any) -> TfdsConversion:
        """Data sets with the feature ``text``."""
        if "text" not in features:
            raise ValueError(f"has {', '.join(features)}, where text was expected")
        info = {"sources": [settings.dataset], "longest": LONGEST}
        return TfdsConversion(info, lambda one: {"text": bytes(one["text"])})
