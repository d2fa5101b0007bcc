"""Responses for the visitors of public links: without what their link does not show. People and programs get them unchanged."""

from typing import Any

from litestar import Request

from ams_contracts.documents import Slot
from ams_contracts.sharing import SLOTS, shared_step, shared_task
from ams_contracts.views import Step, Task
from ams_kit.auth import visitor_of


def task_for(request: Request[Any, Any, Any], task: Task) -> Task:
    """A task as the caller may see it."""
    visitor = visitor_of(request)
    return task if visitor is None else shared_task(task, payloads=visitor.payloads)


def steps_for(request: Request[Any, Any, Any], steps: list[Step]) -> list[Step]:
    """Steps as the caller may see them."""
    visitor = visitor_of(request)
    return steps if visitor is None else [shared_step(step, payloads=visitor.payloads) for step in steps]


def slots_for(request: Request[Any, Any, Any]) -> frozenset[Slot]:
    """The payloads of steps that the caller may see."""
    visitor = visitor_of(request)
    if visitor is None:
        return frozenset(Slot)
    return SLOTS if visitor.payloads else frozenset()
