"""Node pools: the command is read back as a shell reads it, and its nodes must be what the row's pods select."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from components.core.errors import StepError
from pipelines.cli.nodepool import nodepool as command
from pipelines.hardware import catalog, ladder, nodepool, placement_parameters, terraform
from pipelines.hardware.ladder import Capacity, Rung

CATALOG = catalog.load()
SINGLE = [row for row in CATALOG.values() if not row.refused]
CAPACITIES: tuple[Capacity, ...] = ("on-demand", "spot")
# GKE's label for the TPUs of a machine family (Google Cloud, "TPUs in GKE").
TPU_FAMILIES = {
    "ct4p": "tpu-v4-podslice",
    "ct5lp": "tpu-v5-lite-podslice",
    "ct5p": "tpu-v5p-slice",
    "ct6e": "tpu-v6e-slice",
}
TOPOLOGIES = {"1": "1x1", "4": "2x2", "8": "2x4"}


def pool(text: str, **options: Any) -> nodepool.Pool:
    (rung,) = ladder.parse(text, CATALOG)
    return nodepool.for_rung(rung, "training", "us-central1", **options)


def options(text: str) -> dict[str, str]:
    """The options of a gcloud command, as a shell would hand them over."""
    # shlex keeps a newline that a backslash continues, which a shell takes out.
    words = shlex.split(text.replace("\\\n", ""), comments=True)
    assert words[:4] == ["gcloud", "container", "node-pools", "create"]
    found = {word.partition("=")[0]: word.partition("=")[2] for word in words[5:]}
    assert len(found) == len(words) - 5, "an option stands twice"
    return {"name": words[4], **found}


def pairs(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if part)


def node_labels(given: dict[str, str]) -> dict[str, str]:
    """The labels that GKE puts on the nodes of a pool, and those that the command asks for."""
    labels = {"node.kubernetes.io/instance-type": given["--machine-type"], **pairs(given.get("--node-labels", ""))}
    if accelerator := pairs(given.get("--accelerator", "")):
        labels["cloud.google.com/gke-accelerator"] = accelerator["type"]
        labels["cloud.google.com/gke-accelerator-count"] = accelerator["count"]
    family, _, size = given["--machine-type"].partition("-")
    if family in TPU_FAMILIES:
        chips = size.rpartition("-")[2].removesuffix("t")
        cubic = "2x2x1" if family in {"ct4p", "ct5p"} else TOPOLOGIES[chips]
        labels["cloud.google.com/gke-tpu-accelerator"] = TPU_FAMILIES[family]
        labels["cloud.google.com/gke-tpu-topology"] = cubic
        labels["cloud.google.com/gke-accelerator-count"] = chips
    if "--spot" in given:
        labels["cloud.google.com/gke-spot"] = "true"
    if "--flex-start" in given:
        labels["cloud.google.com/gke-flex-start"] = "true"
    return labels


def resource(text: str) -> dict[str, Any]:
    """A Terraform resource's body: an argument is its value, a block a list of bodies."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert re.fullmatch(r'resource "google_container_node_pool" "[a-z][a-z0-9_]*" \{', lines[0])

    def body(position: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        while lines[position] != "}":
            if lines[position].endswith(" {") and "=" not in lines[position]:
                inner, end = body(position + 1)
                found.setdefault(lines[position].removesuffix(" {"), []).append(inner)
                position = end + 1
                continue
            name, value = lines[position].split("=", 1)
            json_text = re.sub(r'(" )=', r"\1:", value) if value.strip().startswith("{") else value
            found[name.strip()] = json.loads(json_text)
            position += 1
        return found, position

    found, end = body(1)
    assert end == len(lines) - 1
    return found


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("row", SINGLE, ids=lambda row: row.name)
def test_a_pools_nodes_are_what_the_rows_pods_select_and_tolerate(row: catalog.Row, capacity: Capacity) -> None:
    rung = Rung(row, capacity)
    given = options(nodepool.gcloud(nodepool.for_rung(rung, "training", "us-central1")))
    wanted = placement_parameters.for_rungs([rung])
    assert wanted["node_selector"].items() <= node_labels(given).items()
    tolerated = {(each["key"], each["effect"]) for each in wanted["tolerations"]}
    taints = [re.fullmatch(r"(.+)=.*:(.+)", taint) for taint in given.get("--node-taints", "").split(",") if taint]
    assert {(taint[1], taint[2]) for taint in taints if taint} == tolerated
    assert given["--machine-type"] == row.machine_types[0]
    assert ("--accelerator" in given) == (row.kind == "gpu")
    assert "--tpu-topology" not in given


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("row", SINGLE, ids=lambda row: row.name)
def test_both_formats_say_the_same(row: catalog.Row, capacity: Capacity) -> None:
    made = nodepool.for_rung(
        Rung(row, capacity), "training", "us-central1", zone="us-central1-a", most=7, driver="default"
    )
    given, found = options(nodepool.gcloud(made)), resource(terraform.resource(made))
    (nodes,), (scaling,) = found["node_config"], found["autoscaling"]
    assert [found[name] for name in ("name", "cluster", "location")] == [
        given[name] for name in ("name", "--cluster", "--location")
    ]
    assert found["node_locations"] == given["--node-locations"].split(",")
    assert [str(scaling[f"total_{side}_node_count"]) for side in ("min", "max")] == ["0", "7"]
    assert [given[f"--total-{side}-nodes"] for side in ("min", "max")] == ["0", "7"]
    assert str(found["initial_node_count"]) == given["--num-nodes"] == "0"
    assert scaling.get("location_policy") == given.get("--location-policy")
    assert nodes["machine_type"] == given["--machine-type"]
    assert nodes.get("spot", False) == ("--spot" in given) == (capacity == "spot")
    assert str(nodes["disk_size_gb"]) == given["--disk-size"]
    assert nodes["workload_metadata_config"] == [{"mode": given["--workload-metadata"]}]
    accelerator = pairs(given.get("--accelerator", ""))
    assert [
        {"type": gpu["type"], "count": str(gpu["count"])} | {"gpu-driver-version": driver["gpu_driver_version"].lower()}
        for gpu in nodes.get("guest_accelerator", [])
        for driver in gpu["gpu_driver_installation_config"]
    ] == ([accelerator] if accelerator else [])
    taints = [f"{each['key']}={each['value']}" for each in nodes.get("taint", [])]
    assert taints == [part.rpartition(":")[0] for part in given.get("--node-taints", "").split(",") if part]
    assert {each["effect"] for each in nodes.get("taint", [])} <= {"NO_SCHEDULE"}


def test_the_commands_read_as_written_in_the_golden_file(golden: Callable[[str, str], None]) -> None:
    shown = []
    for name in ("l4x2", "v5e-8", "cpu-8"):
        for capacity in CAPACITIES:
            made = nodepool.for_rung(Rung(CATALOG[name], capacity), "training", "us-central1", zone="us-central1-a")
            shown += [f"# {name}, {capacity}", nodepool.gcloud(made), terraform.resource(made)]
    golden("nodepools.txt", "\n\n".join(shown) + "\n")


def test_a_real_shell_hands_over_the_same_words() -> None:
    labels = {**CATALOG["l4"].labels, "team": "vision"}
    rung = Rung(CATALOG["l4"].model_copy(update={"labels": labels}), "spot")
    text = nodepool.gcloud(nodepool.for_rung(rung, "training", "us-central1"))
    script = f'gcloud() {{ printf "%s\\n" "$@"; }}\n{text}\n'
    found = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, check=True)
    words = found.stdout.splitlines()
    assert words[:3] == ["container", "node-pools", "create"]
    assert {word.partition("=")[0]: word.partition("=")[2] for word in words[4:]} | {"name": words[3]} == options(text)


def test_a_spot_pool_is_taken_where_a_zone_has_it_and_keeps_other_pods_off() -> None:
    given = options(nodepool.gcloud(pool("cpu-8:spot")))
    assert given["--location-policy"] == "ANY"
    assert given["--node-taints"] == "cloud.google.com/gke-spot=true:NoSchedule"
    assert "--location-policy" not in options(nodepool.gcloud(pool("cpu-8")))


def test_a_flex_start_pool_uses_no_reservation_and_repairs_nothing() -> None:
    made = pool("l4:flex-start")
    given, found = options(nodepool.gcloud(made)), resource(terraform.resource(made))
    assert {"--flex-start", "--no-enable-autorepair"} <= set(given) and given["--reservation-affinity"] == "none"
    assert found["management"] == [{"auto_repair": False}]
    assert found["node_config"][0]["flex_start"] is True
    assert found["node_config"][0]["reservation_affinity"] == [{"consume_reservation_type": "NO_RESERVATION"}]
    selector = placement_parameters.for_rungs(ladder.parse("l4:flex-start", CATALOG))["node_selector"]
    assert selector.items() <= node_labels(given).items()


@pytest.mark.parametrize("capacity", ["spot", "flex-start"])
def test_a_cheaper_pool_has_a_taint_that_its_own_pods_alone_tolerate(capacity: str) -> None:
    taint = f"cloud.google.com/gke-{capacity}=true:NoSchedule"
    assert taint in options(nodepool.gcloud(pool(f"l4:{capacity}")))["--node-taints"].split(",")
    tolerated = {
        text: {each["key"] for each in placement_parameters.for_rungs(ladder.parse(text, CATALOG))["tolerations"]}
        for text in ("l4", f"l4:{capacity}")
    }
    assert tolerated[f"l4:{capacity}"] - tolerated["l4"] == {f"cloud.google.com/gke-{capacity}"}


def test_a_teams_labels_and_taints_are_set_and_gkes_own_never() -> None:
    labels = {**CATALOG["l4"].labels, "team": "vision", "cloud.google.com/gke-gpu-sharing-strategy": "mps"}
    taints = (*CATALOG["l4"].taints, catalog.row.Taint(key="team", value="vision", effect="NoExecute"))
    row = CATALOG["l4"].model_copy(update={"labels": labels, "taints": taints})
    text = nodepool.gcloud(nodepool.for_rung(Rung(row), "training", "us-central1"))
    assert options(text)["--node-labels"] == "team=vision"
    assert options(text)["--node-taints"] == "nvidia.com/gpu=present:NoSchedule,team=vision:NoExecute"
    assert text.startswith("# the pods also select cloud.google.com/gke-gpu-sharing-strategy=mps, which only GKE sets")
    (nodes,) = resource(terraform.resource(nodepool.for_rung(Rung(row), "training", "us-central1")))["node_config"]
    assert nodes["labels"] == {"team": "vision"} and nodes["taint"][1]["effect"] == "NO_EXECUTE"


def test_a_pool_that_is_selected_by_its_name_has_that_name() -> None:
    labels = {**CATALOG["l4"].labels, "cloud.google.com/gke-nodepool": "vision-gpus"}
    made = nodepool.for_rung(Rung(CATALOG["l4"].model_copy(update={"labels": labels})), "training", "us-central1")
    assert made.name == "vision-gpus" and "--node-labels" not in nodepool.gcloud(made)


def test_a_long_name_stays_one_that_gke_takes() -> None:
    made = nodepool.for_rung(
        Rung(CATALOG["l4"].model_copy(update={"name": "a" * 40}), "spot"), "training", "us-central1"
    )
    assert re.fullmatch(r"a{35}-spot", made.name)


def test_a_machine_that_is_not_sold_on_demand_says_so_above_the_command() -> None:
    assert nodepool.gcloud(pool("h100")).startswith("# a3-highgpu-1g is sold as spot and flex-start only\n")
    assert pool("h100:spot").notes == () == pool("h100x8").notes


def changed(**update: Any) -> Rung:
    return Rung(CATALOG["l4"].model_copy(update=update))


@pytest.mark.parametrize(
    ("rung", "given", "said"),
    [
        (changed(), {"cluster": "My Cluster; rm -rf /"}, "not a valid name of a cluster"),
        (changed(), {"cluster": "${var.x}"}, "not a valid name of a cluster"),
        (changed(), {"location": "Iowa"}, "--location Iowa: neither a region nor a zone; give one such as us-central1"),
        (changed(), {"zone": "europe-west4-a"}, "--zone europe-west4-a: not a zone of us-central1"),
        (
            changed(),
            {"zone": "us-central1"},
            "not a zone of us-central1; give one such as us-central1-a",
        ),
        (changed(), {"driver": "lates"}, "--driver lates: unknown; did you mean latest?"),
        (
            changed(labels={"desk": "yes"}),
            {},
            "l4: its labels have no cloud.google.com/gke-accelerator, so GKE",
        ),
        (changed(labels={**CATALOG["l4"].labels, "team": "a,b"}), {}, "l4: team=a,b is not a valid label or taint"),
        (changed(labels={**CATALOG["l4"].labels, "team": "$(x)"}), {}, "l4: team=$(x) is not a valid label or taint"),
        (changed(labels={**CATALOG["l4"].labels, nodepool.POOL_LABEL: "A_B"}), {}, "l4: A_B is not a valid name of a"),
        (Rung(CATALOG["v4-4"], "flex-start"), {}, "v4-4:flex-start: GKE has no flex-start for v4"),
        (Rung(CATALOG["v5p-8"]), {}, "accelerator 'v5p-8': one task is one pod, and this slice has 2 machines"),
        (
            Rung(CATALOG["cpu-8"].model_copy(update={"machine_types": ("n2-standard-8",)})),
            {},
            "cpu-8: its pods select node.kubernetes.io/instance-type=e2-standard-8, its pool has n2-standard-8",
        ),
    ],
)
def test_a_pool_that_cannot_be_is_one_line(rung: Rung, given: dict[str, str], said: str) -> None:
    with pytest.raises(StepError, match=r".") as caught:
        nodepool.for_rung(rung, **{"cluster": "training", "location": "us-central1", **given})  # type: ignore[arg-type]
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command with its options parsed, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(command)
    place = ("--cluster", "training", "--location", "us-central1")
    return lambda *arguments: app([*arguments, *place], standalone_mode=False)


def test_the_command_prints_a_pool_for_each_rung(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    run("l4x2:spot,l4x2", "--max-nodes", "9", "--zone", "us-central1-c")
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert (options(first)["name"], options(second)["name"]) == ("l4x2-spot", "l4x2")
    assert options(first)["--total-max-nodes"] == "9" and options(first)["--node-locations"] == "us-central1-c"


def test_the_command_prints_terraform(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    run("v6e-4", "--spot", "--format", "terraform")
    assert resource(capsys.readouterr().out.strip())["node_config"][0]["spot"] is True


def test_the_command_reads_a_teams_own_rows(
    run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "accelerators.toml").write_text('[l4]\nlabels = { team = "vision" }\n')
    run("l4")
    assert options(capsys.readouterr().out)["--node-labels"] == "team=vision"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("l5",), "unknown accelerator 'l5'; did you mean l4?"),
        (("v5e-16",), "this slice has 4 machines"),
        (("l4", "--format", "teraform"), "--format teraform: unknown; did you mean terraform?"),
    ],
)
def test_the_commands_bad_input_is_one_line(run: Callable[..., None], arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(StepError, match=r".") as caught:
        run(*arguments)
    assert said in str(caught.value)
