"""The profile of a Keras model."""

import math
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from components.profile import FAMILIES, Profile, Size, Traced, memory, trace
from components.profile.kernels import Fusion, grouped, single

POLICIES = {"float32": "float32", "mixed": "mixed_bfloat16"}


def profile(build: Callable[[], keras.Model], name: str = "") -> Profile:
    """The profile of a model, built once for each family of number formats.

    Args:
        build: builds the model; called under each dtype policy.
        name: empty for the model's own name.

    Raises:
        ValueError: the model's input has an axis without a fixed size.
    """
    before = keras.config.dtype_policy()
    traced: dict[str, Traced] = {}
    try:
        for family in FAMILIES:
            keras.config.set_dtype_policy(POLICIES[family])
            model = build()
            for tensor in model.inputs:
                if None in tensor.shape[1:]:
                    raise ValueError(f"the input {tensor.name} has no fixed size: {list(tensor.shape[1:])}")
            traced[family] = traced_step(model)
    finally:
        keras.config.set_dtype_policy(before)
    first = model.inputs[0]
    return Profile(
        model=name or model.name,
        input_shape=tuple(int(side) for side in first.shape[1:]),
        input_dtype=str(first.dtype),
        input_bytes=sum(math.prod(one.shape[1:]) * tf.as_dtype(one.dtype).size for one in model.inputs),
        parameters=sum(math.prod(one.shape) for one in model.variables),
        trainable=sum(math.prod(one.shape) for one in model.trainable_variables),
        traced=traced,
    )


def traced_step(model: keras.Model) -> Traced:
    """One training step of a model, in its number format."""
    graph = trace.graph_of(model)
    separate, fused = single(graph), Fusion(graph).run()
    return Traced(
        forward_flops=_flops(node for node in graph.nodes if node.forward),
        flops=_flops(graph.nodes),
        fused=grouped(graph, fused),
        single=grouped(graph, separate),
        kept=memory.activations(graph, fused),
        peak=memory.peak(graph, separate, in_place=True),
        peak_fused=memory.peak(graph, fused, in_place=False),
    )


def _flops(nodes: Iterable[trace.Node]) -> Size:
    total = Size()
    for node in nodes:
        total = total.plus(node.flops, node.times)
    return total
