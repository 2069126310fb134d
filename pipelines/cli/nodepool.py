"""``suanli nodepool``: the command or Terraform resource that creates the node pool of an accelerator."""

from typing import Annotated, Any

import typer

from components.core import project
from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.cli.options import Spot
from pipelines.hardware import catalog, ladder, terraform
from pipelines.hardware import nodepool as pools

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A row of suanli accelerators, or a ladder such as l4:spot,l4.")
]
Cluster = Annotated[str, typer.Option(metavar="NAME", help="The GKE cluster.")]
Location = Annotated[str, typer.Option(metavar="PLACE", help="The cluster's region or zone.")]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="Zone of the machines; by default the cluster's zones.")]
MaxNodes = Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of machines; an idle pool has none.")]
Format = Annotated[str, typer.Option("--format", metavar="gcloud|terraform", help="What to print.")]
Driver = Annotated[str, typer.Option(metavar="latest|default", help="The NVIDIA driver that GKE installs.")]
ServiceAccount = Annotated[
    str, typer.Option(metavar="EMAIL", help="The nodes' Google service account; default Compute Engine's own.")
]


def nodepool(
    name: Name,
    cluster: Cluster,
    location: Location,
    spot: Spot = False,
    max_nodes: MaxNodes = 4,
    format_: Format = "gcloud",
    zone: Zone = "",
    driver: Driver = "latest",
    service_account: ServiceAccount = "",
) -> None:
    """Print the command that creates the GKE node pool of an accelerator. Nothing is created."""
    formats = {"gcloud": pools.gcloud, "terraform": terraform.resource}
    if format_ not in formats:
        raise StepError(f"--format {format_}: unknown", advice=nearest(format_, formats), kind="settings")
    rungs = ladder.parse(name, catalog.load(project.folder()), spot=spot)
    options: dict[str, Any] = {"zone": zone, "most": max_nodes, "driver": driver, "service_account": service_account}
    node_pools = [pools.for_rung(rung, cluster, location, **options) for rung in rungs]
    print("\n\n".join(map(formats[format_], node_pools)))
