"""The settings of a Kubernetes client, from a kubeconfig or from inside a pod; no credential is stored anywhere."""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, incluster_config, kube_config

from components.core.choices import nearest
from components.core.errors import StepError
from pipelines.cluster.kube.errors import ContextError

DEFAULT = "~/.kube/config"
IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# kubectl waits for ever, and so would a plugin that asks for a password on a terminal.
PLUGIN_TIMEOUT_S = 20.0


class Loaded(NamedTuple):
    """A client's settings, with the context's name and namespace."""

    configuration: Any
    context: str
    namespace: str


def load(context: str, environ: Mapping[str, str]) -> Loaded | None:
    """The settings of ``KUBECONFIG`` (several files, as kubectl reads them), of ``~/.kube/config``, or of this pod.

    Returns:
        None if there is neither.

    Raises:
        StepError: a file cannot be read, a name in it is missing, or its credentials plugin fails.
    """
    variable = environ.get("KUBECONFIG", "")
    paths = [Path(part).expanduser() for part in (variable or DEFAULT).split(os.pathsep) if part]
    present = [path for path in paths if path.is_file()]
    if present:
        return _from_files(present, context)
    if variable:
        raise StepError(
            f"KUBECONFIG names no existing file: {variable}", advice="unset it or correct it", kind="settings"
        )
    if context:
        raise ContextError(f"no kubeconfig for the context {context!r}: {DEFAULT} does not exist", kind="settings")
    if "KUBERNETES_SERVICE_HOST" in environ:
        return _from_inside(environ)
    return None


def _from_inside(environ: Mapping[str, str]) -> Loaded:
    configuration = type.__call__(Configuration)
    try:
        incluster_config.InClusterConfigLoader(
            token_filename=str(IN_CLUSTER / "token"), cert_filename=str(IN_CLUSTER / "ca.crt"), environ=environ
        ).load_and_set(configuration)
        namespace = (IN_CLUSTER / "namespace").read_text().strip()
    except (ConfigException, OSError) as error:
        raise StepError(
            f"this pod has no usable service account token: {error}",
            advice="set automountServiceAccountToken, or give a kubeconfig",
            kind="settings",
        ) from None
    return Loaded(configuration, "in-cluster", namespace)


def _from_files(paths: list[Path], context: str) -> Loaded:
    names = os.pathsep.join(map(str, paths))
    configuration = type.__call__(Configuration)
    try:
        merged = kube_config.KubeConfigMerger(names).config
        name, body = _select_context(merged.value, context, names)
        refresh = _run_plugin(merged.value, body)
        # With the name of the context, not current-context's key.
        kube_config.KubeConfigLoader(config_dict=merged, active_context=name).load_and_set(configuration)
        cluster = _entry(merged.value["clusters"], body["cluster"])["cluster"]
        configuration.proxy = cluster.get("proxy-url") or configuration.proxy
    except StepError:
        raise
    except Exception as error:  # for a malformed file the loader raises whatever its own code raises
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise StepError(
            f"{names} is not a usable kubeconfig: {reason}",
            advice="check it with kubectl cluster-info",
            kind="settings",
        ) from None
    if refresh:
        configuration.refresh_api_key_hook = refresh
    return Loaded(configuration, name, body.get("namespace", "default"))


def _entry(nodes: list[Any], name: str) -> dict[str, Any]:
    """The entry of a name in one of a kubeconfig's lists; empty without one."""
    entry: dict[str, Any] = next((node.value for node in nodes if node.value.get("name") == name), {})
    return entry


def _select_context(merged: Mapping[str, Any], context: str, names: str) -> tuple[str, Mapping[str, Any]]:
    """The context's name and body.

    Raises:
        ContextError: there is no context of that name.
        StepError: there is no current context, or it has no server.
    """
    known = [node.value["name"] for node in merged["contexts"]]
    name = context or merged.get("current-context") or ""
    if not name:
        raise StepError(
            f"{names} has no current context", advice=f"--kube-context: {nearest('', known)}", kind="settings"
        )
    body = _entry(merged["contexts"], name).get("context")
    if not body:
        advice = nearest(name, known) if known else "it has no contexts"
        kind = ContextError if context else StepError
        raise kind(f"no context {name!r} in {names}", advice=advice, kind="settings")
    if not _entry(merged["clusters"], body.get("cluster", "")).get("cluster", {}).get("server"):
        raise StepError(f"the context {name!r} in {names} names a cluster without a server", kind="settings")
    return name, body


def _run_plugin(merged: Mapping[str, Any], context: Mapping[str, Any]) -> Callable[[Any], None] | None:
    """Replace the user's credentials plugin, if any, by the credentials that it returns.

    The Kubernetes client would run it without a time limit, log its failure and continue without credentials.

    Returns:
        A function that renews expired credentials before a request.
    """
    node = next((node for node in merged["users"] if node.value.get("name") == context.get("user")), None)
    user = node.value.get("user") if node else None
    if not node or not user or "exec" not in user:
        return None
    plugin = user.pop("exec")
    cluster = _entry(merged["clusters"], context["cluster"])["cluster"]
    folder = Path(node.path or ".").resolve().parent
    status = _credentials(plugin, cluster, folder)
    if "token" in status:
        user["token"] = status["token"]
    else:
        for key, data in (("client-certificate-data", "clientCertificateData"), ("client-key-data", "clientKeyData")):
            user[key] = base64.b64encode(status[data].encode()).decode()
        return None
    expires = [status.get("expirationTimestamp")]

    def renew(configuration: Any) -> None:
        if expires[0] and datetime.fromisoformat(expires[0]) <= datetime.now(UTC):
            fresh = _credentials(plugin, cluster, folder)
            configuration.api_key["authorization"] = f"Bearer {fresh['token']}"
            expires[0] = fresh.get("expirationTimestamp")

    return renew


def _credentials(plugin: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The answer of a credentials plugin, by the protocol of client.authentication.k8s.io.

    Raises:
        StepError: it does not exist, fails, takes too long or gives another answer.
    """
    command = str(plugin["command"])
    hint = f". {plugin['installHint']}" if plugin.get("installHint") else ""
    where = folder if os.sep in command else None
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = {key: value for key, value in cluster.items() if isinstance(value, str | bool)}
    question = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
    environ = {item["name"]: item["value"] for item in plugin.get("env") or ()}
    try:
        done = subprocess.run(
            [command, *(plugin.get("args") or ())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=where,
            env={**os.environ, **environ, "KUBERNETES_EXEC_INFO": json.dumps(question)},
            timeout=PLUGIN_TIMEOUT_S,
            check=True,
        )
        status: dict[str, Any] = json.loads(done.stdout)["status"]
        if not status.get("token") and not (status.get("clientCertificateData") and status.get("clientKeyData")):
            raise KeyError("token")
    except OSError as error:
        reason, advice = f"cannot be run: {error.strerror}", "install it, or use another context" + hint
    except subprocess.TimeoutExpired:
        reason, advice = f"gave no answer within {PLUGIN_TIMEOUT_S:g} s", "log in again in a terminal"
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines()
        reason, advice = f"failed ({error.returncode}): {lines[-1] if lines else 'no message'}", "log in again"
    except (ValueError, KeyError, TypeError):
        reason, advice = "returned no credentials", "check it with kubectl get pods"
    else:
        return status
    raise StepError(f"the kubeconfig's credentials plugin {command} {reason}", advice=advice, kind="settings") from None
