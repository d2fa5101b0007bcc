"""A real API server of Kubernetes, with the custom resources that the chart uses and without nodes or controllers.

Built from the Go module proxy by the versions and hashes of ``deploy/k8s/apiserver`` where Go is present, once; the binaries stay in the cache folder.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.kubernetes.manifests import CUSTOM_RESOURCES, Object
from tests.own_broker import free_ports

from ams_local.kubernetes import tool
from ams_local.servers.jars import cache_folder
from ams_local.workspace import ROOT

MODULE = ROOT / "deploy" / "k8s" / "apiserver"
BINARIES = {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver", "etcd": "go.etcd.io/etcd/server/v3"}
BUILD_SECONDS = 3_000  # 8 minutes of processor time
# not optimised, which would double the time of the build; the tests ask little of the server
QUICK_BUILD = ("-trimpath", "-gcflags=all=-N -l", "-ldflags=-s -w")
START_SECONDS = 120
NAMESPACE = "ams"
TOKEN = "administrator-of-a-test"
SCOPE = "Namespaced"  # of every custom resource that the chart uses


def go() -> str | None:
    """The path of Go, ``None`` where it is not present."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


class SourcesUnavailableError(RuntimeError):
    """Go is present, and the sources of Kubernetes cannot be fetched. The text says why."""


def binaries(compiler: str) -> Path:
    """Return the folder with ``kube-apiserver`` and ``etcd``, which are built at the first use of these versions.

    Args:
        compiler: The path of Go.

    Raises:
        SourcesUnavailableError: The module proxy does not answer, or this Go is older than the sources ask.
    """
    lock = hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:16]
    folder = cache_folder() / f"apiserver-{lock}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # `.ci/run` builds beside the tests
        missing = [name for name in BINARIES if not (folder / name).exists()]
        if missing:
            fetched = _run_go(compiler, "mod", "download")
            if fetched.returncode != 0:
                raise SourcesUnavailableError(f"the sources of Kubernetes could not be fetched: {fetched.stderr.strip()[-500:]}")
        for name in missing:
            unfinished = folder / f"{name}.unfinished"
            built = _run_go(compiler, "build", *QUICK_BUILD, "-o", str(unfinished), BINARIES[name])
            assert built.returncode == 0, f"{BINARIES[name]} could not be built: {built.stderr[-2_000:]}"
            unfinished.replace(folder / name)
    return folder


def _run_go(compiler: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"GOGC": "400", **os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    argv = ["nice", "-n", "19", compiler, *arguments]
    return subprocess.run(argv, cwd=MODULE, env=environ, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)


class ApiServer:
    """What ``kubectl`` says to one API server.

    Args:
        port: Where it listens, on the loopback interface.
        certificate: The file with its certificate, which signs itself.
    """

    def __init__(self, port: int, certificate: Path) -> None:
        self._arguments = (f"--server=https://127.0.0.1:{port}", f"--certificate-authority={certificate}", f"--token={TOKEN}")

    def run(self, *arguments: str, objects: Sequence[Object] = ()) -> subprocess.CompletedProcess[str]:
        """Run kubectl with objects at its standard input."""
        environ = {"PATH": os.environ["PATH"], "HOME": str(cache_folder())}
        text = yaml.safe_dump_all(objects) if objects else ""
        argv = [str(tool("kubectl")), *self._arguments, *arguments]
        return subprocess.run(argv, input=text, env=environ, capture_output=True, text=True, timeout=100, check=False)

    def apply(self, objects: Sequence[Object], *, namespace: str = NAMESPACE, dry: bool = False, user: str = "") -> str:
        """Apply objects as an operator would, and return what the server refuses; empty when it takes all.

        Args:
            objects: What is applied, in one call.
            namespace: Where.
            dry: The server checks and admits, and keeps nothing.
            user: Who applies it; the administrator if empty.
        """
        options = ["--server-side", "--validate=strict", f"--namespace={namespace}", "--field-manager=test", "--filename=-"]
        options += ["--dry-run=server"] if dry else []
        options += [f"--as={user}"] if user else []
        done = self.run("apply", *options, objects=objects)
        return done.stderr.strip() if done.returncode else ""


def custom_resource_definition(name: str, schema: Any) -> Object:
    """Return the definition of ``group/version/kind`` with its operator's schema."""
    group, version, kind = name.split("/")
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {
                "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466"
            },  # for groups of k8s.io
        },
        "spec": {
            "group": group,
            "scope": SCOPE,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@contextmanager
def run_api_server(folder: Path, programs: Path) -> Iterator[ApiServer]:
    """Start etcd and an API server, with the custom resources and a namespace that enforces Pod Security ``restricted``."""
    client, peer, port = free_ports(3)
    key = folder / "service-accounts.pem"
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{TOKEN},administrator,1,"system:masters"\n', encoding="utf-8")
    etcd = [
        str(programs / "etcd"), f"--data-dir={folder / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", f"--initial-cluster=default=http://127.0.0.1:{peer}", "--unsafe-no-fsync",
    ]  # fmt: skip
    server = [
        str(programs / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={port}", "--bind-address=127.0.0.1",
        "--endpoint-reconciler-type=none", f"--cert-dir={folder / 'certificates'}", f"--token-auth-file={tokens}", "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
    ]  # fmt: skip
    with (folder / "servers.log").open("w", encoding="utf-8") as log:
        running = [subprocess.Popen(argv, stdout=log, stderr=log, cwd=folder) for argv in (etcd, server)]
        try:
            api = ApiServer(port, folder / "certificates" / "apiserver.crt")
            _wait(port, running, folder / "servers.log")
            definitions = [custom_resource_definition(name, schema) for name, schema in CUSTOM_RESOURCES.items()]
            assert api.apply(definitions, namespace="") == ""
            _wait_for_definitions(api)
            labels = {"pod-security.kubernetes.io/enforce": "restricted"}
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}  # a controller makes it in a cluster
            assert api.apply([namespace], namespace="") == ""
            assert api.apply([account]) == ""
            yield api
        finally:
            for process in reversed(running):
                process.kill()
                process.wait()


def _wait_for_definitions(api: ApiServer) -> None:
    until = time.monotonic() + START_SECONDS
    while True:  # kubectl gives up on a definition that has no status yet
        done = api.run("wait", "--for=condition=Established", "--all", "customresourcedefinitions", "--timeout=30s")
        if done.returncode == 0:
            return
        assert time.monotonic() < until, done.stderr
        time.sleep(0.2)


def _wait(port: int, running: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert all(process.poll() is None for process in running), log.read_text(encoding="utf-8")[-2_000:]
        try:
            if httpx.get(f"https://127.0.0.1:{port}/readyz", verify=False, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text(encoding="utf-8")[-2_000:])


def as_pod(workload: Object) -> Object:
    """Return the pod that a Deployment, StatefulSet or Job would create, without the volumes that its claims would add."""
    template = json.loads(json.dumps(workload["spec"]["template"]))
    spec = template["spec"]
    for claim in workload["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        spec.setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name}})
    metadata = {**template["metadata"], "name": f"{workload['kind'].lower()}-{workload['metadata']['name']}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


if __name__ == "__main__" and (found := go()) is not None:
    binaries(found)
