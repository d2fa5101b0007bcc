"""Whether a rule raises an alert or ends one. Pure."""

from typing import Literal

Decision = Literal["raise", "resolve"]


def decide(
    value: float | None, threshold: float, *, is_open: bool, window_start_us: int, last_window_end_us: int | None
) -> Decision | None:
    """What follows from a measurement.

    Args:
        value: What was measured in the window; null: nothing could be, which does not meet the condition.
        threshold: The condition is met by this value and higher ones.
        is_open: Whether the rule's newest alert is open.
        window_start_us: The first moment of the window.
        last_window_end_us: The end of the window of the rule's newest alert. Windows of two alerts of a rule do not overlap, so that each window has
            at most one alert.
    """
    met = value is not None and value >= threshold
    if is_open:
        return None if met else "resolve"
    if met and (last_window_end_us is None or window_start_us >= last_window_end_us):
        return "raise"
    return None
