"""The executable ``ams``. ``ams check`` and ``ams version`` need the standard library alone, other commands need click."""

import sys
from importlib import import_module
from importlib.util import find_spec

from ams.cli.check import main as check
from ams.version import __version__


def main() -> None:
    """Run the command line of ``sys.argv``."""
    if find_spec("click") is None:
        raise SystemExit(_without_click(sys.argv[1:]))
    import_module("ams.cli.commands").ams(prog_name="ams")


def _without_click(arguments: list[str]) -> int:
    match arguments:
        case ["check", *options]:
            return check(options)
        case ["version" | "--version" | "-V"]:
            sys.stdout.write(f"{__version__}\n")
            return 0
        case _:
            sys.stderr.write("ams: only 'ams check' and 'ams version' run without click. Install it with: pip install 'ams-tracing[cli]'\n")
            return 2


if __name__ == "__main__":
    main()
