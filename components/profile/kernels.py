"""The kernels of a traced step: one per operation, or with elementwise operations fused as by XLA."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from components.profile import NOTHING, Kernel, Size
from components.profile.trace import Graph, Node

# The batch at which sizes are compared.
BATCH = 32
PRODUCTS = frozenset({"conv", "winograd", "depthwise", "matmul"})
# Reading an operand again is free below this share of the result's size (a channel's mean, a bias).
SMALL = 1 / 16


@dataclass
class Launch:
    """One kernel, with the tensors that it reads and writes in memory.

    Attributes:
        reads: indices of the tensors that it reads.
        writes: indices of the tensors that it writes.
        reduces: of a reduction, the size of its input: reductions of equal size may share one reading.
    """

    kind: str
    reads: dict[int, None]
    writes: dict[int, None]
    flops: Size = NOTHING
    sides: tuple[int, int] = (0, 0)
    times: float = 1.0
    forward: bool = True
    reduces: Size | None = None


def single(graph: Graph) -> list[Launch]:
    """One kernel per operation, which reads all its inputs and writes all its outputs."""
    alias = aliases(graph)
    launches = []
    for node in graph.nodes:
        if node.kind != "free":
            reads = dict.fromkeys(alias.get(number, number) for number in node.inputs)
            launches.append(_launch(node, reads, dict.fromkeys(node.outputs)))
    return launches


def _launch(node: Node, reads: dict[int, None], writes: dict[int, None]) -> Launch:
    kind = node.kind if node.kind in PRODUCTS or node.kind == "gather" else "memory"
    return Launch(kind, reads, writes, node.flops, node.sides, node.times, node.forward)


def aliases(graph: Graph) -> dict[int, int]:
    """Tensor -> the tensor whose buffer it views."""
    roots: dict[int, int] = {}
    for node in graph.nodes:
        if node.kind == "free" and node.inputs and node.outputs and node.type != "While":
            root = roots.get(node.inputs[0], node.inputs[0])
            if graph.tensors[node.outputs[0]] == graph.tensors[root]:
                roots[node.outputs[0]] = root
    return roots


@dataclass
class Fusion:
    """Elementwise results stay expressions over tensors in memory until they are needed in memory.

    The rules follow XLA: an elementwise operation is fused into its consumers, but written once if they would read more
    by computing it again than by reading it; reductions of one tensor share a reading; the only consumer of a product
    is written by the product's kernel.
    """

    graph: Graph
    launches: list[Launch] = field(default_factory=list)
    sources: dict[int, frozenset[int]] = field(default_factory=dict)

    def run(self) -> list[Launch]:
        self.alias = aliases(self.graph)
        self.uses = self._uses()
        for node in self.graph.nodes:
            match node.kind:
                case "free":
                    continue
                case "elementwise":
                    self._elementwise(node)
                case "reduction":
                    self._reduction(node)
                case _:
                    reads = dict.fromkeys(self._root(number) for number in node.inputs)
                    self.launches.append(_launch(node, reads, dict.fromkeys(node.outputs)))
        return self._epilogues()

    def _root(self, number: int) -> int:
        return self.alias.get(number, number)

    def _uses(self) -> dict[int, Counter[str]]:
        """Tensor -> number of operations of each kind that read it."""
        uses: dict[int, Counter[str]] = {}
        for node in self.graph.nodes:
            if node.kind != "free":
                for number in {self._root(number) for number in node.inputs}:
                    uses.setdefault(number, Counter())[node.kind] += 1
        for number in self.graph.results:
            uses.setdefault(self._root(number), Counter())["result"] += 1
        return uses

    def _weight(self, number: int) -> float:
        return self.graph.tensors[number].at(BATCH)

    def _read_by(self, node: Node) -> frozenset[int]:
        return frozenset().union(*(self.sources.get(root, {root}) for root in map(self._root, node.inputs)))

    def _elementwise(self, node: Node) -> None:
        reads = self._read_by(node)
        for number in node.outputs:
            self.sources[number] = reads
        if any(self._in_memory(number, reads) for number in node.outputs):
            self.launches.append(
                Launch(
                    "memory", dict.fromkeys(reads), dict.fromkeys(node.outputs), times=node.times, forward=node.forward
                )
            )
            for number in node.outputs:
                self.sources[number] = frozenset({number})

    def _in_memory(self, number: int, reads: frozenset[int]) -> bool:
        uses = self.uses.get(number, Counter())
        inline = uses["elementwise"] + uses["reduction"]
        if inline < uses.total():
            return True
        whole = self._weight(number)
        reading = sum(self._weight(one) for one in reads if self._weight(one) > SMALL * whole)
        return reading + whole + inline * whole < inline * reading

    def _reduction(self, node: Node) -> None:
        reads = self._read_by(node)
        size = self.graph.tensors[self._root(node.inputs[0])]
        whole = size.at(BATCH)
        for launch in reversed(self.launches[-24:]):
            shared = any(self._weight(one) > SMALL * whole for one in reads & launch.reads.keys())
            if launch.reduces == size and shared and not reads & launch.writes.keys() and launch.times == node.times:
                launch.reads.update(dict.fromkeys(reads))
                launch.writes.update(dict.fromkeys(node.outputs))
                return
        self.launches.append(replace(_launch(node, dict.fromkeys(reads), dict.fromkeys(node.outputs)), reduces=size))

    def _epilogues(self) -> list[Launch]:
        readers = Counter(number for launch in self.launches for number in launch.reads)
        makers = {number: launch for launch in self.launches for number in launch.writes}
        remaining = []
        for launch in self.launches:
            product = None
            if launch.kind == "memory" and launch.reduces is None and len(launch.writes) == 1:
                product = self._product_before(launch, readers, makers)
            if product is None:
                remaining.append(launch)
                continue
            inner = next(iter(product.writes))
            product.reads.update({number: None for number in launch.reads if number != inner})
            product.writes = launch.writes
            makers[next(iter(launch.writes))] = product
        return remaining

    def _product_before(self, launch: Launch, readers: Counter[int], makers: dict[int, Launch]) -> Launch | None:
        """The product whose result only this kernel reads, if the kernel does not change its size."""
        size = self.graph.tensors[next(iter(launch.writes))]
        for number in launch.reads:
            before, alone = makers.get(number), readers[number] == 1 and number not in self.graph.results
            same = self.graph.tensors[number].at(1) == size.at(1)
            if before and alone and same and before.kind in PRODUCTS and before.times == launch.times:
                return before
        return None


def grouped(graph: Graph, launches: Iterable[Launch]) -> tuple[Kernel, ...]:
    """Equal launches as one kernel, in the order of their first occurrence."""
    counts: dict[Kernel, float] = {}
    for launch in launches:
        moved = Size()
        for number in (*launch.reads, *launch.writes):
            moved = moved.plus(graph.tensors[number])
        if launch.flops == NOTHING and moved.at(BATCH) < 64:
            continue  # scalars
        kernel = Kernel(launch.kind, 0, launch.flops, moved, launch.sides)
        counts[kernel] = counts.get(kernel, 0) + launch.times
    return tuple(replace(kernel, count=count) for kernel, count in counts.items())
