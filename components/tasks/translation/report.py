"""Report: how sentence chrF is spread, translations as they come, and the worst ones."""

from typing import Any

from markupsafe import Markup

from components.core import reports
from components.metrics.translation import Scores
from components.tasks import contract
from components.tasks.contract import Arrays, Shown
from components.tasks.translation import Info, Settings, figures

# Sentences that the report shows whatever their score.
SHOWN = 12


class Report(contract.Report[Info, Settings]):
    def figures(self, predicted: Arrays, truth: Arrays, intervals: Any, shown: Shown) -> list[Markup]:
        scores = Scores(predicted["hypothesis"].tolist(), truth["target"].tolist())
        parts = [reports.section("Sentences", figures.spread(scores.sentence_chrf, truth["source_bytes"]))]
        rows = list(zip(scores.hypotheses, scores.references, scores.sentence_chrf.tolist(), strict=True))
        caption = f"The first of the test split, by {self._decoding()}; chrF from 0 to 1."
        table = reports.table(["translation", "reference", "chrF"], rows[:SHOWN], caption=caption)
        parts.append(reports.section("Translations as they come", table))
        for title, examples in shown.items():
            if examples:
                worst = [(content.decode(errors="replace"), *rows[number]) for number, content in examples]
                head = ["source", "translation", "reference", "chrF"]
                parts.append(reports.section(title, reports.table(head, worst)))
        return parts

    def _decoding(self) -> str:
        return "greedy decoding" if self.settings.beam == 1 else f"a beam of {self.settings.beam}"

    def description(self) -> dict[str, Any]:
        source, target = self.info["languages"]
        return {"from": source, "to": target}

    def limits(self) -> list[str]:
        source, target = self.info["languages"]
        return [
            f"It takes whatever it is given for {source} and always writes {target}: nonsense is translated, too.",
            "Of a source that is longer than the network takes, the first part is translated; a prediction says so.",
            "A translation that reads well may be wrong: the metrics compare characters and words with one reference.",
            f"It was judged with {self._decoding()}; the SavedModel decodes greedily.",
        ]
