from pathlib import Path

import pytest

from components.core.errors import StepError
from pipelines.hardware import catalog
from pipelines.hardware.catalog import row as rows
from pipelines.hardware.catalog.chips import GPUS, TPUS
from pipelines.hardware.catalog.machines import MACHINES

CATALOG = catalog.load()
SINGLE = [row for row in CATALOG.values() if not row.refused]


def test_every_shape_from_t4_to_b200_and_every_single_host_slice_is_there() -> None:
    assert {row.chip for row in SINGLE if row.kind == "gpu"} == set(GPUS)
    assert {row.name for row in SINGLE if row.kind == "tpu"} == {
        *("v4-4", "v5e-1", "v5e-4", "v5e-8", "v5p-4", "v6e-1", "v6e-4", "v6e-8")
    }
    assert {"l4", "l4x4", "a100-40g", "h100x8", "cpu-8"} <= set(CATALOG)


@pytest.mark.parametrize("row", CATALOG.values(), ids=lambda row: row.name)
def test_a_row_is_consistent(row: catalog.Row) -> None:
    assert row.machine_types[0] in MACHINES
    assert (row.vcpus, row.memory_gib) == MACHINES[row.machine_types[0]][:2]
    assert set(row.precisions) <= set(row.peak) and "float32" in row.precisions
    assert row.spot is None or (row.on_demand is not None and row.spot < row.on_demand)
    assert row.on_demand is None or (row.region and row.priced and row.source)
    assert bool(row.taints) == (row.kind != "cpu") == bool(row.resource)
    assert all(taint.key == row.resource for taint in row.taints)
    assert bool(row.refused) == (row.hosts > 1)
    assert row.flops("float32") > 0
    assert all(isinstance(value, str) for value in row.labels.values())


def test_no_two_rows_have_one_pool() -> None:
    labels = [tuple(sorted(row.labels.items())) for row in SINGLE]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", ["t4", "v100", "p100"])
def test_old_gpus_have_no_bfloat16(name: str) -> None:
    assert "mixed_bfloat16" not in CATALOG[name].precisions
    with pytest.raises(KeyError):
        CATALOG[name].flops("mixed_bfloat16")


def test_a_pod_fits_what_gke_leaves_allocatable() -> None:
    # GKE, "Plan node sizes": a machine of 4 vCPUs and 16 GiB has 3.92 vCPUs and 13.3 GiB for pods.
    assert rows.allocatable_cores(4) == pytest.approx(3.92)
    assert rows.allocatable_gib(16) == pytest.approx(16 - 2.6 - 100 / 1024)
    for row in SINGLE:
        cpu, memory = row.requests
        assert 0 < int(cpu.removesuffix("m")) < 1000 * rows.allocatable_cores(row.vcpus)
        assert 0 < int(memory.removesuffix("Gi")) < rows.allocatable_gib(row.memory_gib)


def test_tpus_are_priced_with_their_machine_and_gpus_without() -> None:
    assert CATALOG["v5e-8"].on_demand == pytest.approx(8 * TPUS["v5e"].usd[0])  # type: ignore[operator]
    assert CATALOG["a100-40g"].on_demand == pytest.approx(3.6734, abs=1e-4)  # 3.673385 for the whole machine
    # tgarg01/silybench-data gpu_prices.csv, checked 2026-09-26: 10.9791 for a3-highgpu-1g.
    assert CATALOG["h100"].on_demand == pytest.approx(10.9791, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("l5", "unknown accelerator 'l5'; did you mean l4?"),
        ("h100x3", "unknown accelerator 'h100x3'; it comes as h100, h100x2, h100x4, h100x8"),
        ("a100", "unknown accelerator 'a100'; it comes as a100-40g, a100-40gx2"),
        ("nvidia-l4", "unknown accelerator 'nvidia-l4'; it comes as l4, l4x2, l4x4, l4x8"),
        ("V6E", "unknown accelerator 'V6E'; it comes as v6e-1, v6e-4, v6e-8"),
        ("zzz", "unknown accelerator 'zzz'; see suanli accelerators"),
        (
            "v5p-8",
            "it needs distributed training, which is not there yet; the largest on one machine is v5p-4 (Google's",
        ),
        ("v5e-256", "accelerator 'v5e-256': one task is one pod, and this slice has 64 machines"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_line(name: str, said: str) -> None:
    with pytest.raises(StepError) as caught:
        catalog.find(CATALOG, name)
    assert said in str(caught.value)


OWN = """
[l4]
on_demand = 0.7
labels = { team = "vision", "node.kubernetes.io/instance-type" = "" }

[our-l4]
like = "l4"
machine_type = "g2-standard-32"

[cpu-8]
machine_type = "n1-standard-8"

[desk]
kind = "gpu"
chip = "rtx-4090"
machine_types = ["desk"]
labels = { desk = "yes" }
image = "gpu"
vcpus = 16
memory_gib = 64
chip_memory_gib = 24
peak = { float32 = 82.6e12, mixed_float16 = 165e12 }
bandwidth = 1008e9
precisions = ["float32", "mixed_float16"]
"""


def test_a_team_changes_and_adds_rows(tmp_path: Path) -> None:
    (tmp_path / "accelerators.toml").write_text(OWN)
    found = catalog.load(tmp_path)
    assert (found["l4"].on_demand, found["l4"].source) == (0.7, "accelerators.toml")
    assert found["l4"].labels == {"cloud.google.com/gke-accelerator": "nvidia-l4", "team": "vision"}
    assert (found["our-l4"].vcpus, found["our-l4"].memory_gib) == (32, 128)
    assert found["our-l4"].on_demand == pytest.approx(0.56004 + 32 * 0.036698, abs=1e-4)
    # It starts from the row as it stands above it in the file.
    assert found["our-l4"].labels["team"] == "vision"
    assert found["cpu-8"].labels == {"node.kubernetes.io/instance-type": "n1-standard-8"}
    assert found["cpu-8"].on_demand == pytest.approx(0.38)
    assert found["desk"].resource == "nvidia.com/gpu" and found["desk"].on_demand is None
    assert list(found)[: len(CATALOG)] == list(CATALOG)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[l4", "accelerators.toml: "),
        ("l4 = 3", "[l4] is not a table"),
        ("[l4]\non_demnd = 1", "[l4] has an unknown key on_demnd; did you mean on_demand?"),
        ("[l4]\non_demand = -1", "[l4] on_demand: should be greater than 0, not -1"),
        ("[l4]\nprecisions = ['bf16']", "[l4] precisions.0: should be 'float32'"),
        ("[mine]\nkind = 'gpu'", "[mine] lacks chip; give it, or like = "),
        ("[mine]\nlike = 'l5'", "[mine] like: no accelerator 'l5'; did you mean l4?"),
        ("[mine]\nlike = 'l4'\nmachine_type = 'g2-standard-7'", "machine_type: 'g2-standard-7' is not known here"),
        ("[L4]\nlike = 'l4'", "[L4] name: String should match pattern"),
        ("[l4]\nlabels = 3", "[l4] labels: should be a valid dictionary, not 3"),
    ],
)
def test_a_wrong_file_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "accelerators.toml").write_text(text)
    with pytest.raises(StepError) as caught:
        catalog.load(tmp_path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
