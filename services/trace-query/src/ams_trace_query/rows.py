"""Columns and expressions for the public rows of ``ams_contracts.views``, and positions."""

from typing import Any

from sqlalchemy import Label, select

from ams_contracts import views
from ams_contracts.positions import Position
from ams_contracts.tables import positions, steps, tasks
from ams_contracts.topics import STEPS

PROJECTION = "steps"

TASK_COLUMNS = [tasks.c[name] for name in views.TASK_COLUMNS]
STEP_COLUMNS = [steps.c[name] for name in views.STEP_COLUMNS]

next_offset_of_task: Label[Any] = (
    select(positions.c.next_offset)
    .where(positions.c.projection == PROJECTION, positions.c.topic == STEPS.name, positions.c.partition == tasks.c.partition)
    .scalar_subquery()
    .label("next_offset")
)
"""Expression for the projected offset of a task's partition, in the snapshot of its row."""


def position_text(partition: int, next_offset: int | None) -> str | None:
    """A position of the steps topic as text; null before the first record of the partition was projected."""
    return None if next_offset is None else str(Position(STEPS.version, partition, next_offset))
