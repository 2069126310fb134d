"""Examples: a sentence and its translation."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from components.core.examples import TfdsConversion
from components.tasks import _features
from components.tasks._texts import TextExamples
from components.tasks.translation import Info, sentence_fault
from components.tasks.translation.summary import PairSummary


class Examples(TextExamples[Info]):
    """An example of a source has ``source`` and ``target``, bytes; or ``fault``, what is wrong with it."""

    kinds: ClassVar[dict[str, type]] = {"source": bytes, "key": bytes, "target": bytes}

    def record(self, example: dict[str, Any]) -> dict[str, Any]:
        for side in ("source", "target"):
            if fault := sentence_fault(example[side]):
                raise ValueError(f"the {side} {fault}")
        return {"source": example["source"], "target": example["target"]}

    def summary(self) -> PairSummary:
        return PairSummary(self.info["languages"])

    @staticmethod
    def from_tfds(features: Any, settings: Any, supervised: Sequence[str] = ()) -> TfdsConversion:
        """Data sets with two texts that are named by their language, such as ``wmt16_translate/de-en`` and
        ``ted_hrlr_translate/pt_to_en``, or with one feature of texts in several languages, such as
        ``ted_multi_translate``. ``data.languages`` names source and target; by default its supervised keys' order, or
        else that of their names."""
        languages, feature = _languages(features, supervised)
        wanted = tuple(settings.languages) or tuple(languages)
        if missing := [language for language in wanted if language not in languages]:
            raise ValueError(f"has no texts in {missing[0]!r}; data.languages may name {', '.join(languages)}")
        if len(wanted) != 2:
            raise ValueError(
                f"has texts in {', '.join(languages)}; name source and target, such as "
                f"data.languages={languages[0]},{languages[1]}"
            )

        def convert(example: Mapping[str, Any]) -> dict[str, Any]:
            texts = example[feature] if feature else example
            if "translation" in texts and "language" in texts:
                texts = dict(zip((name.decode() for name in texts["language"]), texts["translation"], strict=True))
            absent = [language for language in wanted if language not in texts]
            if absent:
                return {"fault": f"there is no {absent[0]} text"}
            return {"source": bytes(texts[wanted[0]]), "target": bytes(texts[wanted[1]])}

        return TfdsConversion({"languages": list(wanted)}, convert)


def _languages(features: Any, supervised: Sequence[str]) -> tuple[list[str], str]:
    """The languages of a data set's texts, and the feature that holds the texts, empty for the whole example."""
    from tensorflow_datasets import features as kinds

    several = (kinds.Translation, kinds.TranslationVariableLanguages)
    candidates = [("", features)] if isinstance(features, several) else []
    ordered = sorted(features.items())  # a directory's description gives them in any order
    candidates += [(name, part) for name, part in ordered if isinstance(part, several)]
    if candidates:
        name, texts = candidates[0]
        return list(texts.languages), name
    named = [name for name, part in ordered if _features.is_text(part)]
    if len(named) < 2:
        raise ValueError(f"has {', '.join(features)}, where texts in two languages were expected")
    return list(supervised) if len(supervised) == 2 and set(supervised) <= set(named) else named, ""
