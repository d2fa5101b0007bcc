"""The SDK's wheel as the platform serves it: one address for ``pip install`` on a machine without this repository.

It holds ``ams`` and ``ams_contracts`` together, so that nothing of ours has to come from an index. Made directly from the sources, the same
bytes each time, and only when they changed.
"""

import base64
import hashlib
import html
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ams_local.workspace import ROOT

PACKAGES = {"ams": ROOT / "sdk" / "src" / "ams", "ams_contracts": ROOT / "contracts" / "src" / "ams_contracts"}
PROJECTS = {"sdk": ROOT / "sdk" / "pyproject.toml", "contracts": ROOT / "contracts" / "pyproject.toml"}
BUNDLED = "ams-contracts"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # of the zip format: the bytes do not depend on when they were packed
SKIPPED = {"__pycache__"}
STAMP = "build.sha256"


def _sources() -> Iterator[tuple[str, Path]]:
    """Names inside the wheel, in a fixed order."""
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not SKIPPED.intersection(path.parts) and path.suffix != ".pyc":
                yield f"{package}/{path.relative_to(folder).as_posix()}", path


def _requirements(project: dict[str, Any], contracts: dict[str, Any]) -> Iterator[str]:
    own = [one for one in project["dependencies"] if not one.startswith(BUNDLED)]
    yield from dict.fromkeys([*own, *contracts.get("dependencies", [])])
    for extra, requirements in project.get("optional-dependencies", {}).items():
        for one in requirements:
            name, _, marker = one.partition(";")
            yield f"{name.strip()}; ({marker.strip()}) and extra == '{extra}'" if marker else f"{name.strip()}; extra == '{extra}'"


def _metadata(project: dict[str, Any], contracts: dict[str, Any]) -> str:
    lines = [
        "Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {project['version']}", f"Summary: {project['description']}",
        f"License-Expression: {project['license']}", f"Requires-Python: {project['requires-python']}",
    ]  # fmt: skip
    lines += [f"Provides-Extra: {extra}" for extra in project.get("optional-dependencies", {})]
    lines += [f"Requires-Dist: {requirement}" for requirement in _requirements(project, contracts)]
    return "\n".join(lines) + "\n"


def _entry_points(project: dict[str, Any]) -> str:
    groups = dict(project.get("entry-points", {}))
    if project.get("scripts"):
        groups["console_scripts"] = project["scripts"]
    return "\n".join(f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in names.items()) for group, names in groups.items())


def _record(name: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}"


def build_wheel(folder: Path) -> Path:
    """Make the wheel and the page that lists it, unless what is there came from the same sources.

    Args:
        folder: What the gateway serves under ``/sdk/``.

    Returns:
        The wheel.
    """
    projects = {name: tomllib.loads(path.read_text(encoding="utf-8"))["project"] for name, path in PROJECTS.items()}
    project = projects["sdk"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    wheel = folder / f"{stem}-py3-none-any.whl"
    info = f"{stem}.dist-info"
    files = {name: path.read_bytes() for name, path in _sources()}
    files[f"{info}/METADATA"] = _metadata(project, projects["contracts"]).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: ams\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = _entry_points(project).encode()
    record = "\n".join([*(_record(name, content) for name, content in files.items()), f"{info}/RECORD,,", ""])
    digest = hashlib.sha256(record.encode()).hexdigest()
    stamp = folder / STAMP
    if wheel.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return wheel
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / "building"
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, f"{info}/RECORD": record.encode()}.items():
            member = zipfile.ZipInfo(name, EARLIEST)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
    for old in folder.glob("*.whl"):
        old.unlink()
    scratch.replace(wheel)
    (folder / "index.html").write_text(_page(wheel.name), encoding="utf-8")
    stamp.write_text(digest, encoding="ascii")
    return wheel


def _page(name: str) -> str:
    """A page that a person reads and that ``pip --find-links`` understands."""
    name = html.escape(name)
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>AMS SDK</title><h1>AMS SDK</h1><p>pip install this address:</p><a href="{name}">{name}</a></html>\n'
