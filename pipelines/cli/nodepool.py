"""``suanli nodepool``: the command, or the Terraform resource, that creates the pool a row's pods select."""

from typing import Annotated

import typer

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.cli import asked
from pipelines.cli.asked import Spot
from pipelines.hardware import ladder, terraform
from pipelines.hardware import nodepool as pools

Name = Annotated[str, typer.Argument(metavar="NAME", help="A row of suanli accelerators, or a ladder: l4:spot,l4")]
Cluster = Annotated[str, typer.Option(metavar="NAME", help="The GKE cluster.")]
Location = Annotated[str, typer.Option(metavar="PLACE", help="The cluster's region or zone.")]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="Where the machines are; by default the cluster's zones.")]
MaxNodes = Annotated[int, typer.Option(min=1, max=1000, help="Machines at most; without work there are none.")]
Format = Annotated[str, typer.Option("--format", metavar="gcloud|terraform", help="What to print.")]
Driver = Annotated[str, typer.Option(metavar="latest|default", help="NVIDIA's driver that GKE installs.")]


def nodepool(
    name: Name,
    cluster: Cluster,
    location: Location,
    spot: Spot = False,
    max_nodes: MaxNodes = 4,
    format_: Format = "gcloud",
    zone: Zone = "",
    driver: Driver = "latest",
) -> None:
    """Print what creates the GKE node pool for an accelerator. Nothing is created."""
    formats = {"gcloud": pools.gcloud, "terraform": terraform.resource}
    if format_ not in formats:
        raise StepError(f"--format {format_}: unknown", advice=nearest(format_, formats), kind="settings")
    rungs = ladder.parse(name, asked.catalog(), spot=spot)
    found = [pools.for_rung(rung, cluster, location, zone=zone, most=max_nodes, driver=driver) for rung in rungs]
    print("\n\n".join(map(formats[format_], found)))
