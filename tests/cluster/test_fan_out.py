"""A wide tuning fan-out: 500 pods over 10 pools of 20 nodes, and what that costs the API server."""

import time
from dataclasses import replace

import gke
import pytest
import steps
from binding import nodes_of, settled
from clusters import Cluster
from steps import CATALOG

from pipelines.hardware import ladder
from pipelines.hardware.pods import Pod

# Machines of at least four chips: 50 trials share the 20 of each pool.
POOLS = (
    *("cpu-16", "cpu-32:spot", "t4x4", "t4x4:spot", "v100x4", "l4x4", "l4x4:flex-start", "l4x8"),
    *("a100-40gx4:spot", "h100x8"),
)
NODES, PODS, SHARE = 20, 50, 4
# Ten times what was seen on two cores (docs/control-plane.md).
PATIENCE_S, MOST_MB = 100.0, 3000.0


def trial(pod: Pod) -> Pod:
    """A quarter of the machine and one chip."""
    cores = int(pod.requests["cpu"].removesuffix("m")) // SHARE
    memory = int(pod.requests["memory"].removesuffix("Gi")) // SHARE
    return replace(pod, requests={"cpu": f"{cores}m", "memory": f"{memory}Gi"}, limits=dict.fromkeys(pod.limits, "1"))


def test_five_hundred_pods_are_bound_to_the_right_pools(
    cluster: Cluster, empty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rungs = {text.replace(":", "-"): ladder.parse(text, CATALOG)[0] for text in POOLS}
    cluster.furnish([*gke.pools(rungs.values(), NODES), *gke.default_pool()])
    before = cluster.plane.memory_mb("kube-apiserver")[0] if cluster.plane else 0.0
    began = time.monotonic()
    found = settled(cluster.api, empty, {run: trial(steps.train(rung)) for run, rung in rungs.items()}, PODS)
    took = time.monotonic() - began
    pools = {each["metadata"]["name"]: each["metadata"]["labels"][gke.POOL] for each in cluster.nodes()}
    on = {run: {pools.get(node, node) for node in nodes} for run, nodes in nodes_of(found).items()}
    assert on == {run: {gke.pool_of(rung)} for run, rung in rungs.items()}
    assert len(found) == len(POOLS) * PODS == 500
    said = f"\n{len(found)} pods on {len(pools)} nodes: all bound {took:.1f} s after the first request"
    if cluster.plane:
        now, peak = cluster.plane.memory_mb("kube-apiserver")
        said += f"; the API server's memory {before:.0f} -> {now:.0f} MB, {peak:.0f} MB at its peak"
        assert peak < MOST_MB
    with capsys.disabled():
        print(said)
    assert took < PATIENCE_S
