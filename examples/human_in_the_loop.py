"""A person decides: the step waits, and the explorer shows for what and since when. Answer with y or n.

AMS_TRANSPORT=console python examples/human_in_the_loop.py        # without a platform: a line for each step
"""

import ams

ams.init()
ALONE_EUROS_MAX = 50


@ams.tool
def refund(order: str, amount: float) -> str:
    """Pay an amount back."""
    return f"{amount:.2f} euros for order {order} are on their way"


def approved(question: str) -> bool:
    """Ask the person at the terminal. In a service this would be a message and, later, a call of ``step.resume()``."""
    with ams.step("approval", type="guardrail", input=question) as step:
        with step.waiting("for a person to approve"):
            answer = input(f"{question} [y/n] ")
        step.output = {"approved": answer.strip().lower() == "y"}
        return answer.strip().lower() == "y"


@ams.agent(tools=["refund"])
def clerk(order: str, amount: float) -> str:
    """Ask a person about larger refunds."""
    if amount > ALONE_EUROS_MAX and not approved(f"Refund {amount:.2f} euros for order {order}?"):
        return "The refund was not approved."
    return refund(order, amount)


if __name__ == "__main__":
    with ams.task("Refund order 17", user_id="ada") as task:
        task.output = clerk("17", 80.0)
    print(task.output)
