"""The documentation site: Markdown from ``docs/``, made into pages by Zensical, which the gateway serves under ``/docs/``.

Everything is under ``.cache/docs``: the generator's environment, one folder for each build, and ``site``, a link to the newest build, so that a reader
never sees half of one. ``ams up`` starts the build in the background when it is ready; nothing waits for it.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ams_local.workspace import DOCUMENTATION, ROOT

SOURCES = ROOT / "docs"
CONFIGURATION = "zensical.toml"
SITE = DOCUMENTATION / "site"
GENERATOR = DOCUMENTATION / "environment" / "bin" / "zensical"
PAGES_BESIDE = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}
"""Files of the repository's root that are pages too, and their names there."""
ICON = ROOT / "web" / "src" / "app" / "icon.svg"
BUILD_SECONDS_MAX = 300
WORDS_MAX = 4_000
_LINK = re.compile(r"(\]\()([^)#\s]+)")
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_CANONICAL = re.compile(r"<link rel=\"?canonical\"?[^>]*>")
_PLACEHOLDER = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="3">
<title>AMS documentation</title><link rel="stylesheet" href="/docs/placeholder.css"></head>
<body><h1>The documentation is being built</h1><p>This page reloads until it is ready, usually within a minute of the first start.</p>
<p>If it does not appear, <code>ams logs docs</code> says why. The same pages are in the folder <code>docs</code> of the repository.</p></body></html>
"""
_PLACEHOLDER_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem}\n"
)


class DocumentationError(RuntimeError):
    """The site cannot be built. The text is for the person at the terminal."""


def _inputs() -> Iterator[Path]:
    """Every file that the site depends on, in a fixed order."""
    yield Path(__file__)
    yield ROOT / "requirements" / "docs.txt"
    yield ICON
    yield from (ROOT / name for name in PAGES_BESIDE)
    yield from sorted(path for path in SOURCES.rglob("*") if path.is_file())


def digest() -> str:
    """One hash over names and contents of everything that the site depends on."""
    found = hashlib.sha256()
    for path in _inputs():
        found.update(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}\0".encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()[:16]


def announce() -> None:
    """Make ``site`` lead to a page that says that the site is being built, unless there is one. Cheap: for every start."""
    if SITE.exists():
        return
    folder = DOCUMENTATION / "placeholder"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("index.html", "404.html"):
        (folder / name).write_text(_PLACEHOLDER, encoding="utf-8")
    (folder / "placeholder.css").write_text(_PLACEHOLDER_STYLE, encoding="utf-8")  # the gateway's policy allows no style in the page
    _lead_to(folder)


def is_current() -> bool:
    """Whether the site is of these sources; some milliseconds."""
    return SITE.exists() and SITE.resolve().name == f"build-{digest()}"


def build() -> Path:
    """Build the site unless the newest build is of the same sources.

    Returns:
        The folder of the build, to which ``SITE`` leads now.

    Raises:
        DocumentationError: The generator failed; the text ends with what it wrote.
    """
    DOCUMENTATION.mkdir(parents=True, exist_ok=True)
    with (DOCUMENTATION / "build.lock").open("w") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)  # of several platforms that start, one builds
        built = DOCUMENTATION / f"build-{digest()}"
        if not built.is_dir():
            write_site(built, GENERATOR)
        _lead_to(built)
        for old in DOCUMENTATION.glob("build-*"):
            if old != built:
                shutil.rmtree(old, ignore_errors=True)
    return built


def write_site(folder: Path, generator: Path) -> None:
    """Build the site into a new folder.

    Args:
        folder: Does not exist; a folder beside it, ``work``, is replaced.
        generator: The executable of Zensical.

    Raises:
        DocumentationError: The generator failed; the text ends with what it wrote.
    """
    work = folder.with_name("work")
    shutil.rmtree(work, ignore_errors=True)
    stage(work)
    _generate(work, generator)
    finish(work / "site")
    (work / "site").replace(folder)
    shutil.rmtree(work)


def _lead_to(folder: Path) -> None:
    """Replace the link at once: a request sees the old site or the new one."""
    link = SITE.with_name(f"site-{os.getpid()}")
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(SITE)


def stage(work: Path) -> None:
    """Copy what the generator reads: ``docs/``, and the pages of the repository's root with their links made to fit."""
    pages = work / "docs"
    shutil.copytree(SOURCES, pages, ignore=shutil.ignore_patterns(CONFIGURATION))
    shutil.copy(SOURCES / CONFIGURATION, work / CONFIGURATION)
    shutil.copy(ICON, pages / "images" / "icon.svg")
    for name, page in PAGES_BESIDE.items():
        (pages / page).write_text(_LINK.sub(_moved_down, (ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    for path in sorted(SOURCES.rglob("*.md")):
        copy = pages / path.relative_to(SOURCES)
        copy.write_text(_LINK.sub(lambda link, path=path: _moved_in(path, link), copy.read_text(encoding="utf-8")), encoding="utf-8")


def _moved_down(link: re.Match[str]) -> str:
    """A link of a page of the root, seen from ``docs/``."""
    target = link[2]
    return link[1] + PAGES_BESIDE.get(target, target.removeprefix("docs/"))


def _moved_in(path: Path, link: re.Match[str]) -> str:
    """A link of a page to one of the root, seen from where that page is in the site."""
    target = link[2]
    resolved = (path.parent / target).resolve()
    if "://" in target or resolved.parent != ROOT or resolved.name not in PAGES_BESIDE:
        return link[0]
    return link[1] + os.path.relpath(SOURCES / PAGES_BESIDE[resolved.name], path.parent)


def _generate(work: Path, generator: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603  our own tool
            [str(generator), "build", "--strict"], cwd=work, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DocumentationError(f"the documentation could not be built: {error}; run ./ams docs, which installs the generator") from error
    if done.returncode != 0:
        raise DocumentationError(f"the documentation could not be built: {(done.stdout + done.stderr)[-WORDS_MAX:].strip()}")


def finish(site: Path) -> None:
    """Make the pages fit the gateway's Content-Security-Policy, which allows no inline script: each becomes a file, named by its content."""
    scripts = site / "assets" / "javascripts"
    for page in sorted(site.rglob("*.html")):
        to_root = "/docs" if page.name == "404.html" else os.path.relpath(site, page.parent)

        def externalize(script: re.Match[str], to_root: str = to_root) -> str:
            name = f"inline-{hashlib.sha256(script[1].encode()).hexdigest()[:12]}.js"
            (scripts / name).write_text(script[1], encoding="utf-8")
            return f'<script src="{to_root}/assets/javascripts/{name}"></script>'

        text = _CANONICAL.sub("", page.read_text(encoding="utf-8"))  # the address of the platform is not known here
        page.write_text(_INLINE_SCRIPT.sub(externalize, text), encoding="utf-8")
    for name in ("sitemap.xml", "sitemap.xml.gz"):
        (site / name).unlink(missing_ok=True)
