"""Tasks, one a file: features, loss, metrics, post-processing and the figures of a report."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import Field, field_validator, model_validator

from components.core.choices import load, nearest
from components.core.config import FROM_ONE_LINE, Positive, Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    from markupsafe import Markup

    from components.core.examples import Examples, Stored
    from components.core.inference import Predictor

THRESHOLD = re.compile(r"^\s*([a-z0-9_@]+)\s*(>=|<=)\s*(-?[0-9.]+(?:e-?[0-9]+)?)\s*$")


class Threshold(Section):
    """A bound on a metric, written ``accuracy>=0.9``."""

    metric: str
    relation: Literal[">=", "<="]
    bound: float

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = THRESHOLD.match(value)
        try:
            return {"metric": match[1], "relation": match[2], "bound": float(match[3])}  # type: ignore[index]
        except (TypeError, ValueError):
            raise ValueError(f"a threshold reads like accuracy>=0.9, not {value!r}") from None

    def holds(self, value: float) -> bool:
        """Whether a value meets the bound; a value that is not a number never does."""
        return value >= self.bound if self.relation == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.metric} {self.relation} {self.bound:g}"


class EvaluationSettings(Section):
    """How to judge a model, and what it takes to be accepted; a task's own Settings add to it.

    Attributes:
        require: bounds that the model must meet on the whole test split.
        require_slices: bounds for every slice of at least ``min_slice`` examples. The model is refused where a slice is
            shown to miss one: its interval, corrected for the number of slices, lies beyond the bound.
        margin: how much worse than the champion the challenger may be in the task's paired metric. 0 asks it to be
            better (superiority).
        slice_margin: the same for each slice of at least ``min_slice`` examples, where worse has to be shown, by an
            interval corrected for the number of slices.
        error_rate: the probability, at most, of accepting a challenger that is worse by exactly the margin.
        min_slice: smaller slices only warn.
        resamples: bootstrap resamples for intervals.
        baseline: a simple method to show beside the model in the same report, one that the task knows; empty for none.
            It is trained on the train split, which evaluate reads for it.
    """

    # A task's metrics, and those among them that a slice has: which way is better.
    metrics: ClassVar[dict[str, Literal["max", "min"]]] = {}
    slice_metrics: ClassVar[tuple[str, ...]] = ()
    # Metrics that lie between 0 and 1.
    shares: ClassVar[frozenset[str]] = frozenset()
    # What ``baseline`` may name.
    baselines: ClassVar[tuple[str, ...]] = ()

    require: Annotated[tuple[Threshold, ...], FROM_ONE_LINE] = ()
    require_slices: Annotated[tuple[Threshold, ...], FROM_ONE_LINE] = ()
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    slice_margin: Annotated[float, Field(ge=0, lt=1)] = 0.05
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_slice: Positive = 100
    resamples: Annotated[int, Field(ge=100, le=1_000_000)] = 2000
    batch_size: Positive = 256
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    baseline: str = ""

    @field_validator("baseline")
    @classmethod
    def _known_baseline(cls, name: str) -> str:
        if name and name not in cls.baselines:
            known = nearest(name, cls.baselines) if cls.baselines else "this task has none"
            raise ValueError(f"unknown baseline {name!r}; {known}")
        return name

    @model_validator(mode="after")
    def _known_metrics(self) -> Self:
        for thresholds, known in ((self.require, tuple(self.metrics)), (self.require_slices, self.slice_metrics)):
            for threshold in thresholds:
                if problem := self._problem(threshold, known):
                    raise ValueError(problem)
        return self

    def _problem(self, threshold: Threshold, known: tuple[str, ...]) -> str:
        """What is wrong with a threshold, or an empty string."""
        metric = threshold.metric
        if metric not in known:
            where = "" if known == tuple(self.metrics) else " of a slice"
            return f"{threshold}: unknown metric{where} {metric!r}; {nearest(metric, known)}"
        better = ">=" if self.metrics[metric] == "max" else "<="
        if threshold.relation != better:
            way = "higher" if better == ">=" else "lower"
            return f"{threshold}: {metric} is better when {way}, write {metric}{better}{threshold.bound:g}"
        if metric in self.shares and not 0 <= threshold.bound <= 1:
            return f"{threshold}: {metric} lies between 0 and 1"
        return ""


def misfit(task: str, model: Any, augmentation: Sequence[str]) -> str:
    """Why a model's settings or an augmentation do not suit a task, or an empty string."""
    module = load("tasks", task)
    if model.interface != module.INTERFACE:
        return f"model: {model.name} is {model.interface}, the task {task} is {module.INTERFACE}"
    if strange := sorted(set(augmentation) - set(module.AUGMENTATIONS)):
        known = ", ".join(module.AUGMENTATIONS) or "none"
        return f"training.augmentation: the task {task} knows {known}, not {strange[0]}"
    return ""


Arrays = dict[str, "np.ndarray"]


class Profile(Protocol):
    """What prepare's report tells about examples, gathered while they stream by."""

    def see(self, stored: "Stored", keys: "np.ndarray", which: "np.ndarray") -> None:
        """Take note of some examples with their keys and split numbers (train 0, validation 1, test 2), each [n]."""

    def facts(self) -> dict[str, Any]:
        """For the top of the page."""

    def notes(self) -> "Iterable[Markup]":
        """What deserves a warning."""

    def sections(self, splits: list[str]) -> "list[Markup]":
        """The page's sections."""


class Task(Protocol):
    """What a file of this folder has: all that the steps, the command line and the planner know of a field.

    A network has one input and one output tensor. ``info`` is what the source and prepare say of the data, ``assets``
    is what turns an example's content into the network's input. A file may also have these functions:

    - ``from_tfds(features, settings) -> components.tasks._tfds.Reading``: what to take of a data set of TFDS;
    - ``epoch_samples(network, assets, info, batch, seed) -> list[str]``: shown in the training report after each epoch;
      ``batch`` is a few validation examples, or training ones where there are none, [n, ...] each;
    - ``class_figures(found, truth, settings, info) -> (names, confusion matrix, (fpr, tpr, thresholds))`` for Kubeflow;
    - ``baseline(data, settings) -> (title, metrics)``, called where ``evaluation.baseline`` is set;
    - ``typed(text, info) -> content`` for ``predict --text``;
    - ``rendered(content, prediction, info) -> bytes``: a PNG file for ``predict --output``.

    Attributes:
        INTERFACE: what goes in and comes out; the same as the ``interface`` of every model that fits, and the name of
            the arguments that its ``build`` takes.
        CONTENT: the feature that a network sees, and that an example's key is made of.
        KINDS: the features in the order of writing, the content first: bytes, whole numbers or fractions.
        METRICS: what ``evaluation.require`` may name, and which way is better.
        SLICE_METRICS: those of them that a slice has: means over examples.
        PAIRED_METRIC: compared example by example between champion and challenger; more is better.
        AUGMENTATIONS: what ``training.augmentation`` may name.
        Settings: how to judge.
    """

    INTERFACE: str
    CONTENT: str
    KINDS: dict[str, type]
    METRICS: dict[str, Literal["max", "min"]]
    SLICE_METRICS: tuple[str, ...]
    PAIRED_METRIC: str
    AUGMENTATIONS: tuple[str, ...]
    Settings: type[EvaluationSettings]

    def features(self, info: dict[str, Any]) -> dict[str, Any]:
        """The features as TensorFlow Datasets describes them."""

    def stored(self, examples: list[dict[str, Any]], info: dict[str, Any]) -> "Stored":
        """Examples of a source as they are written, and what is wrong with the others."""

    def parse(self, records: Any, info: dict[str, Any]) -> dict[str, Any]:
        """Serialized examples, shape [batch], as tensors [batch, ...]."""

    def profile(self, info: dict[str, Any]) -> Profile:
        """A new, empty one."""

    def expected(self, model: Any, data: Any, facts: Any) -> dict[str, Any]:
        """The arguments of the model's ``build`` beside its settings, as JSON values, before anything is prepared.

        Raises:
            StepError: something is not known yet; ``--examples`` or ``--units`` is named, which gives it.
        """

    def arguments(self, model: Any, examples: "Examples") -> dict[str, Any]:
        """The same for prepared data, of which it may read the train split."""

    def assets(self, network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
        """What turns contents into the network's input, read from the network: JSON values."""

    def feeding(self, assets: dict[str, Any], info: dict[str, Any]) -> Callable[[Any], tuple[Any, Any]]:
        """A function from a batch of parsed tensors to inputs and targets, for TensorFlow's graph."""

    def encoded(self, contents: Any, assets: dict[str, Any], info: dict[str, Any]) -> "np.ndarray":
        """Contents as the network's inputs, made on the host and without TensorFlow: the same as ``feeding`` makes."""

    def compile_arguments(self, network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
        """Loss and metrics for ``model.compile``, fresh objects at each call."""

    def augmented(self, inputs: Any, targets: Any, kinds: tuple[str, ...], seed: Any) -> tuple[Any, Any]:
        """A batch, each example of it changed at random; the same two integers of ``seed`` make the same changes."""

    def problem(self, network: "keras.Model", info: dict[str, Any]) -> str:
        """Why a network cannot take these examples, or an empty string."""

    def answers(
        self, predictor: "Predictor", batch: Arrays, settings: Any, info: dict[str, Any], assets: dict[str, Any]
    ) -> Arrays:
        """What a network says of some examples and judging needs: name -> [n, ...]; a whole split of it must fit."""

    def truth(self, batch: Arrays) -> Arrays:
        """What judging needs of the examples themselves, with ``key``."""

    def score(self, found: Arrays, truth: Arrays, settings: Any, info: dict[str, Any]) -> dict[str, float]:
        """The metrics, those in METRICS among them."""

    def resampled(self, found: Arrays, truth: Arrays, settings: Any, scores: dict[str, float]) -> Any:
        """95% intervals of what ``score`` found; its ``metrics`` maps a metric to both ends."""

    def example_values(self, found: Arrays, truth: Arrays, settings: Any) -> Arrays:
        """The metrics in SLICE_METRICS, example by example: metric -> float64 [n]."""

    def paired(self, found: Arrays, truth: Arrays) -> "np.ndarray":
        """The paired metric of every example, float64 [n]."""

    def slices(self, truth: Arrays, info: dict[str, Any]) -> Arrays:
        """Slice name -> bool [n]."""

    def notable(self, found: Arrays, truth: Arrays) -> Arrays:
        """Title -> float64 [n]: the examples with the largest values above 0 are kept for ``figures``."""

    def figures(
        self,
        found: Arrays,
        truth: Arrays,
        settings: Any,
        info: dict[str, Any],
        intervals: Any,
        shown: Mapping[str, Sequence[tuple[int, Any]]],
    ) -> "list[Markup]":
        """The report's sections; ``shown`` has number and content of the notable examples, title by title."""

    def served(
        self, network: "keras.Model", assets: dict[str, Any], info: dict[str, Any]
    ) -> tuple[Any, Callable[[Any], dict[str, Any]]]:
        """A SavedModel's signature: the specification of contents, and a function from them to named tensors, the
        network's own outputs (``outputs``) among them."""

    def predictions(self, found: Arrays, settings: Any, info: dict[str, Any]) -> list[dict[str, Any]]:
        """Post-processing, the same for evaluation and for prediction: JSON values for each example."""

    def row(self, prediction: Mapping[str, Any]) -> dict[str, str]:
        """A prediction as a line of a table: column -> text."""

    def read_inputs(self, path: str, info: dict[str, Any]) -> list[tuple[str, Any]]:
        """Name and content of everything in a file or folder.

        Raises:
            StepError: one of them cannot be read.
        """

    def described(self, info: dict[str, Any]) -> dict[str, Any]:
        """Facts of the data for the model card."""

    def limits(self, info: dict[str, Any], settings: Mapping[str, Any]) -> list[str]:
        """What a user of the model should know it cannot do, in sentences."""
