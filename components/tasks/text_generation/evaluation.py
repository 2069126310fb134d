"""Evaluation: how likely held-out texts are, with a Kneser-Ney model as a baseline; and continuations of texts."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core.examples import PreparedData
from components.core.inference import Predictor, objects
from components.metrics import bootstrap, confidence, likelihood, slicing
from components.tasks import contract
from components.tasks.contract import Arrays
from components.tasks.text_generation import Info, Settings, kneser_ney
from components.text import sampling, vocabulary
from components.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    import keras

# Order of the baseline's n-grams.
ORDER = 5
# Windows in one call of a network, and texts read at once.
AT_ONCE, READ = 64, 1024
HARDEST, EASIEST = "Least expected texts", "Most expected texts"
QUARTERS = ("shortest", "shorter middle", "longer middle", "longest")


class Evaluation(contract.Evaluation[Info, Settings]):
    content = "text"

    def assets(self, network: "keras.Model") -> dict[str, Any]:
        return vocabulary.assets_of(network)

    def problem(self, network: "keras.Model") -> str:
        takes, gives = tuple(network.input_shape), tuple(network.output_shape)
        if len(takes) == 2 and takes[1] is not None and len(gives) == 3 and gives[1] == takes[1]:
            return ""
        return f"makes {list(gives[1:])} of {list(takes[1:])}, where logits of the next token at each place are needed"

    def encode(self, contents: Any, assets: dict[str, Any]) -> np.ndarray:
        """The beginning of each text, int32 [n, length], BOS first."""
        tokenizer, length = vocabulary.from_assets(assets), assets["length"]
        inputs = np.full((len(contents), length), tokenizer.bos, np.int32)
        for row, text in zip(inputs, contents, strict=True):
            tokens = tokenizer.encode(text, length - 1)
            row[1 : 1 + len(tokens)] = tokens
        return inputs

    def predict(self, predictor: Predictor, batch: Arrays, assets: dict[str, Any]) -> Arrays:
        """Of examples: ``nats``, -ln of the probability of each whole text, float64 [n], and its number of ``tokens``.
        Of bare texts, which have no key: their ``continuation``, bytes [n]."""
        tokenizer = vocabulary.from_assets(assets)
        texts = [tokenizer.encode(text) for text in batch["text"]]
        if "key" not in batch:
            return {"continuation": self._continuations(predictor, texts, tokenizer, assets["length"])}
        nats = np.zeros(len(texts))
        for numbers, inputs, targets in windows(texts, tokenizer.bos, assets["length"], self.settings.stride):
            losses = likelihood.nll(np.asarray(predictor.run(inputs), np.float32), np.maximum(targets, 0))
            np.add.at(nats, numbers, np.where(targets >= 0, losses, 0).sum(axis=1, dtype=np.float64))
        return {"nats": nats, "tokens": np.array([len(text) for text in texts], np.int64)}

    def _continuations(
        self, predictor: Predictor, texts: list[np.ndarray], tokenizer: Vocabulary, length: int
    ) -> np.ndarray:
        """Continuations, bytes [n]: the same for a text whatever others there are."""
        settings = self.settings
        rows, sizes = np.full((len(texts), length), tokenizer.bos, np.int32), np.empty(len(texts), np.int32)
        for number, text in enumerate(texts):
            line = np.concatenate([[tokenizer.bos], text])[-length:]
            rows[number, : len(line)], sizes[number] = line, len(line)
        uniforms = np.repeat(sampling.uniforms(settings.seed, 1, settings.new_tokens), len(texts), axis=0)
        how = sampling.Sampling(settings.temperature, settings.top_k, settings.top_p)
        if predictor.network is not None:
            lines = sampling.compiled(predictor.network, how)(rows, sizes, uniforms)
        else:
            lines = sampling.generate_without_cache(predictor.run, rows, sizes, uniforms, how)
        return objects([tokenizer.decode(tokens) for tokens in lines])

    def score(self, predicted: Arrays, truth: Arrays) -> dict[str, float]:
        mean = self.example_scores(predicted, truth)["log_likelihood"].mean()
        totals = _totals(predicted["nats"].sum(), predicted["tokens"].sum(), truth["characters"].sum(), mean)
        return {name: float(value) for name, value in totals.items()}

    def confidence_intervals(self, predicted: Arrays, truth: Arrays, scores: dict[str, float]) -> bootstrap.Intervals:
        groups = self.groups(truth)
        loss = confidence.ratio(predicted["nats"], predicted["tokens"], groups=groups)
        return bootstrap.Intervals(
            {
                "bits_per_character": confidence.ratio(
                    predicted["nats"] / np.log(2), truth["characters"], groups=groups
                ),
                "perplexity": (_perplexity(loss[0]), _perplexity(loss[1])),
                "loss": loss,
                "log_likelihood": confidence.mean(
                    self.example_scores(predicted, truth)["log_likelihood"], groups=groups
                ),
            }
        )

    def example_scores(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """log2 of each text's probability over its characters."""
        return {"log_likelihood": np.asarray(-predicted["nats"] / np.log(2) / truth["characters"], np.float64)}

    def example_metric(self, predicted: Arrays, truth: Arrays) -> np.ndarray:
        """The log likelihood of each text, at least -8 bits a character (``Settings.paired_range``)."""
        return np.asarray(np.maximum(super().example_metric(predicted, truth), self.settings.paired_range[0]))

    def slices(self, truth: Arrays) -> Arrays:
        """By source if there are several, and by quartile of the length in characters."""
        sources = self.info.get("sources", [])
        masks = {f"source {name}": truth["source"] == number for number, name in enumerate(sources) if len(sources) > 1}
        masks |= slicing.quarters("length", truth["characters"], QUARTERS)
        return {name: mask for name, mask in masks.items() if mask.any()}

    def worst_examples(self, predicted: Arrays, truth: Arrays) -> Arrays:
        """The texts that take most bits a character, and those that take fewest."""
        bits = -self.example_metric(predicted, truth)
        return {HARDEST: bits, EASIEST: 1 / np.maximum(bits, 1e-9)}

    def predictions(self, predicted: Arrays) -> list[dict[str, Any]]:
        """The continuation of each text; of scored examples their ``nats`` and ``tokens``."""
        if "continuation" in predicted:
            return [{"continuation": text.decode(errors="replace")} for text in predicted["continuation"]]
        return super().predictions(predicted)

    def baseline(self, data: PreparedData) -> tuple[str, dict[str, float]]:
        """An interpolated Kneser-Ney model of 5-grams of bytes, counted on the train split.

        Its perplexity is left out: it would be one of bytes, whatever the network's tokens are.
        """

        def texts(split: str) -> Iterable[np.ndarray]:
            for batch in data.batches(split, READ):
                yield from (np.frombuffer(text, np.uint8) for text in batch["text"].numpy())

        model = kneser_ney.counted(texts("train"), ORDER, 256)
        bits, characters = [], []
        for batch in data.batches("test", READ):
            tokens = [np.frombuffer(text, np.uint8) for text in batch["text"].numpy()]
            lost = -np.log2(model.probabilities(tokens))
            starts = np.cumsum([0, *map(len, tokens)])[:-1]
            bits.append(np.add.reduceat(lost, starts))
            characters.append(batch["characters"].numpy())
        total, count = np.concatenate(bits), np.concatenate(characters)
        return "interpolated Kneser-Ney, 5-grams of bytes", {
            "bits_per_character": float(total.sum() / count.sum()),
            "log_likelihood": float(-(total / count).mean()),
        }


def windows(
    texts: Sequence[np.ndarray], begin: int, length: int, stride: int
) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Windows over texts, up to AT_ONCE together: the number of the text of each; the inputs, int32 [m, length]; and
    the targets, int32 [m, length], -1 for no token or one that an earlier window had."""
    stride, numbers = min(stride, length), list[int]()
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for number, text in enumerate(texts):
        shifted = np.concatenate([[begin], text[:-1]])
        for start in range(0, max(len(text) - length, 0) + stride, stride):
            scored = start + length - stride if start else 0
            if scored >= len(text):
                break
            inputs, targets = np.full(length, begin, np.int32), np.full(length, -1, np.int32)
            part = shifted[start : start + length]
            inputs[: len(part)] = part
            targets[scored - start : len(part)] = text[scored : start + len(part)]
            numbers.append(number)
            rows.append((inputs, targets))
            if len(rows) == AT_ONCE:
                yield np.array(numbers), np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
                numbers, rows = [], []
    if rows:
        yield np.array(numbers), np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


def _perplexity(loss: float) -> float:
    return float(np.exp(min(loss, 700)))


def _totals(nats: Any, tokens: Any, characters: Any, mean: Any) -> dict[str, Any]:
    """The metrics from sums over texts, and from the mean of ``log_likelihood``."""
    loss = nats / tokens
    return {
        "bits_per_character": nats / np.log(2) / characters,
        "perplexity": _perplexity(loss),
        "loss": loss,
        "log_likelihood": mean,
    }
