"""Figures and tables of a classifier's evaluation report."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from components.core import charts, reports
from components.core.estimates import Estimate, Scale
from components.core.reports import Cell, measure
from components.metrics import classification, confidence
from components.metrics.classification import ByClass, Predictions

# More classes than these cannot be read in the matrix, or are folded.
MOST_CLASSES, DRAWN = 20, 60
# A true label and the label that was predicted in its place.
Pair = tuple[int, int]


def parts(
    judged: Predictions,
    names: Sequence[str],
    intervals: classification.ClassifierIntervals,
    pictured: Collection[Pair] = (),
) -> list[Markup]:
    """The sections: by class, confusion matrix, calibration.

    Args:
        pictured: the pairs of which the page shows an example, to which the cells of the matrix lead.
    """
    results = classification.per_class(judged, intervals)
    return [
        reports.section("By class", *by_class(results, classification.mistaken_for(judged), names)),
        reports.section("Confusion matrix", confusion(judged, names, pictured), half=True),
        reports.section("Confidence", *calibration(judged), half=True),
    ]


def by_class(results: Sequence[ByClass], mistaken: Mapping[int, Pair], names: Sequence[str]) -> list[Markup]:
    """Every class, the worst F1 first, with 95% intervals and what it is most often taken for."""
    ordered = sorted(results, key=lambda one: one.f1)
    metrics = {"precision": "precision", "recall": "recall", "f1": "F1"}
    columns = {name: [Estimate(getattr(one, name), one.intervals[name]) for one in ordered[:DRAWN]] for name in metrics}
    scales = {name: Scale.around(column, True) for name, column in columns.items()}
    rows, rest = [], []
    for number, one in enumerate(ordered):
        label, count = mistaken.get(one.label, (0, 0))
        row = [names[one.label], one.examples]
        taken = f"{names[label]} ({count})" if count else ""
        if number < DRAWN:
            drawn = (cell for name in metrics for cell in scales[name].cells(columns[name][number]))
            rows.append([*row, *drawn, taken])
        else:
            values = (getattr(one, name) for name in metrics)
            rest.append([*row, *(Cell(measure(value, True), value) for value in values), taken])
    head = ["class", "examples", *(part for name in metrics for part in (metrics[name], scales[name].axis()))]
    caption = "The worst F1 first, with exact 95% intervals."
    shown = [reports.table([*head, "most often taken for"], rows, caption=caption)]
    if rest:
        plain = reports.table(["class", "examples", *metrics.values(), "most often taken for"], rest)
        shown.append(reports.folded(f"{len(rest):,} better classes", plain))
    return shown


def anchor(pair: Pair) -> str:
    """The id of the first example of a pair on the page."""
    return f"taken-{pair[0]}-{pair[1]}"


def confusion(judged: Predictions, names: Sequence[str], pictured: Collection[Pair] = ()) -> Markup:
    """The confusion matrix in percent of each row, coloured by it; of many classes the most confused ones."""
    matrix, shown = classification.confusion(judged, names, MOST_CLASSES)
    sums = matrix.sum(axis=1)
    numbers = {name: label for label, name in enumerate(names)}
    rows = []
    for row, name in enumerate(shown):
        cells = Markup("")
        for column, other in enumerate(shown):
            share = matrix[row, column] / max(1, sums[row])
            text: Markup | str = f"{100 * share:.1f}" if matrix[row, column] else ""
            pair = (numbers.get(name, -1), numbers.get(other, -1))
            if pair in pictured and matrix[row, column]:
                text = reports.link(f"#{anchor(pair)}", str(text))
            title = f"{matrix[row, column]:,} of {sums[row]:,} examples of {name}: {other}"
            cells += Markup('<td style="--share:{:.3f}" title="{}">{}</td>').format(share, title, text)
        head = Markup('<tr><th scope="row">{}</th>{}<td style="--share:0">{:,}</td></tr>')
        rows.append(head.format(name, cells, int(sums[row])))
    heads = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in [*shown, "examples"])
    caption = "Percent of the true class's examples (rows) by predicted class (columns)."
    if pictured:
        caption += " A cell with a link leads to one of its examples."
    if len(shown) < len(names):
        caption += f" The {MOST_CLASSES - 1} classes with most errors; all others together."
    return Markup(
        '<p>{}</p><div class="scroll" role="region" tabindex="0" aria-label="Confusion matrix"><table class="matrix">'
        '<thead><tr><th scope="col">true</th>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(caption, heads, Markup("").join(rows))


def calibration(judged: Predictions) -> list[Markup]:
    """The reliability diagram with 95% intervals, and a histogram of the confidence."""
    results = classification.reliability(judged)
    intervals = [
        confidence.proportion(round(share * count), count)
        for share, count in zip(results.accuracy.tolist(), results.examples.tolist(), strict=True)
    ]
    counts = np.zeros(classification.CALIBRATION_BINS)
    counts[np.minimum((results.confidence * len(counts)).astype(int), len(counts) - 1)] = results.examples
    return [
        charts.calibration(
            results.confidence.tolist(), results.accuracy.tolist(), intervals, ("confidence", "share that is right")
        ),
        charts.histogram(counts.tolist(), (0, 1), "confidence", "examples"),
        reports.text(
            "On the dashed line the model is right as often as its confidence says; below it, it is overconfident. "
            "The bars are 95% intervals."
        ),
    ]
