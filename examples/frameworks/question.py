"""What all examples share: the question, and the one tool that answers a part of it."""

QUESTION = "What should I wear in Paris today?"
REPORT = "14 degrees and rain"
MODEL = "gpt-4o-mini"
INSTRUCTIONS = "You give advice on clothes. Ask for the weather before you answer."


def weather(city: str) -> str:
    """Get today's weather.

    Args:
        city: Where.
    """
    return REPORT if city == "Paris" else "unknown"
