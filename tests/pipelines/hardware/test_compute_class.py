"""The compute class of a ladder: what GKE's own definition of the resource allows, in the ladder's order."""

import re

import pytest

from components.core.errors import StepError
from pipelines.hardware import catalog, compute_class, ladder, placement_parameters
from pipelines.hardware.catalog.row import CLASS_LABEL
from pipelines.hardware.ladder import Rung

CATALOG = catalog.load()
SINGLE = [row for row in CATALOG.values() if not row.refused]


def rungs(text: str) -> tuple[Rung, ...]:
    return ladder.parse(text, CATALOG)


def test_the_rungs_become_priorities_in_their_order() -> None:
    spec = compute_class.manifest("train", rungs("l4x2:spot,l4x2:flex-start,l4x2"))["spec"]
    gpu = {"type": "nvidia-l4", "count": 2, "driverVersion": "latest"}
    assert spec["priorities"] == [
        {"machineType": "g2-standard-24", "gpu": gpu, "spot": True},
        {
            "machineType": "g2-standard-24",
            "gpu": gpu,
            "flexStart": {"enabled": True},
            "maxRunDurationSeconds": 604800,
        },
        {"machineType": "g2-standard-24", "gpu": gpu, "spot": False},
    ]


def test_a_class_makes_its_pools_and_never_moves_a_running_pod() -> None:
    spec = compute_class.manifest("train", rungs("l4,t4"))["spec"]
    assert spec["nodePoolAutoCreation"] == {"enabled": True}
    assert spec["activeMigration"] == {"optimizeRulePriority": False}
    assert spec["whenUnsatisfiable"] == "DoNotScaleUp"


def test_a_tpu_rule_has_the_chips_of_a_node_and_the_topology() -> None:
    spec = compute_class.manifest("train", rungs("v5e-8:spot,v6e-8"))["spec"]
    assert [rule["tpu"] for rule in spec["priorities"]] == [
        {"type": "tpu-v5-lite-podslice", "count": 8, "topology": "2x4"},
        {"type": "tpu-v6e-slice", "count": 8, "topology": "2x4"},
    ]
    assert [rule["machineType"] for rule in spec["priorities"]] == ["ct5lp-hightpu-8t", "ct6e-standard-8t"]


def test_a_cpu_rule_is_a_machine_alone() -> None:
    spec = compute_class.manifest("train", rungs("cpu-16:spot,cpu-8"))["spec"]
    assert spec["priorities"] == [
        {"machineType": "e2-standard-16", "spot": True},
        {"machineType": "e2-standard-8", "spot": False},
    ]


@pytest.mark.parametrize("row", SINGLE, ids=lambda row: row.name)
def test_every_row_has_a_class(row: catalog.Row) -> None:
    given = (Rung(row, "spot"), Rung(row))
    (first, second) = compute_class.manifest(compute_class.name_of(given), given)["spec"]["priorities"]
    assert (first["spot"], second["spot"]) == (True, False)
    chips = first.get("gpu") or first.get("tpu") or {"count": row.count}
    assert (first["machineType"], chips["count"]) == (row.machine_types[0], row.count)
    assert chips.get("type", "") in {"", *row.labels.values()}
    assert chips.get("topology", row.topology) == row.topology


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("l4x2:spot,l4x2", "suanli-l4x2-spot-l4x2"),
        ("v5e-4:spot,v6e-4:flex-start,v5e-4", "suanli-v5e-4-spot-v6e-4-flex-start-v5e-4"),
    ],
)
def test_a_name_says_what_the_ladder_says(text: str, name: str) -> None:
    assert compute_class.name_of(rungs(text)) == name
    assert placement_parameters.for_rungs(rungs(text), compute_class=name)["node_selector"] == {CLASS_LABEL: name}


def test_a_long_name_is_cut_and_stays_one_ladders() -> None:
    long = "rtx-pro-6000:spot,a100-40g:spot,a100-80g:spot,h100:spot"
    names = {compute_class.name_of(rungs(f"{long},{last}")) for last in ("l4", "t4", "l4:spot")}
    assert len(names) == 3
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names)


def test_a_row_named_like_a_capacity_is_not_taken_for_another_ladder() -> None:
    l4 = CATALOG["l4"]
    named = Rung(l4.model_copy(update={"name": "l4-spot"}))
    assert compute_class.name_of([named, Rung(l4)]) != compute_class.name_of([Rung(l4, "spot"), Rung(l4)])


def test_a_row_that_ends_in_a_hyphen_still_has_a_class_name() -> None:
    row = CATALOG["l4"].model_copy(update={"name": "l4-"})
    assert compute_class.name_of([Rung(CATALOG["t4"]), Rung(row)]) == "suanli-t4-l4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("l4x2,l4", "no compute class can hold l4x2, l4: a pod asks for one resource and one count"),
        ("l4,v5e-1", "no compute class can hold l4, v5e-1"),
        ("v4-4:flex-start,v4-4", "v4-4:flex-start: GKE has no flex-start for v4; use spot"),
        ("cpu-8:flex-start,cpu-8", "cpu-8:flex-start: GKE has no flex-start for e2; use spot"),
    ],
)
def test_rungs_that_no_class_can_hold_are_one_line(text: str, said: str) -> None:
    with pytest.raises(StepError, match=r".") as caught:
        compute_class.manifest("train", rungs(text))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_no_rung_makes_no_class() -> None:
    with pytest.raises(StepError, match="at least one rung"):
        compute_class.manifest("train", ())


def test_a_machine_that_is_not_gkes_has_no_class() -> None:
    desk = CATALOG["l4"].model_copy(update={"name": "desk", "labels": {"desk": "yes"}})
    with pytest.raises(StepError, match=r"desk: its labels have no cloud\.google\.com/gke-accelerator,"):
        compute_class.manifest("train", [Rung(desk)])
