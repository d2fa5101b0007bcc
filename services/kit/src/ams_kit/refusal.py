"""Ends a process that cannot serve as it is set up."""

import os
import sys
from typing import NoReturn


def refuse_to_serve(service: str, sentence: str) -> NoReturn:
    """End the process at once, like a wrong setting does: one sentence on stderr, exit code 2, no traceback.

    Args:
        service: The name of the process.
        sentence: What is wrong.
    """
    sys.stderr.write(f"{service}: {sentence}\n")
    sys.stderr.flush()
    os._exit(2)
