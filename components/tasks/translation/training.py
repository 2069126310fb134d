"""Training: the target's next token from the source and the target so far."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from components.core.errors import StepError
from components.core.examples import PreparedData
from components.core.inference import Predictor
from components.layers.token_loss import TokenAccuracy, TokenLoss
from components.tasks import contract
from components.tasks.contract import Arrays
from components.tasks.translation import Info, decoding
from components.text import subwords

READ = 1024


class Training(contract.Training[Info]):
    def arguments(self, model: Any, data: PreparedData) -> dict[str, Any]:
        """``pieces``, learned on the train split.

        Raises:
            StepError: most sentences of the train split are longer than the model takes.
        """
        pieces: tuple[str, ...] = ()
        if model.pieces:
            batches = data.batches("train", READ).as_numpy_iterator()
            texts = (text.decode() for batch in batches for side in ("source", "target") for text in batch[side])
            pieces = subwords.learn_pieces(texts, model.pieces)
        lengths = {"source": model.source_length, "target": model.target_length}
        fitting, tokenizer = dict.fromkeys(lengths, 0), subwords.SubwordTokenizer(pieces)
        for batch in data.batches("train", READ).as_numpy_iterator():
            for side, length in lengths.items():
                ids = tokenizer.encode(batch[side].tolist(), length)
                fitting[side] += int(decoding.ended(ids).sum())
        count = data.require("train")
        for side, fit in fitting.items():
            if fit < count:
                print(f"{count - fit:,} of {count:,} {side} texts are longer than model.{side}_length", flush=True)
            if 2 * fit < count:
                raise StepError(
                    f"model.{side}_length: {count - fit:,} of {count:,} texts have more than {lengths[side]} tokens",
                    advice=f"raise model.{side}_length, or let tokens be longer by model.pieces",
                    kind="settings",
                )
        return {"pieces": list(pieces)}

    def assets(self, network: keras.Model) -> dict[str, Any]:
        return decoding.assets_of(network)

    def input_fn(self, assets: dict[str, Any]) -> Callable[[dict[str, tf.Tensor]], tuple[Any, Any]]:
        """Inputs are the source and the target shifted by one."""
        return lambda batch: decoding.pack_in_graph(batch["source"], batch["target"], assets)

    def compile_arguments(self, network: keras.Model) -> dict[str, Any]:
        return {"loss": TokenLoss(decoding.layer_of(network).label_smoothing), "metrics": [TokenAccuracy()]}

    def epoch_samples(self, network: keras.Model, assets: dict[str, Any], batch: Arrays, seed: int) -> list[str]:
        """Source and translation of a few pairs, and the reference if it differs."""
        predictor = Predictor(lambda inputs: inputs, network)
        translations = decoding.translate(predictor, batch["source"].tolist(), assets)
        lines = []
        for source, text, reference in zip(
            batch["source"].tolist(), translations, batch["target"].tolist(), strict=True
        ):
            suffix = "" if text == reference else f" (reference: {reference.decode(errors='replace')})"
            lines.append(f"{source.decode(errors='replace')} -> {text.decode(errors='replace')}{suffix}")
        return lines
