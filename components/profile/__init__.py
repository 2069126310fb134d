"""A model's profile: FLOPs, traffic and memory of one training step, counted on the graph that runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

# Changes with the way of counting, so that cached profiles of an older version are not used.
VERSION = 2
FAMILIES = ("float32", "mixed")


class Size(NamedTuple):
    """A quantity that is linear in the batch: ``fixed + each * batch``."""

    fixed: float = 0.0
    each: float = 0.0

    def at(self, batch: float) -> float:
        """The quantity for a batch."""
        return self.fixed + self.each * batch

    def plus(self, other: "Size", times: float = 1.0) -> "Size":
        """The sum with ``times`` as much as another."""
        return Size(self.fixed + times * other.fixed, self.each + times * other.each)


NOTHING = Size()


@dataclass(frozen=True)
class Kernel:
    """Equal operations of one step, each launched separately.

    Attributes:
        kind: ``conv``, ``winograd`` (convolutions that Winograd's algorithm can speed up), ``depthwise``, ``matmul``,
            ``gather`` or ``memory`` (elementwise, reductions, pools).
        count: launches per step.
        flops: of one, a multiply-add counting 2; only matrix products and convolutions are counted.
        bytes: that one reads and writes.
        sides: the two sides of the matrix product that do not grow with the batch; (0, 0) for other kinds.
    """

    kind: str
    count: float
    flops: Size
    bytes: Size
    sides: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Traced:
    """One training step in one number format.

    Attributes:
        forward_flops: of the forward pass.
        flops: of forward and backward pass.
        fused: the kernels if a compiler fuses elementwise operations with their neighbours (XLA on GPU and TPU).
        single: the kernels if each operation runs separately (TensorFlow on a CPU).
        kept: bytes of activations that the backward pass reads.
        peak: peak bytes of activations and gradients with separate operations.
        peak_fused: the same with fused operations.
    """

    forward_flops: Size
    flops: Size
    fused: tuple[Kernel, ...]
    single: tuple[Kernel, ...]
    kept: Size
    peak: Size
    peak_fused: Size


@dataclass(frozen=True)
class Profile:
    """A model's profile.

    Attributes:
        model: name of the model.
        input_shape: of one example.
        input_dtype: of its elements.
        input_bytes: of one example.
        parameters: number of elements in all variables.
        trainable: number of elements in trainable variables, which have gradients and optimizer slots.
        traced: the step by number formats: ``float32``, or ``mixed`` (16-bit activations, float32 variables).
    """

    model: str
    input_shape: tuple[int, ...]
    input_dtype: str
    input_bytes: int
    parameters: int
    trainable: int
    traced: dict[str, Traced]

    def step(self, precision: str) -> Traced:
        """The step in a Keras dtype policy.

        Raises:
            KeyError: the model was not traced with it.
        """
        return self.traced["float32" if precision == "float32" else "mixed"]

    def record(self) -> dict[str, Any]:
        """The profile as JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> "Profile":
        """The profile of a record."""
        traced = {family: _traced(step) for family, step in values["traced"].items()}
        return cls(**{**values, "input_shape": tuple(values["input_shape"]), "traced": traced})


def _traced(values: Mapping[str, Any]) -> Traced:
    sizes = {name: Size(*value) for name, value in values.items() if name not in {"fused", "single"}}
    fused, single = (tuple(map(_kernel, values[name])) for name in ("fused", "single"))
    return Traced(fused=fused, single=single, **sizes)


def _kernel(one: Mapping[str, Any]) -> Kernel:
    return Kernel(
        one["kind"], one["count"], Size(*one["flops"]), Size(*one["bytes"]), (one["sides"][0], one["sides"][1])
    )
