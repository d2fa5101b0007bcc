"""``./ams bench [NAME ...]``: every benchmark of this folder in turn, on servers and a platform of their own. Prints JSON lines.

    ./ams bench                 all of them
    ./ams bench ingest query    those

Options of one benchmark: ``python -m tests.load.bench_query --help``.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.installation import Platform
from tests.servers import VARIABLES, ask_host, begin_host, end_host

FOLDER = Path(__file__).parent
ON_A_PLATFORM = ("ingest", "latency", "sign_in")  # these take the address of a running platform


def run(name: str, *arguments: str) -> int:
    sys.stderr.write(f"--- {name}\n")
    return subprocess.run([sys.executable, "-m", f"tests.load.bench_{name}", *arguments], check=False).returncode


def main() -> int:
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    chosen = sys.argv[1:] or known
    if unknown := [name for name in chosen if name not in known]:
        sys.stderr.write(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(known)}\n")
        return 2
    failed = []
    for name in chosen:
        if name in ON_A_PLATFORM:
            with tempfile.TemporaryDirectory(prefix="ams-bench-") as folder:
                platform = Platform(Path(folder) / "data").start()
                code = run(name, "--url", platform.url, "--data", str(platform.data))
                platform.stop()
        else:
            code = run(name)
        if code != 0:
            failed.append(name)
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    missing = [name for name, variable in VARIABLES.items() if variable not in os.environ]
    host = begin_host() if missing else None
    try:
        os.environ.update({VARIABLES[name]: ask_host(name) for name in missing})
        code = main()
    finally:
        if host is not None:
            end_host(host)
    sys.exit(code)
