"""The programs of ``examples/`` run offline, and record the steps that the documentation shows.

``python -m tests.examples.record`` writes the trees again; read the differences before you commit them.
"""

import pytest
from tests.examples.programs import PROGRAMS, expected, run


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_prints_its_answer_and_records_its_steps(program, tmp_path) -> None:
    done = run(program, tmp_path)

    assert (done.code, done.printed) == (program.code, program.printed), done.errors
    assert done.tree == expected(program.name)
    assert len(done.task_ids) == 1
