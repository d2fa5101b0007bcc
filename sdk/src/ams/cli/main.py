"""The executable ``ams``. Its commands need click; without it one sentence says so."""

import sys
from importlib import import_module
from importlib.util import find_spec


def main() -> None:
    """Run the command line of ``sys.argv``."""
    if find_spec("click") is None:
        sys.stderr.write("ams: the command line needs click. Install it with: pip install click\n")
        raise SystemExit(2)
    import_module("ams.cli.commands").ams(prog_name="ams")


if __name__ == "__main__":
    main()
