"""``python -m tests.examples.record [NAME ...]``, from the root of the checkout: run the programs and keep their trees."""

import sys
import tempfile
from pathlib import Path

from tests.examples.programs import PROGRAMS, TREES, run

if __name__ == "__main__":
    for program in PROGRAMS:
        if not sys.argv[1:] or program.name in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as folder:
                done = run(program, Path(folder))
            (TREES / f"{program.name}.txt").write_text(done.tree, encoding="utf-8")
            print(f"{program.name}: exit code {done.code}, {len(done.task_ids)} task(s)\n{done.printed}{done.errors}")
