"""The profile of a Keras model."""

import math
from typing import TYPE_CHECKING, Any

from components.profile import FAMILIES, Profile, Size, Traced, memory, trace
from components.profile.kernels import Fusion, grouped, single

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

POLICIES = {"float32": "float32", "mixed": "mixed_bfloat16"}


def of(build: "Callable[[], keras.Model]", name: str = "") -> Profile:
    """The profile of a model, built once in each family of number formats.

    Args:
        build: makes the model; it is called under each dtype policy.
        name: what to call it; without one, the model's own name.

    Raises:
        ValueError: a side of the model's input has no fixed size, so that nothing can be counted.
    """
    import keras
    import tensorflow as tf

    before = keras.config.dtype_policy()
    traced: dict[str, Traced] = {}
    try:
        for family in FAMILIES:
            keras.config.set_dtype_policy(POLICIES[family])
            model = build()
            for given in model.inputs:
                if None in given.shape[1:]:
                    raise ValueError(f"the input {given.name} has no fixed size: {list(given.shape[1:])}")
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


def traced_step(model: "keras.Model") -> Traced:
    """One training step of a built model, in the number formats it was built in."""
    graph = trace.graph_of(model)
    alone, fused = single(graph), Fusion(graph).run()
    return Traced(
        forward_flops=_flops(node for node in graph.nodes if node.forward),
        flops=_flops(graph.nodes),
        fused=grouped(graph, fused),
        single=grouped(graph, alone),
        kept=memory.kept(graph, fused),
        peak=memory.peak(graph, alone, in_place=True),
        peak_fused=memory.peak(graph, fused, in_place=False),
    )


def _flops(nodes: Any) -> Size:
    total = Size()
    for node in nodes:
        total = total.plus(node.flops, node.times)
    return total
