"""The audit and the bill of materials are made of the lock files, and say so when they are not."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = """tiny==1.2.3 \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
other==2.0 \\
    --hash=sha256:1111111111111111111111111111111111111111111111111111111111111111
"""


@contextmanager
def osv(vulnerable: str) -> Iterator[str]:
    """The address of a data base that knows one vulnerable package."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            package = asked["package"]
            found = {
                "id": "PYSEC-2026-1",
                "aliases": [],
                "details": "It is vulnerable.",
                "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "1.2.4"}]}]}],
            }
            body = json.dumps({"vulns": [found]} if package["name"] == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


def audit(folder: Path, address: str) -> "subprocess.CompletedProcess[str]":
    (folder / "tiny.txt").write_text(LOCK)
    command = [sys.executable, str(ROOT / "scripts/audit"), str(folder / "tiny.txt")]
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    environment = {**os.environ, **proxies, "OSV_URL": address, "XDG_CACHE_HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    ("vulnerable", "code", "said"),
    [
        ("tiny", 1, "tiny 1.2.3: PYSEC-2026-1, mended in 1.2.4 (tiny)\n2 packages in 1 lock files, 1 known"),
        ("third", 0, "2 packages in 1 lock files, 0 known vulnerabilities"),
    ],
)
def test_the_audit_tells_what_is_vulnerable(tmp_path: Path, vulnerable: str, code: int, said: str) -> None:
    with osv(vulnerable) as address:
        done = audit(tmp_path, address)
    assert done.returncode == code, done.stderr
    assert done.stdout.startswith(said)


def test_an_audit_that_was_not_made_has_not_passed(tmp_path: Path) -> None:
    with osv("tiny") as address:
        pass  # nobody answers there any more
    done = audit(tmp_path, address)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: tiny.txt was not audited: OSV cannot be reached; run it where there is a network\n"


@pytest.mark.slow
def test_the_bill_of_materials_is_valid_complete_and_the_same_again(tmp_path: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    for place in ("one", "two"):
        environment = {**os.environ, "PYTHON": sys.executable}
        subprocess.run(
            [ROOT / "scripts/sbom", tmp_path / place], check=True, env=environment, stdout=subprocess.DEVNULL
        )
    for path in sorted((tmp_path / "one").iterdir()):
        text = path.read_text()
        assert text == (tmp_path / "two" / path.name).read_text()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        locked = re.findall(
            r"^([\w.-]+)==([\w.+!]+)", (ROOT / f"requirements/{path.name.split('.')[0]}.txt").read_text(), re.M
        )
        listed = {(part["name"], part["version"]) for part in json.loads(text)["components"]}
        assert listed == set(locked) and len(locked) > 80
        assert str(ROOT) not in text
