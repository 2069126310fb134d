"""Charts as inline SVG, drawn in the colours of the page by its classes: intervals in a table's cells, curves, bars."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components.core.reports import Chart, measure

# Of a plot: its size, and the margins for the labels of its axes.
WIDTH, HEIGHT = 480, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 38
# Points of a curve: of more, every n-th is drawn; of few, each is marked.
MOST_POINTS, MARKED = 600, 40


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values from ``low`` to ``high``, about ``count`` of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def diamond(x: str) -> Markup:
    return Markup(
        '<svg x="{}" y="50%" overflow="visible"><path class="theirs" d="M0-6 6 0 0 6-6 0Z" fill-opacity=".45"/></svg>'
    ).format(x)


def beyond(x: str, below: bool) -> Markup:
    """An arrow at the end of an axis, which a value lies beyond."""
    path = "M-6 0 2-6 2 6Z" if below else "M6 0-2-6-2 6Z"
    return Markup('<svg x="{}" y="50%" overflow="visible"><path class="other" d="{}"/></svg>').format(x, path)


def keys(titles: Mapping[str, str]) -> Markup:
    """What the marks of a chart mean: class -> title. ``interval`` is a dot with its whiskers."""
    shapes = {
        "interval": '<line class="ours" x2="100%" y1="50%" y2="50%"/><circle class="ours" cx="50%" cy="50%" r="4"/>',
        "theirs": str(diamond("50%")),
        "bound": '<line class="bound" x1="50%" x2="50%" y1="0" y2="100%"/>',
        "ours": '<line class="ours" x1="0" x2="100%" y1="50%" y2="50%"/>',
        "dashed": '<line class="theirs" x1="0" x2="100%" y1="50%" y2="50%" stroke-dasharray="7 4"/>',
        "other": '<line class="other" x1="0" x2="100%" y1="50%" y2="50%"/>',
    }
    items = (
        Markup('<li><svg aria-hidden="true">{}</svg>{}</li>').format(Markup(shapes[kind]), title)
        for kind, title in titles.items()
    )
    return Markup('<ul class="keys">{}</ul>').format(Markup("").join(items))


def bar(value: float, largest: float) -> Chart:
    """A cell with a bar, as long as the value's part of the column's largest."""
    part = 100 * value / largest if largest > 0 and math.isfinite(value) else 0
    return Chart(
        Markup('<svg aria-hidden="true"><rect class="bar" y="30%" height="40%" width="{:.2f}%"/></svg>').format(part)
    )


# --- plots -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plot:
    """The axes of a plot: the ends of both, and whether the vertical one is logarithmic."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    def at(self, x: float, y: float) -> str:
        """The position of a point in the drawing."""
        low, high = map(self._scaled, self.y)
        across = LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - RIGHT)
        up = (self._scaled(y) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{HEIGHT - BOTTOM - up:.1f}"

    def _scaled(self, y: float) -> float:
        return math.log10(y) if self.log else y

    def frame(self, across: Sequence[float], x_label: str, y_label: str) -> Markup:
        """Grid, ticks and labels; ``across`` are the ticks of the horizontal axis."""
        up = self._powers() if self.log else ticks(*self.y)
        parts = []
        for value in up:
            (left, height), (right, _) = (self.at(x, value).split(",") for x in self.x)
            parts.append(
                Markup(
                    '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end" '
                    'dominant-baseline="middle">{:.4g}</text>'
                ).format(left, right, height, height, LEFT - 6, height, value)
            )
        for value in across:
            left = self.at(value, self.y[0]).split(",")[0]
            text = Markup('<text x="{}" y="{}" text-anchor="middle">{:g}</text>')
            parts.append(text.format(left, HEIGHT - BOTTOM + 15, value))
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, x_label
            )
        )
        middle = (TOP + HEIGHT - BOTTOM) / 2
        turned = Markup('<text transform="translate(12 {}) rotate(-90)" text-anchor="middle">{}</text>')
        parts.append(turned.format(middle, y_label))
        return Markup("").join(parts)

    def _powers(self) -> list[float]:
        """Ticks of a logarithmic axis: 1, 2 and 5 times each power of ten, or every power of ten only."""
        low, high = (math.log10(end) for end in self.y)
        factors = (1, 2, 5) if high - low < 2.5 else (1,)
        powers = range(math.floor(low), math.ceil(high) + 1)
        values = [factor * 10.0**power for power in powers for factor in factors]
        return [value for value in values if self.y[0] <= value <= self.y[1]]


def drawn(parts: Iterable[Markup], alt: str, kind: str = "", attributes: Markup | str = "") -> Markup:
    """A plot from its parts."""
    return Markup('<svg class="plot {}" viewBox="0 0 {} {}" role="img" aria-label="{}"{}>{}</svg>').format(
        kind, WIDTH, HEIGHT, alt, attributes, Markup("").join(parts)
    )


def lines(name: str, x: Sequence[int], series: Mapping[str, Sequence[float]], label: str, mark: int | None) -> Markup:
    """Curves over whole numbers such as epochs: at most three: ours, another of ours, and a rival's, dashed; one
    without values is left out.

    A number that is not finite interrupts its curve. Positive values can be shown on a logarithmic scale. A script
    shows the values under the cursor.

    Args:
        name: of what the curves show.
        x: the numbers of the points, rising.
        series: title -> values, as many as ``x`` or fewer.
        label: of the horizontal axis.
        mark: a number to mark, if any.
    """
    every = [value for values in series.values() for value in values if math.isfinite(value)]
    if not every:
        return Markup("<figure><figcaption>{}: no finite values.</figcaption></figure>").format(name)
    stride = math.ceil(len(x) / MOST_POINTS)
    kinds = {title: kind for title, kind in zip(series, ("ours", "other", "theirs"), strict=False) if series[title]}
    series = {title: series[title] for title in kinds}
    logarithmic = min(every) > 0 and max(every) / min(every) > 3
    drawings = []
    for log in (False, True) if logarithmic else (False,):
        plot = Plot(
            _span(x[0], x[-1], 0.5), _span(min(every), max(every)) if not log else (min(every), max(every)), log
        )
        inner = [plot.frame(_whole(x), label, name)]
        if mark is not None:
            (left, low), (_, high) = (plot.at(mark, end).split(",") for end in plot.y)
            inner.append(
                Markup('<line class="other" stroke-dasharray="2 4" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
                    left, low, high
                )
            )
        for title, values in series.items():
            points = list(zip(x, values, strict=False))[::stride]
            inner += _curve(plot, points, kinds[title], title)
        group = Markup('<g class="{}">{}</g>').format("log" if log else "linear", Markup("").join(inner))
        drawings.append(group)
    cursor = Markup('<line class="cursor other" visibility="hidden" x1="0" x2="0" y1="{}" y2="{}"/>')
    drawings.append(cursor.format(TOP, HEIGHT - BOTTOM))
    plot = Plot(_span(x[0], x[-1], 0.5), (0, 1))
    ends_of_x = [float(plot.at(end, 0).split(",")[0]) for end in (x[0], x[-1])]
    values_shown = {
        "x": list(x)[::stride],
        "label": label,
        "left": ends_of_x[0],
        "right": ends_of_x[1],
        "series": [
            {"name": title, "shown": [f"{value:.4g}" if math.isfinite(value) else "" for value in values[::stride]]}
            for title, values in series.items()
        ],
    }
    switch = Markup('<label><input type="checkbox"> log scale</label>') if logarithmic else Markup("")
    legend = {"dashed" if kind == "theirs" else kind: title for title, kind in kinds.items()}
    attributes = Markup(' data-lines="{}"').format(json.dumps(values_shown))
    return Markup('<figure>{}{}{}<p class="readout" aria-hidden="true"></p></figure>').format(
        keys(legend), switch, drawn(drawings, f"{name} by {label}", "lines", attributes)
    )


def _span(low: float, high: float, least: float = 0.0) -> tuple[float, float]:
    """The ends of an axis, which are never equal."""
    rest = least or abs(high) / 10 or 0.5
    return (low, high) if high > low else (low - rest, high + rest)


def _whole(x: Sequence[int]) -> list[float]:
    values = [value for value in ticks(*_span(x[0], x[-1], 0.5)) if float(value).is_integer() and value >= x[0]]
    return values if values and values[0] == x[0] else [x[0], *values[1 if len(values) > 1 else 0 :]]


def _curve(plot: Plot, points: Sequence[tuple[float, float]], kind: str, title: str) -> list[Markup]:
    parts: list[Markup] = []
    run: list[str] = []
    for x, y in (*points, (0, math.nan)):
        if math.isfinite(y):
            run.append(plot.at(x, y))
        elif run:
            parts.append(Markup('<polyline class="{}" points="{}"/>').format(kind, " ".join(run)))
            run = []
    if len(points) <= MARKED:
        for x, y in points:
            if math.isfinite(y):
                across, down = plot.at(x, y).split(",")
                dot = Markup('<circle class="{}" cx="{}" cy="{}" r="2.5"><title>{} {:.4g}</title></circle>')
                parts.append(dot.format(kind, across, down, title, y))
    return parts


def histogram(counts: Sequence[float], x: tuple[float, float], x_label: str, y_label: str) -> Markup:
    """Bars of equal width over the range ``x``."""
    plot = Plot(x, (0, max(*counts, 0) or 1))
    width, size = (x[1] - x[0]) / len(counts), (WIDTH - LEFT - RIGHT) / len(counts)
    parts = [plot.frame(ticks(*x), x_label, y_label)]
    for number, count in enumerate(counts):
        if count > 0:
            across, down = map(float, plot.at(x[0] + number * width, count).split(","))
            parts.append(
                Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    across + 0.5, down, max(0.5, size - 1), HEIGHT - BOTTOM - down
                )
            )
    return Markup("<figure>{}</figure>").format(drawn(parts, f"{y_label} by {x_label}"))


def calibration(
    predicted: Sequence[float],
    right: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    labels: tuple[str, str],
) -> Markup:
    """Shares that are right against those that were predicted, with intervals, beside the diagonal of equal ones."""
    plot = Plot((0, 1), (0, 1))
    points = [plot.at(end, end).split(",") for end in (0, 1)]
    diagonal = Markup('<line class="other" stroke-dasharray="4 4" x1="{}" y1="{}" x2="{}" y2="{}"/>')
    parts = [plot.frame(ticks(0, 1), *labels), diagonal.format(*points[0], *points[1])]
    for across, up, ends in zip(predicted, right, intervals, strict=True):
        (x, y), (_, low), (_, high) = (plot.at(across, value).split(",") for value in (up, *ends))
        words = f"{labels[0]} {measure(across, True)}, {labels[1]} {measure(up, True)}"
        parts.append(
            Markup(
                '<line class="ours" x1="{0}" x2="{0}" y1="{2}" y2="{3}"/><circle class="ours" cx="{0}" cy="{1}" r="4">'
                "<title>{4}</title></circle>"
            ).format(x, y, low, high, words)
        )
    return Markup("<figure>{}</figure>").format(drawn(parts, f"{labels[1]} by {labels[0]}"))
