"""A server that let us in, its age, and requests that make things or list them."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from components.core.errors import StepError
from pipelines.cluster.kubeflow.failure import Failure, RequestError
from pipelines.cluster.kubeflow.request import Task, Wire, ask, error, once

# The first server that fills JSON node selectors and tolerations from parameters (kubeflow/pipelines#11770), and that
# reads the accelerator fields which kfp has written since 2.10 (#11097); older ones drop both without a word
# (#11374, #11928). CHANGELOG.md, 2.5.0.
OLDEST = (2, 5, 0)
# Waits before an object whose creation was not answered is looked for again, and the most that one look may take, in
# seconds.
LOOKS = (0.0, 0.3, 1.0)
LOOK_LIMIT = 5.0
PAGE = 100

Found = TypeVar("Found")


@dataclass(frozen=True)
class Server:
    """A server that let us in.

    Attributes:
        wire: the way to it.
        host: its address.
        namespace: of the runs.
        multi_user: whether requests name the namespace; a single-user server has none.
        ui: the address of its user interface; empty if unknown.
    """

    wire: Wire
    host: str
    namespace: str
    multi_user: bool
    ui: str = ""

    @property
    def scope(self) -> dict[str, Any]:
        """The namespace as an argument, where the server wants one."""
        return {"namespace": self.namespace} if self.multi_user else {}

    def run_link(self, run_id: str) -> str:
        """Where a person sees a run; empty if unknown."""
        return f"{self.ui}/#/runs/details/{run_id}" if self.ui else ""


def greet(wire: Wire, ui: str = "") -> Server:
    """Ask a server for its health; the answer says whether namespaces count.

    Raises:
        StepError: nobody answers, or not as Kubeflow Pipelines does.
    """
    task = Task("reach Kubeflow Pipelines", "get", "healthz")
    health = ask(wire, task, "/apis/v2beta1/healthz")
    known = {"multi_user", "apiServerMultiUser", "apiServerReady", "pipeline_store"}
    # protobuf's JSON leaves out a false value, so that a single-user server may answer {}.
    if not isinstance(health, dict) or (health and not known & set(health)):
        raise error(wire, task, Failure("broken", message="its health has none of the fields it should have"))
    if health.get("apiServerReady") is False:
        raise error(wire, task, Failure("status", 503, "the user interface answers, its API server does not"))
    multi = bool(health.get("multi_user") or health.get("apiServerMultiUser"))
    return Server(wire, wire.address, wire.namespace, multi, ui)


def version(server: Server) -> str | None:
    """The server's version, or None if it does not say (2.x says it on the old API only)."""
    task = Task("read the server's version", "get", "healthz")
    health = ask(server.wire, task, "/apis/v1beta1/healthz", missing=True)
    said = (health.get("tag_name") or health.get("apiServerTagName") or "") if isinstance(health, dict) else ""
    return said if re.match(r"v?\d+\.\d+", said) else None


def require_recent(server: Server) -> str | None:
    """The server's version (None if it does not say), after a check that it hands accelerators over to the pods.

    Raises:
        StepError: it is too old, and would run the step without its accelerator.
    """
    said = version(server)
    if said is None:
        return None
    numbers = [int(number) for number in re.findall(r"\d+", said)[:3]]
    if (*numbers, 0)[:3] < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise StepError(
            f"{server.host} runs Kubeflow Pipelines {said}, which drops accelerators and node selectors given as "
            f"parameters without a word; {oldest} or newer is needed",
            advice="upgrade the server, or submit to another --host",
            kind="settings",
        )
    return said


def create_once(
    server: Server,
    task: Task,
    method: str,
    arguments: dict[str, Any],
    *,
    ident: str,
    look: Callable[[Server], Found | None],
    undo: Callable[[str], None] | None = None,
) -> Found | Any:
    """Create an object, and never a second one because an answer was lost.

    After a failure that leaves it open whether the server did the work, the object is looked for. If it is not there
    although the connection is dead, the request is made again; after a hang it is not, for the server may still be at
    it. A server that did the lost work late, after all, has two of them: then the second is undone.

    Args:
        server: the server.
        task: what the request is for.
        method: of the generated client.
        arguments: the method's.
        ident: the attribute of the answer that holds the object's id.
        look: finds the object if it exists, and the first one if there are several.
        undo: takes back a second object, by its id.

    Returns:
        The server's answer, or what ``look`` found.

    Raises:
        StepError: the server refuses, or its answer was lost and the object is not to be seen.
    """
    wire, until = server.wire, time.monotonic() + server.wire.timeout
    for attempt in range(4):
        try:
            made = once(wire, method, wire.timeout, **arguments)
            if getattr(made, ident, None):
                return _first(server, made, str(getattr(made, ident)), look, undo if attempt else None)
            failure = Failure("broken", message=f"it has no {ident}")
        except RequestError as failed:
            failure = failed.failure
        if failure.unknown or failure.status == 409:
            if (found := _look(server, look)) is not None:
                return found
            if failure.kind == "hang" or failure.status == 504:
                raise _lost(server, task, failure)
        pause = failure.retry_after if failure.retry_after is not None else 0.2 * 2**attempt
        if not failure.passing or time.monotonic() + pause >= until:
            break
        time.sleep(pause)
    raise error(wire, task, failure)


def _first(
    server: Server, made: Any, made_id: str, look: Callable[[Server], Found | None], undo: Callable[[str], None] | None
) -> Found | Any:
    """What was made, unless a lost request before it has made another: then that one, and this one is undone."""
    found = look(server) if undo else None
    if undo is None or found is None or getattr(found, "id", made_id) == made_id:
        return made
    undo(made_id)
    return found


def _look(server: Server, look: Callable[[Server], Found | None]) -> Found | None:
    """Look for an object some times, not for long: a server that lost its client may still be writing."""
    brief = replace(server, wire=replace(server.wire, timeout=min(LOOK_LIMIT, server.wire.timeout)))
    for wait in LOOKS:
        time.sleep(wait)
        try:
            if (found := look(brief)) is not None:
                return found
        except StepError:
            return None
    return None


def _lost(server: Server, task: Task, failure: Failure) -> StepError:
    plain = error(server.wire, task, failure)
    return StepError(
        f"{plain.message}; it was not asked again, for it may yet do so",
        advice="look in a minute whether it is there before you repeat it",
        kind="resources",
    )


def pages(server: Server, task: Task, method: str, name: str, arguments: dict[str, Any], sort: str) -> Iterator[Any]:
    """Every item of a list."""
    token = ""
    while True:
        answer = ask(server.wire, task, method, page_size=PAGE, page_token=token, sort_by=sort, **arguments)
        yield from getattr(answer, name) or []
        token = answer.next_page_token or ""
        if not token:
            return


def named(server: Server, group: str, method: str, name: str) -> list[Any]:
    """The items of a group (experiments, pipelines) with this display name: one, or none."""
    task = Task(f"look for {name!r}", "list", group)
    answer = ask(server.wire, task, f"{group}.{method}", filter=equals("display_name", name), **server.scope)
    return list(getattr(answer, group) or [])


def equals(key: str, value: str) -> str:
    """A filter (backend/api/v2beta1/filter.proto)."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


def sound(server: Server, task: Task, answer: Any, attribute: str) -> Any:
    """An answer that has the id it must have: the generated client takes ``{}`` for any object."""
    if not getattr(answer, attribute, None):
        raise error(server.wire, task, Failure("broken", message=f"it has no {attribute}"))
    return answer
