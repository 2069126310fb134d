"""Kinds of operations in TensorFlow's graph, and the FLOPs of products."""

import math
from typing import Any

import tensorflow as tf

# Without traffic: views of a buffer, constants, bookkeeping.
FREE = frozenset(
    {
        "Const", "Placeholder", "Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "StopGradient",
        "PreventGradient", "ReadVariableOp", "NoOp", "Shape", "ShapeN", "VariableShape", "Size", "Rank",
        "Range", "StatelessRandomGetKeyCounter", "StatelessRandomGetAlg", "BroadcastGradientArgs",
        "EmptyTensorList", "TensorListReserve", "TensorListFromTensor", "TensorListLength",
        "TensorListElementShape", "InvertPermutation", "CheckNumerics", "Assert", "EnsureShape", "VarHandleOp",
        "Snapshot",
    }
)  # fmt: skip
REDUCTIONS = frozenset(
    {
        "Sum", "Mean", "Max", "Min", "Prod", "All", "Any", "BiasAddGrad", "ArgMax", "ArgMin", "EuclideanNorm",
        "SegmentSum", "L2Loss",
    }
)  # fmt: skip
# Never fused with a neighbour: a kernel reads its inputs and writes its outputs.
OPAQUE = frozenset(
    {
        "MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad", "MaxPool3D", "AvgPool3D", "MaxPoolV2", "Softmax",
        "LogSoftmax", "SparseSoftmaxCrossEntropyWithLogits", "SoftmaxCrossEntropyWithLogits", "FusedBatchNorm",
        "FusedBatchNormV2", "FusedBatchNormV3", "FusedBatchNormGrad", "FusedBatchNormGradV2",
        "FusedBatchNormGradV3", "Cumsum", "Cumprod", "TopKV2", "ResizeBilinear", "ResizeBilinearGrad",
        "ResizeNearestNeighbor", "ResizeNearestNeighborGrad", "SpaceToBatchND", "BatchToSpaceND", "LRN",
        "LRNGrad",
    }
)  # fmt: skip
GATHERS = frozenset(
    {
        "GatherV2", "Gather", "ResourceGather", "GatherNd", "UnsortedSegmentSum", "ScatterNd",
        "ResourceScatterAdd", "TensorScatterAdd", "TensorScatterUpdate",
    }
)  # fmt: skip
CONVOLUTIONS = {
    "Conv2D": "out",
    "Conv2DBackpropInput": "gradient",
    "Conv2DBackpropFilter": "filter",
    "Conv3D": "out",
    "Conv3DBackpropInputV2": "gradient",
    "Conv3DBackpropFilterV2": "filter",
    "DepthwiseConv2dNative": "out",
    "DepthwiseConv2dNativeBackpropInput": "gradient",
    "DepthwiseConv2dNativeBackpropFilter": "filter",
}
PRODUCTS = frozenset(
    {
        "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum",
    }
)  # fmt: skip


def kind_of(operation: str) -> str:
    """``free``, ``elementwise``, ``reduction``, ``opaque``, ``gather``, ``conv``, ``depthwise`` or ``matmul``.

    Unknown operations count as elementwise.
    """
    if operation in FREE:
        return "free"
    if operation in CONVOLUTIONS:
        return "depthwise" if operation.startswith("Depthwise") else "conv"
    kinds = {"matmul": PRODUCTS, "reduction": REDUCTIONS, "gather": GATHERS, "opaque": OPAQUE}
    return next((kind for kind, members in kinds.items() if operation in members), "elementwise")


def minimal(operation: Any) -> bool:
    """Whether Winograd's algorithm saves multiplications in a convolution, on units for float32.

    Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308: windows of 3 x 3 and
    more, a stride of 1, no groups.
    """
    role = CONVOLUTIONS[operation.type]
    window = operation.outputs[0].shape if role == "filter" else operation.inputs[1].shape
    if not window.is_fully_defined() or len(window) != 4 or set(operation.get_attr("strides")) != {1}:
        return False
    channels = (operation.outputs[0] if role == "gradient" else operation.inputs[0]).shape[-1]
    return min(window[:2]) >= 3 and bool(channels == window[2])


def product(operation: Any) -> tuple[float, tuple[int, int]]:
    """FLOPs of a convolution or matrix product, a multiply-add counting 2, and its two sides other than the batch.

    A convolution is the product of its patches [batch x positions, window x channels in] and its filter
    [window x channels in, channels out]; both passes of its gradient are products of the same three sides.

    Args:
        operation: an operation of TensorFlow's graph whose shapes are known.
    """
    if operation.type in CONVOLUTIONS:
        return _convolution(operation)
    first, second = (list(part.shape) for part in operation.inputs[:2])
    if operation.type == "Einsum":
        return _einsum(operation.get_attr("equation").decode(), first, second)
    across = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    over = operation.get_attr("transpose_b" if operation.type == "MatMul" else "adj_y")
    depth = first[-2] if across else first[-1]
    rows = first[-1] if across else first[-2]
    columns = second[-2] if over else second[-1]
    batch = math.prod(operation.outputs[0].shape[:-2])
    return 2.0 * batch * rows * depth * columns, _smaller(rows, depth, columns)


def _convolution(operation: Any) -> tuple[float, tuple[int, int]]:
    role = CONVOLUTIONS[operation.type]
    if role == "filter":
        filters = operation.outputs[0].shape
        if not filters.is_fully_defined():
            filters = tf.TensorShape(tf.get_static_value(operation.inputs[1]))
    else:
        filters = operation.inputs[1].shape
    positions = operation.outputs[0] if role == "out" else operation.inputs[2]
    *window, channels, out = filters.as_list()
    across = math.prod(window)
    if operation.type.startswith("Depthwise"):
        return 2.0 * math.prod(positions.shape) * across, (channels, across)
    groups = positions.shape[-1] // out if positions.shape[-1] % out == 0 and positions.shape[-1] > out else 1
    if role == "out":
        groups = operation.inputs[0].shape[-1] // channels
    return 2.0 * math.prod(positions.shape) * across * channels, (out // groups, across * channels)


def _einsum(equation: str, first: list[int], second: list[int]) -> tuple[float, tuple[int, int]]:
    """Labels in both operands and the result are the batch, the others the product's sides."""
    left, _, result = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if "..." in equation:
        free = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        rank = len(first) - len(names[0].replace("...", ""))
        dots = "".join(next(free) for _ in range(rank))
        names, result = [name.replace("...", dots) for name in names], result.replace("...", dots)
    sizes = dict(zip("".join(names), [*first, *second], strict=True))
    flops = 2.0 * math.prod(sizes.values())
    shared = set(names[0]) & set(names[1]) & set(result)
    groups = (
        (set(names[0]) & set(result)) - shared,
        (set(names[1]) & set(result)) - shared,
        (set(names[0]) & set(names[1])) - set(result),
    )
    return flops, _smaller(*(math.prod(sizes[label] for label in group) for group in groups))


def _smaller(*sides: int) -> tuple[int, int]:
    """The two smaller sides; the third grows with the batch, or serves as that."""
    small = sorted(sides)
    return small[0], small[1]
