"""One training step of a model, traced by TensorFlow without executing it, as a list of operations."""

import math
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from components.profile import NOTHING, Size
from components.profile.operations import kind_of, minimal, product

# Two traces show what grows with the batch; graphs treat neither size specially.
BATCHES = (2, 4)


@dataclass(frozen=True)
class Node:
    """An operation.

    Attributes:
        type: TensorFlow's name of the operation.
        kind: from ``operations.kind_of``.
        inputs: indices of its input tensors in the graph's list of tensors.
        outputs: indices of its output tensors.
        flops: of a product.
        sides: of a product.
        times: executions per step, more than 1 in a loop.
        forward: whether it is part of the forward pass.
    """

    type: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    flops: Size = NOTHING
    sides: tuple[int, int] = (0, 0)
    times: float = 1.0
    forward: bool = True


@dataclass(frozen=True)
class Graph:
    """A training step.

    Attributes:
        nodes: in an order of execution.
        tensors: bytes of each tensor.
        results: indices of the loss and the gradients.
        variables: indices of the tensors that are a variable's value.
    """

    nodes: tuple[Node, ...]
    tensors: tuple[Size, ...]
    results: frozenset[int]
    variables: frozenset[int]


def graph_of(model: keras.Model) -> Graph:
    """Forward pass, a cross-entropy over each output's last axis, and the gradients of all trainable variables."""
    few, more = (_Walk(*_traced(model, batch)) for batch in BATCHES)
    if [node.type for node in few.nodes] != [node.type for node in more.nodes]:
        raise ValueError(f"the graph of {model.name} depends on the batch size")
    nodes = tuple(
        Node(a.type, a.kind, a.inputs, a.outputs, _linear(a.flops[0], b.flops[0]), a.sides, a.times, a.forward)
        for a, b in zip(few.nodes, more.nodes, strict=True)
    )
    tensors = tuple(_linear(a, b) for a, b in zip(few.tensors, more.tensors, strict=True))
    return Graph(nodes, tensors, frozenset(few.results), frozenset(few.variables))


def _linear(few: float, more: float) -> Size:
    each = (more - few) / (BATCHES[1] - BATCHES[0])
    return Size(few - each * BATCHES[0], each)


def _traced(model: keras.Model, batch: int) -> tuple[Any, int]:
    """The traced step, and the number of its operations that belong to the forward pass."""
    forward = 0

    def step(inputs: Any) -> Any:
        nonlocal forward
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(model(inputs, training=True))
            loss = tf.add_n([tf.reduce_sum(tf.reduce_logsumexp(tf.cast(one, "float32"), -1)) for one in outputs])
        forward = len(tf.compat.v1.get_default_graph().get_operations())
        return loss, tape.gradient(loss, model.trainable_variables)

    inputs = model.inputs[0] if len(model.inputs) == 1 else model.input
    specs = keras.tree.map_structure(lambda one: tf.TensorSpec((batch, *one.shape[1:]), one.dtype), inputs)
    concrete = tf.function(step, autograph=False, jit_compile=False).get_concrete_function(specs)
    return concrete.graph, forward


class _Walk:
    """The operations that a traced graph's results depend on, including those in functions and loops."""

    def __init__(self, graph: Any, forward: int) -> None:
        self.nodes: list[Node] = []
        self.tensors: list[float] = []
        self.variables: set[int] = set()
        self._numbers: dict[Any, int] = {}
        self._trips: dict[str, float] = {}
        self._lists: set[int] = set()
        order = graph.get_operations()
        before = {operation.name for operation in order[:forward]}
        needed = _needed(graph.outputs, [one for one in order if one.type.startswith("Assign")])
        for operation in order:
            if operation.name in needed:
                self._add(operation, 1.0, operation.name in before)
        self.results = {self._number(tensor) for tensor in graph.outputs}

    def _number(self, tensor: Any) -> int:
        key = tensor.ref()
        if key not in self._numbers:
            self._numbers[key] = len(self.tensors)
            self.tensors.append(_bytes(tensor))
        return self._numbers[key]

    def _same(self, outer: Any, inner: Any) -> None:
        """Identify a tensor in a function with the tensor that is passed for it."""
        self._numbers[inner.ref()] = self._number(outer)

    def _add(self, operation: Any, times: float, forward: bool) -> None:
        if operation.type in {"While", "StatelessWhile"}:
            self._loop(operation, times, forward)
        elif operation.type in {"PartitionedCall", "StatefulPartitionedCall"}:
            self._call(operation, times, forward)
        else:
            kind = kind_of(operation.type)
            flops, sides = product(operation) if kind in {"conv", "depthwise", "matmul"} else (0.0, (0, 0))
            if kind == "conv" and minimal(operation):
                kind = "winograd"
            inputs, outputs = (tuple(map(self._number, part)) for part in (operation.inputs, operation.outputs))
            if operation.type == "ReadVariableOp":
                self.variables.update(outputs)
            self.nodes.append(Node(operation.type, kind, inputs, outputs, Size(flops), sides, times, forward))

    def _call(self, operation: Any, times: float, forward: bool) -> None:
        inner = operation.graph._get_function(operation.get_attr("f").name).graph
        for outer, parameter in zip(operation.inputs, inner.inputs, strict=True):
            self._same(outer, parameter)
        for one in _ordered(inner):
            self._add(one, times, forward)
        for outer, result in zip(operation.outputs, inner.outputs, strict=True):
            self._numbers[outer.ref()] = self._number(result)

    def _loop(self, operation: Any, times: float, forward: bool) -> None:
        """The body's operations ``trips`` times. Values for the backward loop are pushed to lists, which an extra node
        writes after the forward loop and reads after the backward one."""
        trips = self._trips_of(operation)
        body = operation.graph._get_function(operation.get_attr("body").name).graph
        for one in _ordered(body):
            self._add(one, times * trips, forward)
        inputs, outputs = (tuple(map(self._number, part)) for part in (operation.inputs, operation.outputs))
        written = []
        for number, inner in zip(outputs, body.outputs, strict=True):
            if pushed := trips * _pushed(inner, body):
                self.tensors[number] = pushed
                written.append(number)
        read = tuple(number for number in inputs if number in self._lists)
        self._lists.update(written)
        self.nodes.append(Node(operation.type, "free", inputs, outputs, times=times, forward=forward))
        self.nodes.append(Node("Lists", "opaque", read, tuple(written), times=times, forward=forward))
        for tensor in operation.outputs:
            self._trips[tensor.name] = trips

    def _trips_of(self, operation: Any) -> float:
        """Iterations of a loop: those of its forward loop, the length of a list that it reads, or its static limit."""
        for tensor in operation.inputs:
            if tensor.name in self._trips:
                return self._trips[tensor.name]
        lengths = [
            tensor.op.inputs[0].shape[0]
            for tensor in operation.inputs
            if tensor.op.type == "TensorListFromTensor" and tensor.op.inputs[0].shape.rank
        ]
        if lengths:
            return float(max(lengths))
        limit = tf.get_static_value(operation.inputs[1])
        return float(limit) if limit is not None and 0 < limit < 2**31 - 1 else 1.0


def _ordered(graph: Any) -> list[Any]:
    needed = _needed([*graph.outputs], list(graph.control_outputs))
    return [one for one in graph.get_operations() if one.name in needed and one.type != "Placeholder"]


def _needed(results: Any, others: list[Any]) -> set[str]:
    """The names of all operations that these tensors and operations depend on."""
    pending, names = [tensor.op for tensor in results] + others, set[str]()
    while pending:
        operation = pending.pop()
        if operation.name not in names:
            names.add(operation.name)
            pending += [tensor.op for tensor in operation.inputs]
    return names


def _pushed(tensor: Any, body: Any) -> float:
    """Bytes that one iteration of a loop adds to a list that leaves its body; 0 for other tensors.

    A list holds references: a variable, or a value that the loop passes on unchanged, adds nothing.
    """
    push = _origin(tensor).op
    if push.type != "TensorListPushBack":
        return 0.0
    value = _origin(push.inputs[1])
    parameters = {tensor.ref(): index for index, tensor in enumerate(body.inputs)}
    if value.op.type == "ReadVariableOp":
        return 0.0
    if value.ref() in parameters and _origin(body.outputs[parameters[value.ref()]]).ref() == value.ref():
        return 0.0
    return _bytes(value)


def _origin(tensor: Any) -> Any:
    """The tensor behind identity operations."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _bytes(tensor: Any) -> float:
    """Bytes of a tensor; 0 for resources, lists and unknown shapes."""
    if tensor.dtype.name in {"resource", "variant", "string"} or not tensor.shape.is_fully_defined():
        return 0.0
    return float(math.prod(tensor.shape) * tensor.dtype.size)
