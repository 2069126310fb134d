"""Kubernetes' own control plane and kwok as processes on loopback, which end with the process that started them."""

import atexit
import os
import secrets
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certificates
import yaml
from parent import die_with_parent

READY_S = 60.0
END_S = 5.0
LOOPBACK = "127.0.0.1"
STAGES = Path(__file__).parents[1] / "stages.yaml"
ADMIN = "admin"
# People of the tests: name -> groups.
PEOPLE: Mapping[str, tuple[str, ...]] = {
    ADMIN: ("system:masters",),
    "dev-person": ("ml-dev@example.com",),
    "prod-person": ("ml-prod@example.com",),
    "stranger": (),
}
# What Kubernetes needs to look after namespaces, quotas and the taints of nodes; nothing that makes pods.
CONTROLLERS = (
    *("serviceaccount-controller", "namespace-controller", "resourcequota-controller"),
    *("garbage-collector-controller", "node-lifecycle-controller"),
)


@dataclass
class ControlPlane:
    """What runs.

    Attributes:
        programs: the folder of the programs.
        folder: where keys, data and logs are.
        processes: program -> its process, in the order of starting.
        tokens: person -> bearer token.
        host: the API server's address.
    """

    programs: Path
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=lambda: {name: secrets.token_hex(16) for name in PEOPLE})
    host: str = ""

    def kubeconfig(self, person: str = ADMIN, token: str = "") -> Path:
        """A kubeconfig for a person, or for whoever has the token."""
        return self.written(person, {"token": token or self.tokens[person]})

    def written(self, name: str, user: Mapping[str, Any]) -> Path:
        path = self.folder / f"{name}.kubeconfig"
        cluster = {"server": self.host, "certificate-authority": str(self.folder / "ca.crt")}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": dict(user)}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))
        return path

    def memory_mb(self, program: str) -> tuple[float, float]:
        """A program's resident memory, now and at its peak, in MB."""
        text = Path(f"/proc/{self.processes[program].pid}/status").read_text()
        sizes = {line.split(":")[0]: float(line.split()[1]) for line in text.splitlines() if line.startswith("Vm")}
        return sizes["VmRSS"] * 1.024e-3, sizes["VmHWM"] * 1.024e-3

    @contextmanager
    def halted(self, program: str) -> Iterator[None]:
        """A program that does not move, though its sockets stay open."""
        process = self.processes[program]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def start(self, program: str, *options: str) -> None:
        log = (self.folder / f"{program}.log").open("wb")
        with log:
            self.processes[program] = subprocess.Popen(
                [str(self.programs / program), *options],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath, "HOME": str(self.folder), "KUBECONFIG": ""},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def alive(self) -> None:
        """Raises RuntimeError with the end of its log where a program has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                tail = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} {_end(process.returncode)}:\n{tail}")

    def stop(self) -> None:
        """End every program, the last one first; without mercy where it does not listen."""
        # What has ended by itself has left its number to whoever comes next.
        backwards = [process for process in self.processes.values() if process.poll() is None][::-1]
        for process in backwards:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGTERM)
        until = time.monotonic() + END_S
        for process in backwards:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()


def _end(code: int) -> str:
    """How a program ended: by itself, or by a signal, which none of them sends to itself."""
    return f"was ended by {signal.Signals(-code).name} from outside" if code < 0 else f"ended with {code}"


@contextmanager
def running(programs: Path, folder: Path) -> Iterator[ControlPlane]:
    """A control plane whose API server is ready, until the block ends.

    Raises:
        RuntimeError: a program ended or was not ready in time; its log's end is told.
    """
    plane = ControlPlane(programs, folder)
    with ExitStack() as stack:
        stack.callback(plane.stop)
        atexit.register(plane.stop)
        stack.callback(atexit.unregister, plane.stop)
        certificates.write(folder)
        _start(plane, _free_ports(4))
        yield plane
        # What ended too early explains the tests' own failures.
        plane.alive()


def _start(plane: ControlPlane, ports: Sequence[int]) -> None:
    client, peer, secure, simulated = ports
    plane.host = f"https://{LOOPBACK}:{secure}"
    _write_tokens(plane)
    admin = str(plane.kubeconfig())
    plane.start("etcd", *_etcd(client, peer))
    plane.start("kube-apiserver", *_apiserver(client, secure))
    _wait_until_ready(plane)
    plane.start("kube-scheduler", f"--config={_scheduler(plane, admin)}", "--secure-port=0")
    plane.start(
        "kube-controller-manager",
        f"--kubeconfig={admin}",
        f"--controllers={','.join(CONTROLLERS)}",
        *("--leader-elect=false", "--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000"),
        # kwok's leases say that a node lives; the tests halt programs for longer than the usual 50 s at times.
        "--node-monitor-grace-period=10m",
    )
    plane.start(
        "kwok",
        f"--kubeconfig={admin}",
        f"--config={STAGES}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--server-address={LOOPBACK}:{simulated}",
        "--node-lease-duration-seconds=40",
    )
    time.sleep(0.5)
    plane.alive()


def _write_tokens(plane: ControlPlane) -> None:
    lines = [
        ",".join((plane.tokens[name], name, name, *([f'"{",".join(groups)}"'] if groups else [])))
        for name, groups in PEOPLE.items()
    ]
    path = plane.folder / "tokens.csv"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")


def _etcd(client: int, peer: int) -> list[str]:
    return [
        "--data-dir=etcd",
        f"--listen-client-urls=https://{LOOPBACK}:{client}",
        f"--advertise-client-urls=https://{LOOPBACK}:{client}",
        f"--listen-peer-urls=http://{LOOPBACK}:{peer}",
        f"--initial-advertise-peer-urls=http://{LOOPBACK}:{peer}",
        f"--initial-cluster=default=http://{LOOPBACK}:{peer}",
        *("--cert-file=server.crt", "--key-file=server.key", "--client-cert-auth", "--trusted-ca-file=ca.crt"),
        # The data live as long as the tests.
        *("--unsafe-no-fsync", "--log-level=warn"),
    ]


def _apiserver(client: int, secure: int) -> list[str]:
    return [
        f"--etcd-servers=https://{LOOPBACK}:{client}",
        *("--etcd-cafile=ca.crt", "--etcd-certfile=client.crt", "--etcd-keyfile=client.key"),
        *(f"--bind-address={LOOPBACK}", f"--advertise-address={LOOPBACK}", f"--secure-port={secure}"),
        *("--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--cert-dir=."),
        *("--token-auth-file=tokens.csv", "--anonymous-auth=false", "--authorization-mode=RBAC"),
        "--service-account-issuer=https://kubernetes.default.svc",
        *("--service-account-key-file=sa.pub", "--service-account-signing-key-file=sa.key"),
        *("--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none"),
    ]


def _scheduler(plane: ControlPlane, kubeconfig: str) -> Path:
    """The scheduler as it is by default, but for the limit of 50 requests a second."""
    path = plane.folder / "scheduler.yaml"
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig, "qps": 1000, "burst": 2000},
        "leaderElection": {"leaderElect": False},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on, below those that the kernel gives to clients: between this look and a
    program's own bind, which may be seconds later, no connection of anybody can take them."""
    clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            free = stack.enter_context(socket.socket())
            with suppress(OSError):
                free.bind((LOOPBACK, secrets.choice(range(clients // 2, clients))))
                found.append(free.getsockname()[1])
        return found


def _wait_until_ready(plane: ControlPlane) -> None:
    context = ssl.create_default_context(cafile=plane.folder / "ca.crt")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(f"{plane.host}/readyz", headers={"Authorization": f"Bearer {plane.tokens[ADMIN]}"})
    until = time.monotonic() + READY_S
    last = ""
    while time.monotonic() < until:
        plane.alive()
        try:
            with opener.open(request, timeout=2) as answer:
                answer.read()
            return
        except urllib.error.HTTPError as error:
            last = error.read().decode(errors="replace")[-500:]
        except OSError as error:
            last = str(error)
        time.sleep(0.1)
    raise RuntimeError(f"the API server was not ready within {READY_S:g} s: {last}")
