"""The GKE node pool that a rung's pods select, and the gcloud command that creates it.

Options: ``gcloud container node-pools create`` in the Cloud SDK reference; those that a capacity or accelerator needs:
AI-Hypercomputer/xpk, core/nodepool.py and core/capacity.py. GKE itself labels the nodes with machine type, accelerator
and capacity.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.hardware.catalog import Row
from pipelines.hardware.catalog.row import SPOT_LABEL, Taint
from pipelines.hardware.catalog.shapes import COUNT_LABEL, GPU_LABEL, MACHINE_LABEL, TOPOLOGY_LABEL, TPU_LABEL
from pipelines.hardware.compute_class import FLEX_START_S, NO_FLEX_START
from pipelines.hardware.ladder import Capacity, Rung
from pipelines.hardware.placement_parameters import FLEX_LABEL, capacity_taints

DRIVERS = ("latest", "default")
POOL_LABEL = "cloud.google.com/gke-nodepool"
# Labels that follow from the pool's name, machine type, accelerator and capacity.
IMPLIED = {POOL_LABEL, MACHINE_LABEL, GPU_LABEL, TPU_LABEL, TOPOLOGY_LABEL, COUNT_LABEL, SPOT_LABEL, FLEX_LABEL}
# Labels that only GKE sets; a user may bind a pool to a compute class, though.
RESERVED = re.compile(r"(cloud\.google\.com/(?!compute-class$)|([a-z0-9.-]+\.)?(kubernetes|k8s|gke)\.io/)")
NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
LOCATION = re.compile(r"[a-z]+(-[a-z]+[0-9]+)(-[a-z0-9]+)?")
ACCOUNT = re.compile(r"[-a-z0-9]{6,30}@([-a-z0-9.:]+\.)?gserviceaccount\.com")
KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
# The unpacked GPU image is about 10 GB, and twice that while a node changes to a new one; the rest is for the steps.
DISK_GB = 200
# Compute Engine, "A3 High machine types": smaller ones than the machine of 8 are not sold on demand.
NOT_ON_DEMAND = ("a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g")


@dataclass(frozen=True)
class Pool:
    """A node pool that scales down to no machines.

    Attributes:
        name: its name.
        cluster: the cluster's name.
        location: the cluster's region or zone.
        zone: of its machines; empty for the cluster's own zones.
        machine_type: Compute Engine's machine type.
        capacity: how the machines are paid for.
        gpu: GPU type; empty for TPUs, which the machine type implies, and CPUs.
        gpus: GPUs of a machine.
        driver: NVIDIA's driver that GKE installs, ``latest`` or ``default``.
        most: the largest number of machines, in all zones together.
        taints: taints that keep other pods away.
        labels: the team's own labels that its pods select.
        notes: what the command alone cannot do, a line each.
        disk_gb: a machine's boot disk, in GB.
        service_account: the nodes' Google service account; empty for Compute Engine's default one.
    """

    name: str
    cluster: str
    location: str
    zone: str
    machine_type: str
    capacity: Capacity
    gpu: str
    gpus: int
    driver: str
    most: int
    taints: tuple[Taint, ...]
    labels: Mapping[str, str]
    notes: tuple[str, ...] = ()
    disk_gb: int = DISK_GB
    service_account: str = ""

    @property
    def location_policy(self) -> str:
        """``ANY``: scarce machines come from any zone that has them."""
        return "" if self.capacity == "on-demand" else "ANY"


def for_rung(
    rung: Rung,
    cluster: str,
    location: str,
    *,
    zone: str = "",
    most: int = 4,
    driver: str = "latest",
    service_account: str = "",
) -> Pool:
    """The pool for a rung.

    Raises:
        StepError: a name is not valid, the zone is elsewhere, or GKE has no such machine.
    """
    row = rung.row
    _check(row, rung.capacity, cluster, location, zone, driver)
    if service_account and not ACCOUNT.fullmatch(service_account):
        advice = "give its address, such as nodes@my-project.iam.gserviceaccount.com"
        _wrong(f"--service-account {service_account}: not a Google service account", advice)
    taints = (*row.taints, *capacity_taints([rung]))
    labels = {key: value for key, value in row.labels.items() if not RESERVED.match(key)}
    for key, value in [*labels.items(), *((taint.key, taint.value) for taint in taints)]:
        if not (KEY.fullmatch(key) and VALUE.fullmatch(value)):
            _wrong(f"{row.name}: {key}={value} is not a valid label or taint", "correct it in accelerators.toml")
    name = row.labels.get(POOL_LABEL) or _name(rung)
    if not NAME.fullmatch(name):
        _wrong(f"{row.name}: {name} is not a valid name of a node pool", f"correct {POOL_LABEL} in accelerators.toml")
    return Pool(
        name=name,
        cluster=cluster,
        location=location,
        zone=zone,
        machine_type=row.machine_types[0],
        capacity=rung.capacity,
        gpu=row.labels[GPU_LABEL] if row.kind == "gpu" else "",
        gpus=row.count if row.kind == "gpu" else 0,
        driver=driver,
        most=most,
        taints=taints,
        labels=labels,
        notes=tuple(_notes(rung)),
        service_account=service_account,
    )


def gcloud(pool: Pool) -> str:
    """The command for a POSIX shell, one option a line, with the notes as comments."""
    words = [f"gcloud container node-pools create {shlex.quote(pool.name)}"]
    words += [shlex.quote(f"--{name}={value}" if value else f"--{name}") for name, value in _options(pool)]
    return "\n".join([*(f"# {note}" for note in pool.notes), " \\\n  ".join(words)])


def _check(row: Row, capacity: Capacity, cluster: str, location: str, zone: str, driver: str) -> None:
    if not NAME.fullmatch(cluster):
        _wrong(f"--cluster {cluster}: not a valid name of a cluster", "use its name alone, such as training")
    if not LOCATION.fullmatch(location):
        _wrong(f"--location {location}: neither a region nor a zone", "give one such as us-central1 or us-central1-a")
    region = "-".join(location.split("-")[:2])
    if zone and not (LOCATION.fullmatch(zone) and zone.startswith(f"{region}-")):
        _wrong(f"--zone {zone}: not a zone of {region}", f"give one such as {region}-a")
    if driver not in DRIVERS:
        _wrong(f"--driver {driver}: unknown", nearest(driver, DRIVERS))
    if row.refused:
        _wrong(f"accelerator {row.name!r}: {row.refused}", "see suanli accelerators")
    if capacity == "flex-start" and (row.kind == "cpu" or row.chip in NO_FLEX_START):
        _wrong(f"{row.name}:flex-start: GKE has no flex-start for {row.chip}", "use spot")
    label = {"gpu": GPU_LABEL, "tpu": TPU_LABEL}.get(row.kind)
    if label and label not in row.labels:
        _wrong(
            f"{row.name}: its labels have no {label}, so GKE cannot make its nodes",
            "add the label in accelerators.toml",
        )
    implied = {MACHINE_LABEL: row.machine_types[0], COUNT_LABEL: str(row.count), TOPOLOGY_LABEL: row.topology}
    for key, value in implied.items():
        if row.labels.get(key, value) != value:
            _wrong(f"{row.name}: its pods select {key}={row.labels[key]}, its pool has {value}", "correct its labels")


def _wrong(message: str, advice: str) -> None:
    raise StepError(message, advice=advice, kind="settings")


def _name(rung: Rung) -> str:
    """40 characters at most, of a-z, 0-9 and hyphens."""
    suffix = "" if rung.capacity == "on-demand" else f"-{rung.capacity}"
    return f"{rung.row.name[: 40 - len(suffix)].rstrip('-')}{suffix}"


def _notes(rung: Rung) -> Iterator[str]:
    machine_type = rung.row.machine_types[0]
    if rung.capacity == "on-demand" and machine_type in NOT_ON_DEMAND:
        yield f"{machine_type} is sold as spot and flex-start only"
    for key, value in rung.row.labels.items():
        if RESERVED.match(key) and key not in IMPLIED:
            yield f"the pods also select {key}={value}, which only GKE sets: add the option that implies it"


def _options(pool: Pool) -> Iterator[tuple[str, str]]:
    """Name and value of each option; the value of a flag is empty."""
    yield "cluster", pool.cluster
    yield "location", pool.location
    if pool.zone:
        yield "node-locations", pool.zone
    yield "machine-type", pool.machine_type
    if pool.gpu:
        yield "accelerator", f"type={pool.gpu},count={pool.gpus},gpu-driver-version={pool.driver}"
    if pool.capacity == "spot":
        yield "spot", ""
    if pool.capacity == "flex-start":
        yield "flex-start", ""
        yield "max-run-duration", f"{FLEX_START_S}s"
        yield "reservation-affinity", "none"
        yield "no-enable-autorepair", ""
    yield "num-nodes", "0"
    yield "enable-autoscaling", ""
    yield "total-min-nodes", "0"
    yield "total-max-nodes", str(pool.most)
    if pool.location_policy:
        yield "location-policy", pool.location_policy
    if pool.taints:
        yield "node-taints", ",".join(f"{taint.key}={taint.value}:{taint.effect}" for taint in pool.taints)
    if pool.labels:
        yield "node-labels", ",".join(f"{key}={value}" for key, value in pool.labels.items())
    if pool.service_account:
        yield "service-account", pool.service_account
    yield "workload-metadata", "GKE_METADATA"
    yield "disk-size", str(pool.disk_gb)
