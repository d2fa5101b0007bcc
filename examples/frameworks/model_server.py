"""A model without a model: answers like OpenAI, Anthropic and Gemini by a few rules, and keeps a ledger of the tokens that it reported.

The examples beside this file run against it, so that they need neither an account nor a network. It is the SDK's fake model (``ams.testing``) with rules
for one question, what to wear in Paris: hand over to a specialist when one is offered, ask for the weather once, then answer.

    python model_server.py 8099        # then OPENAI_BASE_URL=http://127.0.0.1:8099/v1
"""

import json
import sys
from collections.abc import Sequence

from question import REPORT

from ams.testing import FakeModel, ModelCall, ModelServer, Reply, ToolCall

CITY = {"city": "Paris"}
ANSWER = "Take a coat: 14 degrees and rain in Paris."

Turn = str | ToolCall


def next_turn(tools: Sequence[str], called: Sequence[str], prompt: str) -> Turn:
    """Decide what to say.

    Args:
        tools: Names of what is offered.
        called: Names of what the conversation has called already.
        prompt: All words of the conversation, for frameworks that describe tools in prose.
    """
    if "[[ ## " in prompt:
        return _dspy_turn(prompt)
    if not tools and "Action Input:" in prompt:
        return _react_turn(prompt)
    for name in tools:
        if name.startswith(("transfer_to", "delegate")) and name not in called and f"`{name}`" not in prompt:  # ADK retells it
            return ToolCall(name, {"agent_name": "stylist"} if name == "transfer_to_agent" else {})
    if "weather" in tools and REPORT not in prompt:
        return ToolCall("weather", CITY)
    if "final_answer" in tools:
        return ToolCall("final_answer", {"answer": ANSWER})
    return ANSWER


def _react_turn(prompt: str) -> Turn:
    if "Observation: " + REPORT in prompt:
        return f"Thought: I now know the final answer\nFinal Answer: {ANSWER}"
    return f"Thought: I need the weather.\nAction: weather\nAction Input: {json.dumps(CITY)}"


def _dspy_turn(prompt: str) -> Turn:
    if "[[ ## reasoning ## ]]" in prompt:
        return f"[[ ## reasoning ## ]]\nRain.\n\n[[ ## answer ## ]]\n{ANSWER}\n\n[[ ## completed ## ]]"
    name, arguments = ("finish", {}) if REPORT in prompt else ("weather", CITY)
    return (
        f"[[ ## next_thought ## ]]\nThe weather decides.\n\n[[ ## next_tool_name ## ]]\n{name}\n\n"
        f"[[ ## next_tool_args ## ]]\n{json.dumps(arguments)}\n\n[[ ## completed ## ]]"
    )


class Ledger:
    """Decides the tokens of each call in a simple way, and remembers them, oldest first."""

    def __init__(self) -> None:
        self.calls: list[dict[str, int | str]] = []

    def answer(self, call: ModelCall) -> Reply:
        """What the model says, with its tokens."""
        turn = next_turn(call.tools, call.called, call.prompt)
        number = len(self.calls) + 1
        tokens = {"input": 100 + 10 * number, "cached": 20, "output": 10 + number}
        self.calls.append({"model": call.model, **tokens})
        return Reply(
            text=turn if isinstance(turn, str) else None,
            tool_calls=[turn] if isinstance(turn, ToolCall) else [],
            input_tokens=tokens["input"],
            cached_tokens=tokens["cached"],
            output_tokens=tokens["output"],
        )


def serve(port: int = 0) -> tuple[ModelServer, Ledger]:
    """A server on a loopback port, not yet started, with its ledger; 0 chooses a free port."""
    ledger = Ledger()
    return ModelServer(FakeModel(ledger.answer), port), ledger


if __name__ == "__main__":
    serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8099)[0].serve_forever()
