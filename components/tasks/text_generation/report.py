"""Report: bits a character text by text, and the texts at both ends."""

from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from components.core import reports
from components.tasks import contract
from components.tasks.contract import Arrays, Shown
from components.tasks.text_generation import Info, Settings
from components.text import texts

SHOWN, SHOWN_CHARACTERS = 6, 400


class Report(contract.Report[Info, Settings]):
    def figures(self, predicted: Arrays, truth: Arrays, intervals: Any, shown: Shown) -> list[Markup]:
        bits = predicted["nats"] / np.log(2) / truth["characters"]
        figure = Figure(figsize=(6, 2.6))
        axes = figure.subplots()
        axes.hist(bits, bins=min(60, max(10, len(bits) // 20)))
        axes.set_xlabel("bits a character")
        axes.set_ylabel("texts")
        caption = (
            f"{int(predicted['tokens'].sum()):,} tokens of {len(bits):,} texts, "
            f"{int(truth['characters'].sum()):,} characters; the middle half of the texts takes "
            f"{np.quantile(bits, 0.25):.3f} to {np.quantile(bits, 0.75):.3f} bits a character"
        )
        parts = [reports.section("Bits a character", reports.figure(figure, "bits a character", caption))]
        for title, examples in shown.items():
            rows = [
                [f"{bits[number]:.3f}", texts.excerpt(content, SHOWN_CHARACTERS)]
                for number, content in examples[:SHOWN]
            ]
            if rows:
                table = reports.table(["bits a character", "text"], rows, numeric=False)
                parts.append(reports.section(title, table))
        return parts

    def description(self) -> dict[str, Any]:
        sources = ", ".join(map(str, self.info.get("sources", [])))
        return {"input": "a text in UTF-8, which it continues", "sources": sources}

    def limits(self) -> list[str]:
        return [
            "It continues texts of the kind it was trained on; what it says is likely there, and need not be true.",
            "It may repeat parts of the texts it was trained on, names and insults among them.",
            "It sees only the last tokens of a long text.",
        ]
