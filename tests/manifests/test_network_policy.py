"""What the pods of runs reach, and what they are held to."""

import pytest
import yaml
from manifest_objects import OVERLAYS, ROOT, of_kind

from components.steps import STEPS
from pipelines import experiment
from pipelines.compile import compiler
from pipelines.compile.targets import Target
from pipelines.hardware import pods

STEP = {"pipelines.kubeflow.org/v2_component": "true"}
WITHIN = {
    ("169.254.20.10/32", 53),
    ("169.254.169.254/32", 53),
    ("169.254.169.254/32", 80),
    ("169.254.169.254/32", 8080),
    ("169.254.169.252/32", 987),
    ("169.254.169.252/32", 988),
}
GOOGLE = {("199.36.153.4/30", 443), ("199.36.153.8/30", 443)}
ANYWHERE = ("0.0.0.0/0", 443)


def reached(name: str, labels: dict[str, str]) -> set[tuple[str, int]]:
    """The addresses and ports that pods with these labels reach outside of the cluster."""
    specs = [each["spec"] for each in of_kind(name, "NetworkPolicy").values()]
    return {
        (peer["ipBlock"]["cidr"], port["port"])
        for spec in specs
        if spec["podSelector"]["matchLabels"].items() <= labels.items()
        for rule in spec["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_comes_in_to_a_step_and_it_reaches_what_it_needs_within_the_cluster(name: str) -> None:
    policies = {each: found["spec"] for each, found in of_kind(name, "NetworkPolicy").items()}
    spec = policies["suanli-runner"]
    assert spec["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in spec
    assert spec["podSelector"] == {"matchLabels": STEP}
    within = [peer["podSelector"] for rule in spec["egress"] for peer in rule["to"] if set(peer) == {"podSelector"}]
    assert len(within) == 3 and all(selector for selector in within)
    for policy in policies.values():
        assert policy["podSelector"]["matchLabels"].items() >= STEP.items()
        assert "Egress" in policy["policyTypes"] and all(rule["to"] and rule["ports"] for rule in policy["egress"])


def test_in_production_only_a_step_that_downloads_reaches_any_host() -> None:
    settings = yaml.safe_load((ROOT / "overlays/prod/settings.yaml").read_text())["data"]
    steps = WITHIN | GOOGLE | {(settings["apiServer"], 443)}
    assert reached("prod", STEP) == steps
    labels = {pod.step: pod.labels for pod in pods.from_compiled(compiled(), {})}
    downloading = {step for step, own in labels.items() if reached("prod", {**STEP, **own}) == steps | {ANYWHERE}}
    assert downloading == {step for step, row in STEPS.items() if row.downloads} == {"prepare"}
    # Where the names of Google's APIs lead to public addresses, policies cannot tell them from others.
    assert reached("dev", STEP) == WITHIN | {ANYWHERE}


def compiled() -> str:
    roots = {"data_root": "gs://team/data", "checkpoint_root": "gs://team/checkpoints", "registry": "gs://team/models"}
    target = Target(name="prod", image_prefix="team/python", **roots)
    return compiler.compile_experiment(experiment.load("digits"), target, lambda step, image: "tag")


@pytest.mark.parametrize("name", OVERLAYS)
def test_pods_are_held_to_a_security_standard(name: str) -> None:
    ((namespace, found),) = of_kind(name, "Namespace").items()
    standard = "pod-security.kubernetes.io"
    levels = {"enforce": "baseline", "audit": "restricted", "warn": "restricted"}
    assert found["metadata"]["labels"] == {f"{standard}/{mode}": level for mode, level in levels.items()}
    assert namespace == of_kind(name, "ServiceAccount")["suanli-runner"]["metadata"]["namespace"]
