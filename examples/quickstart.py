"""The first trace: export AMS_API_KEY=ams_... and run me."""

import ams

ams.init()


@ams.tool
def multiply(a: int, b: int) -> int:
    """Multiply."""
    return a * b


with ams.task("What is six times seven?") as task:
    task.output = multiply(6, 7)
