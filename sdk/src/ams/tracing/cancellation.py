"""Which exceptions mean that somebody ended the code, not that it failed."""

import sys


def is_cancellation(error: BaseException) -> bool:
    """Whether the exception is an interrupt, the end of a generator, or asyncio's cancellation.

    Code that raises the last one has imported asyncio; importing it here would cost every program 20 ms.
    """
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return True
    module = sys.modules.get("asyncio.exceptions")
    return module is not None and isinstance(error, module.CancelledError)
