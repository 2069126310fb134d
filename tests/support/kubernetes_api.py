"""A strict Kubernetes API server on loopback: reading, rights and faults over real HTTP, without a scheduler."""

import base64
import json
import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import yaml

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ATTRIBUTES = {"verb", "resource", "namespace", "group", "name", "version", "subresource"}
LIST = {"limit", "continue", "labelSelector", "fieldSelector"}
# apiVersion's group and kind -> resource, whether namespaced, the client's class that knows its fields.
KINDS: dict[tuple[str, str], tuple[str, bool, str]] = {
    ("", "Node"): ("nodes", False, "V1Node"),
    ("", "Namespace"): ("namespaces", False, "V1Namespace"),
    ("", "Pod"): ("pods", True, "V1Pod"),
    ("", "Event"): ("events", True, "CoreV1Event"),
    ("", "ServiceAccount"): ("serviceaccounts", True, "V1ServiceAccount"),
    ("", "ConfigMap"): ("configmaps", True, "V1ConfigMap"),
    ("", "ResourceQuota"): ("resourcequotas", True, "V1ResourceQuota"),
    ("", "LimitRange"): ("limitranges", True, "V1LimitRange"),
    ("kueue.x-k8s.io", "LocalQueue"): ("localqueues", True, ""),
    ("kueue.x-k8s.io", "ClusterQueue"): ("clusterqueues", False, ""),
    ("kueue.x-k8s.io", "ResourceFlavor"): ("resourceflavors", False, ""),
    ("cloud.google.com", "ComputeClass"): ("computeclasses", False, ""),
    ("argoproj.io", "Workflow"): ("workflows", True, ""),
    ("kubeflow.org", "ScheduledWorkflow"): ("scheduledworkflows", True, ""),
}
PLURALS = {(group, plural): namespaced for (group, _), (plural, namespaced, _) in KINDS.items()}
PATH = re.compile(r"^/(?:api/v1|apis/([^/]+)/([^/]+))(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?$")
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed"}


class _Server(ThreadingHTTPServer):
    # The client reads with several threads at once; beyond five the kernel would make them wait a second.
    request_queue_size = 64


class RefusedError(Exception):
    """A status that is no success."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Fault:
    """What goes wrong with requests whose path matches, so many times: a status, or the connection."""

    path: str
    act: int | Literal["hang", "drop", "html"]
    times: int = 1000


@dataclass
class FakeKubernetes:
    """The server.

    Attributes:
        version: its ``gitVersion``.
        token: the bearer token that it takes.
        groups: API group -> the versions that it serves.
        denied: rights that the user lacks, as ``list nodes`` or ``get configmaps in kubeflow``; ``*`` is every one.
        requests: method and path of each request.
        faults: what goes wrong; the first one that matches counts.
        objects: what it holds, by group, resource, namespace and name.
        secure: with it, the server speaks TLS.
        unknown: requests that no real server, or no server that is only read, would get.
    """

    version: str = "v1.33.2-gke.1111000"
    token: str = "a-token"
    groups: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "kueue.x-k8s.io": ("v1beta2", "v1beta1"),
            "cloud.google.com": ("v1",),
            "argoproj.io": ("v1alpha1",),
            "kubeflow.org": ("v1beta1",),
        }
    )
    denied: set[str] = field(default_factory=set)
    requests: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    objects: dict[tuple[str, str, str, str], dict[str, Any]] = field(default_factory=dict)
    secure: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        self.ended = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        if self.secure:
            self.server.socket = self.secure.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        if kind is None:
            assert self.unknown == [], f"no cluster answers {self.unknown}"

    @property
    def host(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.server.server_address[1]}"

    def add(self, *objects: Mapping[str, Any]) -> None:
        """Keep these objects; a field that the client's classes do not know is an error."""
        for each in objects:
            group = each["apiVersion"].rpartition("/")[0]
            plural, namespaced, model = KINDS[group, each["kind"]]
            if model:
                assert _known(model, json.dumps(each)) is None
            namespace = each["metadata"]["namespace"] if namespaced else ""
            self.objects[group, plural, namespace, each["metadata"]["name"]] = dict(each)

    def deny(self, *rights: str) -> None:
        self.denied |= set(rights)

    def kubeconfig(self, folder: Path, **user: Any) -> Path:
        """A kubeconfig with two contexts, ``here`` (current) and ``elsewhere``."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "fake", "cluster": {"server": self.host}}],
            "users": [{"name": "me", "user": user or {"token": self.token}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "fake", "user": "me", "namespace": "kubeflow"}},
                {"name": "elsewhere", "context": {"cluster": "fake", "user": "me"}},
            ],
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """RefusedError one request."""
        url = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.requests.append(f"{request.command} {request.path}")
        fault = next((one for one in self.faults if one.times > 0 and re.search(one.path, url.path)), None)
        if fault:
            fault.times -= 1
            if fault.act == "hang":
                self.ended.wait(30)
            if fault.act in {"hang", "drop"}:
                return
        try:
            if fault and isinstance(fault.act, int):
                raise RefusedError(fault.act, "something is wrong here")
            self._authenticated(request)
            query = dict(parse_qsl(url.query))
            if request.command == "PATCH":
                kind = str(request.headers.get("Content-Type")).partition(";")[0]
                code, found = 200, self._applied(url.path, query, kind, body)
            else:
                found = self._found(request.command, url.path, query, body)
                code = 201 if request.command == "POST" else 200
        except RefusedError as error:
            code, found = error.code, _status(error)
        text = b"<html>Sign in</html>" if fault and fault.act == "html" else json.dumps(found).encode()
        request.send_response(code)
        request.send_header("Content-Type", "application/json")
        if code == 429:
            request.send_header("Retry-After", "1")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _authenticated(self, request: BaseHTTPRequestHandler) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if (scheme.lower(), token) != ("bearer", self.token):
            raise RefusedError(401, "Unauthorized")

    def _applied(self, path: str, query: dict[str, str], wanted: Any) -> Any:
        """Server-side apply, of compute classes alone: nothing else is ever written by us."""
        match = PATH.match(path)
        group, version, _, plural, name = match.groups(default="") if match else ("",) * 5
        if (group, plural) != ("cloud.google.com", "computeclasses") or not query.get("fieldManager"):
            self.unknown.append(f"PATCH {path}")
            raise RefusedError(405, "this server takes compute classes only")
        if not self._may("patch", f"{plural}.{group}", ""):
            raise RefusedError(403, f'{plural} "{name}" is forbidden: User "me" cannot patch resource "{plural}"')
        if wanted["apiVersion"] != f"{group}/{version}" or wanted["metadata"]["name"] != name:
            raise RefusedError(400, "the object is another one than the path's")
        self.objects[group, plural, "", name] = wanted
        return wanted

    def _found(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        if (method, path) == ("POST", REVIEWS):
            return self._review(json.loads(body))
        if method != "GET":
            self.unknown.append(f"{method} {path}")
            raise RefusedError(405, "nothing but compute classes is written here")
        if path == "/version":
            return {"major": "1", "minor": "33", "gitVersion": self.version}
        parts = path.split("/")
        if parts[1] == "apis" and len(parts) == 3:
            if parts[2] not in self.groups:
                raise RefusedError(404, "the server could not find the requested resource")
            versions = [{"groupVersion": f"{parts[2]}/{one}", "version": one} for one in self.groups[parts[2]]]
            return {"kind": "APIGroup", "apiVersion": "v1", "name": parts[2], "versions": versions}
        if parts[1] == "apis" and len(parts) == 4:
            return self._resources(parts[2], parts[3])
        if parts[1] == "apis" and len(parts) == 4 and parts[3] in self.groups.get(parts[2], ()):
            resources = [{"name": plural, "namespaced": False} for group, plural in PLURALS if group == parts[2]]
            return {"kind": "APIResourceList", "groupVersion": "/".join(parts[2:]), "resources": resources}
        return self._resource(path, query)

    def _resources(self, group: str, version: str) -> Any:
        """Discovery of a group's version."""
        if version not in self.groups.get(group, ()):
            raise RefusedError(404, "the server could not find the requested resource")
        named = [(plural, kind, within) for (one, kind), (plural, within, _) in KINDS.items() if one == group]
        resources = [{"name": plural, "kind": kind, "namespaced": within} for plural, kind, within in named]
        return {"kind": "APIResourceList", "groupVersion": f"{group}/{version}", "resources": resources}

    def _applied(self, path: str, query: dict[str, str], content: str, body: bytes) -> Any:
        """Server-side apply of a compute class, the one thing that is ever written."""
        version, _, name = path.removeprefix("/apis/cloud.google.com/").partition("/computeclasses/")
        if not name or content != "application/apply-patch+yaml" or not query.get("fieldManager"):
            self.unknown.append(f"PATCH {path} {query} {content}")
            raise RefusedError(405, "nothing but compute classes is written here")
        if version not in self.groups.get("cloud.google.com", ()):
            raise RefusedError(404, "the server could not find the requested resource")
        if not self._may("patch", "computeclasses.cloud.google.com", ""):
            raise RefusedError(403, f'computeclasses "{name}" is forbidden: User "me" cannot patch it')
        given = yaml.safe_load(body)
        if not isinstance(given, dict):
            raise RefusedError(400, f"json: cannot unmarshal {type(given).__name__} into an object")
        head = (given.get("apiVersion"), given.get("kind"), given.get("metadata", {}).get("name"))
        if head != (f"cloud.google.com/{version}", "ComputeClass", name):
            raise RefusedError(400, f"the name of the object ({head}) does not match the name on the URL ({name})")
        self.objects["cloud.google.com", "computeclasses", "", name] = given
        return given

    def _resource(self, path: str, query: dict[str, str]) -> Any:
        match = PATH.match(path)
        group, version, namespace, plural, name = match.groups(default="") if match else ("",) * 5
        if re.match(r"^/api/v1/namespaces/[^/]+$", path):
            group, version, namespace, plural, name = "", "", "", "namespaces", path.rpartition("/")[2]
        if (group, plural) not in PLURALS or set(query) - (set() if name else LIST):
            self.unknown.append(f"{path} {query or ''}".strip())
            raise RefusedError(404, "the server could not find the requested resource")
        if group and version not in self.groups.get(group, ()):
            raise RefusedError(404, "the server could not find the requested resource")
        within = name if plural == "namespaces" else namespace
        verb = "get" if name else "list"
        if not self._may(verb, f"{plural}.{group}" if group else plural, within):
            where = f'in the namespace "{within}"' if within else "at the cluster scope"
            raise RefusedError(
                403,
                f'{plural} is forbidden: User "me" cannot {verb} resource "{plural}" in API group "{group}" {where}',
            )
        if name:
            found = self.objects.get((group, plural, namespace, name))
            if found is None:
                raise RefusedError(404, f'{plural} "{name}" not found')
            return found
        return self._list(group, plural, namespace, query)

    def _list(self, group: str, plural: str, namespace: str, query: dict[str, str]) -> Any:
        items = [
            found
            for (one, kind, where, _), found in self.objects.items()
            if (one, kind) == (group, plural) and namespace in {"", where} and _selected(found, query)
        ]
        start = int(base64.b64decode(query["continue"])) if "continue" in query else 0
        end = start + int(query.get("limit", len(items) or 1))
        more = {"continue": base64.b64encode(str(end).encode()).decode()} if end < len(items) else {}
        return {"kind": "List", "apiVersion": "v1", "metadata": more, "items": items[start:end]}

    def _may(self, verb: str, resource: str, namespace: str) -> bool:
        """A right to the whole cluster holds in each namespace, as with a ClusterRoleBinding."""
        right = f"{verb} {resource}" + (f" in {namespace}" if namespace else "")
        return not {"*", right} & self.denied

    def _review(self, body: Any) -> Any:
        asked = body.get("spec", {}).get("resourceAttributes", {})
        head = (body.get("apiVersion"), body.get("kind"), set(body) - {"apiVersion", "kind", "spec"})
        if head != ("authorization.k8s.io/v1", "SelfSubjectAccessReview", set()) or set(asked) - ATTRIBUTES:
            self.unknown.append(f"POST {body}")
            raise RefusedError(400, "no such field")
        resource = f"{asked['resource']}.{asked['group']}" if asked.get("group") else asked["resource"]
        return {**body, "status": {"allowed": self._may(asked["verb"], resource, asked.get("namespace", ""))}}


def _status(error: RefusedError) -> Any:
    reason = REASONS.get(error.code, "InternalError")
    head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**head, "message": error.message, "reason": reason, "code": error.code}


def _selected(found: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """Equality selectors over labels, and the one field that events are found by."""
    labels = found["metadata"].get("labels", {})
    for rule in filter(None, query.get("labelSelector", "").split(",")):
        key, _, value = rule.partition("=")
        if labels.get(key) != value:
            return False
    for rule in filter(None, query.get("fieldSelector", "").split(",")):
        key, _, value = rule.partition("=")
        assert key == "involvedObject.name", key
        if found["involvedObject"]["name"] != value:
            return False
    return True


@cache
def _known(model: str, text: str) -> None:
    """Read an object into the client's class and back: what is lost, the API does not have."""
    from kubernetes import client

    api = client.ApiClient()
    read = api.deserialize(type("Response", (), {"data": text}), model)
    _same(api.sanitize_for_serialization(read), json.loads(text), "")


def _same(read: Any, given: Any, path: str) -> None:
    if isinstance(given, dict):
        assert set(given) <= set(read), f"{path}: no such field: {set(given) - set(read)}"
        for key, value in given.items():
            _same(read[key], value, f"{path}.{key}")
    elif isinstance(given, list):
        for one, two in zip(read, given, strict=True):
            _same(one, two, path)
    else:
        assert isinstance(read, type(given)), f"{path}: {given!r}"


def node(
    name: str, labels: Mapping[str, str] | None = None, taints: tuple[str, ...] = (), **allocatable: str
) -> dict[str, Any]:
    """A node; taints are written ``key=value:effect``, and ``gpu`` and ``tpu`` stand for their resources."""
    found = {"cpu": "7910m", "memory": "28Gi", "pods": "110", **allocatable}
    for short, resource in (("gpu", "nvidia.com/gpu"), ("tpu", "google.com/tpu")):
        if short in found:
            found[resource] = found.pop(short)
    spec = {}
    if taints:
        parts = [re.split("[=:]", taint) for taint in taints]
        spec["taints"] = [{"key": key, "value": value, "effect": effect} for key, value, effect in parts]
    metadata = {"name": name, "labels": dict(labels or {})}
    status = {"allocatable": found, "capacity": found}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status}


def thing(kind: str, name: str, namespace: str = "kubeflow", *, api: str = "v1", **body: Any) -> dict[str, Any]:
    """Any other object: its kind, name, namespace (empty for none), and the rest of its fields."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **body.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}
