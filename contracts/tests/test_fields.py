"""The tables of fields fit the documents that they store."""

from collections.abc import Sequence

import pytest

from ams_contracts.documents import STEP_FIELDS, TASK_FIELDS, StepDocument
from ams_contracts.fields import Field, filter_kind


def test_every_attribute_of_a_steps_document_is_stored() -> None:
    prefix = "state.document."
    stored = {field.path.removeprefix(prefix).partition(".")[0] for field in STEP_FIELDS if (field.path or "").startswith(prefix)}

    assert stored == set(StepDocument.__struct_fields__)


@pytest.mark.parametrize("fields", [STEP_FIELDS, TASK_FIELDS])
def test_names_are_declared_once(fields: Sequence[Field]) -> None:
    names = [field.name for field in fields]
    skeleton = [field.skeleton.name for field in fields if field.skeleton is not None]

    assert len(set(names)) == len(names)
    assert len(set(skeleton)) == len(skeleton)


@pytest.mark.parametrize("fields", [STEP_FIELDS, TASK_FIELDS])
def test_fields_that_share_a_filter_read_its_values_alike(fields: Sequence[Field]) -> None:
    kinds: dict[str, set[str]] = {}
    for field in fields:
        for declared in field.filters:
            kinds.setdefault(declared.name, set()).add(filter_kind(field, declared))

    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


def test_what_has_no_column_is_never_filtered_sorted_or_in_a_skeleton() -> None:
    assert not [
        field.name for field in STEP_FIELDS if field.in_rest and (field.filters or field.sortable or field.searched or field.skeleton)
    ]
