"""A node pool as the Terraform resource ``google_container_node_pool``.

Arguments: hashicorp/terraform-provider-google, website/docs/r/container_node_pool.html.markdown.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.hardware.compute_class import FLEX_START_S
from pipelines.hardware.nodepool import Pool

EFFECTS = {"NoSchedule": "NO_SCHEDULE", "PreferNoSchedule": "PREFER_NO_SCHEDULE", "NoExecute": "NO_EXECUTE"}


def resource(pool: Pool) -> str:
    """The resource as ``terraform fmt`` formats it, with the notes as comments."""
    return "\n".join(
        [
            *(f"# {note}" for note in pool.notes),
            f'resource "google_container_node_pool" "{pool.name.replace("-", "_")}" {{',
            *_body(_arguments(pool), "  "),
            "}",
        ]
    )


def _arguments(pool: Pool) -> dict[str, Any]:
    """The resource's body: a list of dicts stands for blocks, a dict for a map, a tuple for a list."""
    flex = pool.capacity == "flex-start"
    return {
        "name": pool.name,
        "cluster": pool.cluster,
        "location": pool.location,
        **({"node_locations": (pool.zone,)} if pool.zone else {}),
        "initial_node_count": 0,
        "autoscaling": [
            {
                "total_min_node_count": 0,
                "total_max_node_count": pool.most,
                **({"location_policy": pool.location_policy} if pool.location_policy else {}),
            }
        ],
        **({"management": [{"auto_repair": False}]} if flex else {}),
        "node_config": [_node_config(pool, flex)],
    }


def _node_config(pool: Pool, flex: bool) -> dict[str, Any]:
    gpu = {
        "type": pool.gpu,
        "count": pool.gpus,
        "gpu_driver_installation_config": [{"gpu_driver_version": pool.driver.upper()}],
    }
    return {
        "machine_type": pool.machine_type,
        **({"spot": True} if pool.capacity == "spot" else {}),
        **({"flex_start": True, "max_run_duration": f"{FLEX_START_S}s"} if flex else {}),
        "disk_size_gb": pool.disk_gb,
        **({"service_account": pool.service_account} if pool.service_account else {}),
        # Without this scope nodes can neither install drivers nor pull images; pods have their own identity.
        "oauth_scopes": ("https://www.googleapis.com/auth/cloud-platform",),
        **({"labels": dict(pool.labels)} if pool.labels else {}),
        **({"guest_accelerator": [gpu]} if pool.gpu else {}),
        **({"reservation_affinity": [{"consume_reservation_type": "NO_RESERVATION"}]} if flex else {}),
        "taint": [{"key": taint.key, "value": taint.value, "effect": EFFECTS[taint.effect]} for taint in pool.taints],
        "workload_metadata_config": [{"mode": "GKE_METADATA"}],
    }


def _body(body: Mapping[str, Any], indent: str) -> Iterator[str]:
    """Arguments with aligned equals signs, then blocks, each after an empty line."""
    blocks = {name: value for name, value in body.items() if isinstance(value, list)}
    arguments = {name: value for name, value in body.items() if name not in blocks}
    width = max(map(len, arguments), default=0)
    for name, value in arguments.items():
        yield f"{indent}{name:{width}} = {_literal(value)}"
    started = bool(arguments)
    for name, repeated in blocks.items():
        for block in repeated:
            if started:
                yield ""
            started = True
            yield f"{indent}{name} {{"
            yield from _body(block, f"{indent}  ")
            yield f"{indent}}}"


def _literal(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            # Terraform would evaluate a template sequence.
            return json.dumps(value).replace("${", "$${").replace("%{", "%%{")
        case tuple():
            return f"[{', '.join(map(_literal, value))}]"
        case dict():
            return f"{{ {', '.join(f'{_literal(key)} = {_literal(item)}' for key, item in value.items())} }}"
    return str(value)
