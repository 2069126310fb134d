"""Peak memory of a step, and the activations stored for its backward pass."""

from collections.abc import Sequence

from components.profile import Size
from components.profile.kernels import BATCH, Launch
from components.profile.trace import Graph


def activations(graph: Graph, launches: Sequence[Launch]) -> Size:
    """Bytes that the forward pass makes and the backward pass reads, without variables."""
    made = {number for launch in launches if launch.forward for number in launch.writes}
    later = {number for launch in launches if not launch.forward for number in launch.reads}
    total = Size()
    for number in sorted(made & later - graph.variables):
        total = total.plus(graph.tensors[number])
    return total


def peak(graph: Graph, launches: Sequence[Launch], in_place: bool) -> Size:
    """The largest sum of live activations and gradients, in the order of the trace, without variables.

    Args:
        in_place: whether an elementwise kernel may overwrite an operand at its last use.
    """
    last = {number: index for index, launch in enumerate(launches) for number in launch.reads}
    end = len(launches)
    last |= dict.fromkeys(graph.results, end)
    made: set[int] = set()
    alive, largest_sum = Size(), Size()
    for index, launch in enumerate(launches):
        for number in launch.writes:
            if number not in graph.variables:
                alive = alive.plus(graph.tensors[number])
                made.add(number)
        dying = [number for number in launch.reads if number in made and last[number] == index]
        now = alive
        if in_place and launch.kind == "memory" and launch.reduces is None and dying:
            # The result overwrites an operand at its last use: one of the two counts.
            largest = max(dying, key=lambda number: graph.tensors[number].at(BATCH))
            if any(graph.tensors[number] == graph.tensors[largest] for number in launch.writes):
                now = alive.plus(graph.tensors[largest], -1)
        largest_sum = max(largest_sum, now, key=lambda size: size.at(BATCH))
        for number in (*dying, *(number for number in launch.writes if number not in last)):
            alive = alive.plus(graph.tensors[number], -1)
            made.discard(number)
    return largest_sum
