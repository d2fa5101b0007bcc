"""Enum members bound once, for what runs for every span: in Python 3.11 ``Slot.INPUT`` costs as much as a whole ladder (0.2-0.5 us)."""

from ams_contracts.documents import CostSource, Slot, Status, StepType

INPUT = Slot.INPUT
OUTPUT = Slot.OUTPUT
ORIGINAL = Slot.ORIGINAL
ERROR_STACK = Slot.ERROR_STACK
RUNNING = Status.RUNNING
OK = Status.OK
REPORTED = CostSource.REPORTED
COMPUTED = CostSource.COMPUTED
UNKNOWN = CostSource.UNKNOWN
AGENT = StepType.AGENT
TOOL = StepType.TOOL
LLM = StepType.LLM
SPAN = StepType.SPAN
