"""What a task is: a folder with up to six files, five of them a role of the task each.

    __init__.py     what the command line reads, without heavy imports: ``INTERFACE`` (what goes in and comes out, the
                    ``interface`` of every model that fits), ``Settings`` (how to evaluate), ``Info`` (what the task
                    knows of its data), ``AUGMENTATIONS`` and ``expected_arguments`` if any
    examples.py     ``class Examples``: what an example is       prepare; every step parses
    training.py     ``class Training``: inputs, loss             train
    evaluation.py   ``class Evaluation``: predictions, metrics   evaluate, export, ``suanli predict``
    report.py       ``class Report``: figures, limits            evaluate, export
    serving.py      ``class Serving``: signature, inputs         export, ``suanli predict``

Each class derives from the one of the same name here, whose methods are the defaults; a file that would be empty is
left out. A step imports, and its cache key covers, only the files it reads: an edit of a report does not train again.

A network has one input and one output tensor. ``assets`` are what turns an example's content into the network's input,
such as a vocabulary: JSON values that are read from the network itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from components.core import archives, choices
from components.core.errors import StepError
from components.core.examples import Likeness, PreparedData, Records, TfdsConversion
from components.core.inference import Predictor
from components.metrics import bootstrap, confidence, grouping
from components.tasks import EvaluationSettings

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from markupsafe import Markup

Arrays = dict[str, np.ndarray]
InfoType = TypeVar("InfoType", bound=Mapping[str, Any])
SettingsType = TypeVar("SettingsType", bound=EvaluationSettings)
# The examples shown in a report: title -> number and content of each.
Shown = Mapping[str, Sequence[tuple[int, Any]]]


class Summary:
    """What prepare's report shows of the examples, collected while they stream by."""

    def update(self, records: Records, keys: np.ndarray, splits: np.ndarray) -> None:
        """Add examples with their keys, uint64 [n], and splits (train 0, validation 1, test 2), int [n]."""

    def facts(self) -> dict[str, Any]:
        """For the top of the page."""
        return {}

    def info(self) -> dict[str, Any]:
        """What later steps need to know of the examples, added to the data's ``info``."""
        return {}

    def notes(self) -> "Iterable[Markup]":
        """Warnings."""
        return ()

    def sections(self, splits: list[str]) -> "list[Markup]":
        """The page's sections."""
        return []


class Examples(Generic[InfoType]):
    """What an example is: its features, and how they are written and parsed.

    Attributes:
        kinds: feature -> bytes, int or float, in the order of writing: first the content, which the network sees and
            the key is a hash of, then ``key``, then the others.
    """

    kinds: ClassVar[dict[str, type]]
    likeness: ClassVar[Likeness | None] = None  # how near duplicates are found, if they are looked for

    def __init__(self, info: InfoType) -> None:
        self.info = info

    def features(self) -> dict[str, Any]:
        """The features as TensorFlow Datasets describes them; ``label`` is one of the data's ``classes``."""
        from tensorflow_datasets import features

        scalars = {int: np.int64, float: np.float32}
        described = {
            name: features.Text() if kind is bytes else features.Scalar(scalars[kind])
            for name, kind in self.kinds.items()
        }
        labels = {"label": features.ClassLabel(names=self.info["classes"])} if "label" in self.kinds else {}
        return described | labels

    def record(self, example: dict[str, Any]) -> dict[str, Any]:
        """One example of a source as values of ``kinds``, without ``key``.

        Raises:
            ValueError: what is wrong with it.
        """
        raise NotImplementedError

    def to_records(self, examples: list[dict[str, Any]]) -> Records:
        """Examples of a source as they are written, and position -> what is wrong with an example (its ``fault``)."""
        content, _, *others = self.kinds
        rows, faults = [], {}
        for position, example in enumerate(examples):
            if fault := example.get("fault"):
                faults[position] = str(fault)
                continue
            try:
                rows.append(self.record(example))
            except ValueError as error:
                faults[position] = str(error)
        dtypes = {int: np.int64, float: np.float32}
        columns = {name: [row[name] for row in rows] for name in others}
        features = {
            name: values if self.kinds[name] is bytes else np.array(values, dtypes[self.kinds[name]])
            for name, values in columns.items()
        }
        return Records([row[content] for row in rows], features, faults)

    def parse(self, records: "tf.Tensor") -> "dict[str, tf.Tensor]":
        """Serialized examples, string [batch], as tensors [batch, ...]: strings, int64 and float32."""
        import tensorflow as tf

        tensors = {bytes: tf.string, int: tf.int64, float: tf.float32}
        batch: dict[str, tf.Tensor] = tf.io.parse_example(
            records, {name: tf.io.FixedLenFeature([], tensors[kind]) for name, kind in self.kinds.items()}
        )
        return batch

    def summary(self) -> Summary:
        """A new, empty summary."""
        return Summary()

    @staticmethod
    def from_tfds(features: Any, settings: Any, supervised: Sequence[str] = ()) -> TfdsConversion:
        """How a data set of TensorFlow Datasets is read.

        Args:
            features: the data set's.
            settings: the data section, whose ``input`` and ``label`` may name features.
            supervised: the data set's own choice of input and target, if it has made one.

        Raises:
            ValueError: it has other features; the text follows the data set's name.
            StepError: a setting is missing.
        """
        raise StepError(f"the task {settings.task} reads no data set of TensorFlow Datasets", kind="settings")


class Training(Generic[InfoType]):
    """What a network is built for and trained by."""

    def __init__(self, info: InfoType) -> None:
        self.info = info

    def arguments(self, model: Any, data: PreparedData) -> dict[str, Any]:
        """The arguments of the model's ``build`` beside its settings; may read the train split."""
        return {}

    def assets(self, network: "keras.Model") -> dict[str, Any]:
        return {}

    def input_fn(self, assets: dict[str, Any]) -> Callable[[Any], tuple[Any, Any]]:
        """A function from a batch of parsed tensors to inputs and targets, for TensorFlow's graph."""
        raise NotImplementedError

    def compile_arguments(self, network: "keras.Model") -> dict[str, Any]:
        """Loss and metrics for ``model.compile``, fresh objects at each call."""
        raise NotImplementedError

    def augment(self, inputs: Any, targets: Any, kinds: tuple[str, ...], seed: Any) -> tuple[Any, Any]:
        """A batch with each example changed at random; the same two integers of ``seed`` make the same changes."""
        return inputs, targets

    def epoch_samples(self, network: "keras.Model", assets: dict[str, Any], batch: Arrays, seed: int) -> list[str]:
        """Lines for the training report after each epoch, about a few validation examples (training ones if there is no
        validation split), [n, ...] each."""
        raise NotImplementedError


class Evaluation(Generic[InfoType, SettingsType]):
    """What a model predicts and how good that is, the same for evaluation, export and prediction.

    Attributes:
        content: the feature that the network sees.
        exact: predicted arrays that export compares number by number with those that evaluate recorded; if empty, it
            compares the paired metric.
    """

    content: ClassVar[str]
    exact: ClassVar[tuple[str, ...]] = ()

    def __init__(self, info: InfoType, settings: SettingsType) -> None:
        self.info, self.settings = info, settings

    def assets(self, network: "keras.Model") -> dict[str, Any]:
        return {}

    def problem(self, network: "keras.Model") -> str:
        """Why a network does not fit these examples, or an empty string."""
        return ""

    def encode(self, contents: Any, assets: dict[str, Any]) -> np.ndarray:
        """Contents as the network's inputs, without TensorFlow: what ``Training.input_fn`` makes in its graph."""
        return np.asarray(contents)

    def predict(self, predictor: Predictor, batch: Arrays, assets: dict[str, Any]) -> Arrays:
        """What a network predicts for examples: name -> [n, ...]; a whole split of it must fit into memory."""
        raise NotImplementedError

    def truth(self, batch: Arrays) -> Arrays:
        """The examples' labels, key and attributes: by default all but the content."""
        return {name: values for name, values in batch.items() if name != self.content}

    def example_scores(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """The slice metrics example by example: metric -> float64 [n]."""
        raise NotImplementedError

    def example_metric(self, predicted: Arrays, truth: Arrays) -> np.ndarray:
        """The paired metric of each example, float64 [n]."""
        return self.example_scores(predicted, truth)[self.settings.paired_metric]

    def score(self, predicted: Arrays, truth: Arrays) -> dict[str, float]:
        """The metrics of ``Settings.metrics`` and perhaps more; by default the means of ``example_scores``."""
        return {name: float(values.mean()) for name, values in self.example_scores(predicted, truth).items()}

    def confidence_intervals(self, predicted: Arrays, truth: Arrays, scores: dict[str, float]) -> Any:
        """95% intervals: ``metrics`` maps a metric to both ends; by default of the means of ``example_scores``."""
        groups, shares = self.groups(truth), self.settings.shares
        columns = self.example_scores(predicted, truth)
        return bootstrap.Intervals(
            {name: confidence.mean(values, bounded=name in shares, groups=groups) for name, values in columns.items()}
        )

    def cautions(self, truth: Arrays) -> list[str]:
        """Why this test split tells little of a model, in sentences; they stand beside the verdict."""
        return []

    def groups(self, truth: Arrays) -> np.ndarray | None:
        """A number for the group of each example, if the data have groups (``data.group``): int64 [n]."""
        return grouping.of_keys(truth["key"]) if "key" in truth else None

    def trivial(self, truth: Arrays) -> tuple[str, np.ndarray] | None:
        """A simple method that sees no example's content, as in "always answering 'cat'", and its paired metric on each
        example, float64 [n]: a model that is not shown to be better has learnt nothing. None if there is none."""
        return None

    def slices(self, truth: Arrays) -> Arrays:
        """Slice name -> bool [n]."""
        return {}

    def worst_examples(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """Title -> float64 [n]: the report shows the examples with the largest values above 0."""
        return {}

    def predictions(self, predicted: Arrays) -> list[dict[str, Any]]:
        """Each example's prediction after post-processing, as JSON values."""
        rows = zip(*(values.tolist() for values in predicted.values()), strict=True)
        return [dict(zip(predicted, row, strict=True)) for row in rows]

    def baseline(self, data: PreparedData) -> tuple[str, dict[str, float]]:
        """Title and metrics of the simple method that ``settings.baseline`` names, trained on the train split."""
        raise NotImplementedError


class Report(Generic[InfoType, SettingsType]):
    """What the evaluation report and the model card show."""

    def __init__(self, info: InfoType, settings: SettingsType) -> None:
        self.info, self.settings = info, settings

    def figures(self, predicted: Arrays, truth: Arrays, intervals: Any, shown: Shown) -> "list[Markup]":
        """The report's sections; ``shown`` are the worst examples."""
        return []

    def class_figures(
        self, predicted: Arrays, truth: Arrays
    ) -> tuple[list[str], np.ndarray, tuple[list[float], list[float], list[float]]] | None:
        """For Kubeflow: names of the classes, the confusion matrix, and a ROC curve (false and true positive rates,
        thresholds); None without classes."""
        return None

    def description(self) -> dict[str, Any]:
        """Facts about the data for the model card."""
        return {}

    def preprocessing(self) -> str:
        """A line of Python, with ``np`` and ``Image``, that makes the network's ``inputs`` of a file; may be empty."""
        return ""

    def outputs(self) -> str:
        """What the network's outputs are; may be empty."""
        return ""

    def limits(self) -> list[str]:
        """What the model cannot do, in sentences for its users."""
        return []


class Serving(Generic[InfoType, SettingsType]):
    """How a published model is called: by a SavedModel's signature, and by ``suanli predict``."""

    def __init__(self, info: InfoType, settings: SettingsType) -> None:
        self.info, self.settings = info, settings

    def signature(
        self, network: "keras.Model", assets: dict[str, Any]
    ) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
        """The specification of contents, and a function from them to named tensors, the network's own output
        (``outputs``) among them. By default contents are the network's inputs."""
        import tensorflow as tf

        inputs = network.inputs[0]
        spec = tf.TensorSpec(inputs.shape, inputs.dtype, name=inputs.name)
        return spec, lambda contents: {"outputs": network(contents, training=False)}

    def read_inputs(self, path: str) -> Iterable[tuple[str, Any]]:
        """Name and content of everything in a file or folder; by default the rows of a .npy file. In place of the
        content of an input that cannot be read comes the StepError that says why: the others are predicted.

        Raises:
            StepError: there are no inputs, or the others cannot be read either.
        """
        try:
            return [(f"{path}[{number}]", row) for number, row in enumerate(archives.array(Path(path)))]
        except (*archives.DAMAGED, TypeError) as error:
            raise StepError(f"{path} cannot be read as an array: {error}", advice="give a .npy file") from None

    def from_text(self, text: str) -> Any:
        """The content that a text on the command line stands for.

        Raises:
            StepError: it is not one.
        """
        raise NotImplementedError

    def render(self, content: Any, prediction: Mapping[str, Any]) -> bytes:
        """A picture of a content with its prediction, a PNG file."""
        raise NotImplementedError

    def row(self, prediction: Mapping[str, Any]) -> dict[str, str]:
        """A prediction as a row of a table: column -> text."""
        return {name: str(value) for name, value in prediction.items()}


Role = Examples[Any] | Training[Any] | Evaluation[Any, Any] | Report[Any, Any] | Serving[Any, Any]


def overrides(role: Role, method: str) -> bool:
    """Whether a task's role has a method of its own for one that is optional."""
    default = next(cls for cls in type(role).__mro__ if cls.__module__ == __name__)
    return getattr(type(role), method) is not getattr(default, method)


@dataclass(frozen=True)
class Task:
    """A task for one data set.

    Attributes:
        name: the folder's.
        info: what the data source and prepare say about the data, the task's ``Info``.
        settings: the evaluation section; needed by the last three roles.
    """

    name: str
    info: Any
    settings: Any = None

    @cached_property
    def module(self) -> ModuleType:
        return choices.load("tasks", self.name)

    @cached_property
    def examples(self) -> Examples[Any]:
        role: Examples[Any] = choices.role(self.name, "examples")(self.info)
        return role

    @cached_property
    def training(self) -> Training[Any]:
        role: Training[Any] = choices.role(self.name, "training")(self.info)
        return role

    @cached_property
    def evaluation(self) -> Evaluation[Any, Any]:
        role: Evaluation[Any, Any] = choices.role(self.name, "evaluation")(self.info, self.settings)
        return role

    @cached_property
    def report(self) -> Report[Any, Any]:
        role: Report[Any, Any] = choices.role(self.name, "report")(self.info, self.settings)
        return role

    @cached_property
    def serving(self) -> Serving[Any, Any]:
        role: Serving[Any, Any] = choices.role(self.name, "serving")(self.info, self.settings)
        return role
