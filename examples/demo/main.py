"""The demo: agents at work, a new task every few seconds, until it is stopped.

    AMS_API_KEY=ams_... python examples/demo/main.py

Nothing leaves the machine except the events for AMS: the language model follows a script. What it shows is real: agents inside of
agents, streamed answers, tools that fail and are tried again, a provider that is busy, a person who has to approve, tasks that fail.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import signal

from helpdesk import Helpdesk
from newsroom import BudgetExceededError, Luck, Newsroom
from questions import QUESTIONS, Question
from topics import TOPICS, Topic

import ams

ARTICLES_AT_ONCE_MAX = 3
LUCK = (
    Luck(),
    Luck(page_times_out=True, needs_approval=True),
    Luck(model_is_busy=True),
    Luck(needs_approval=True),
    Luck(page_times_out=True, budget_ends=True),
    Luck(model_is_busy=True, page_times_out=True),
    Luck(needs_approval=True),
)


async def article(topic: Topic, luck: Luck, chance: random.Random) -> None:
    """One article as a task."""
    task = ams.task(topic.question, kind="article", agent="newsroom", user_id=chance.choice(("maria", "jonas")), tags={"desk": "science"})
    with contextlib.suppress(BudgetExceededError), task:  # the task shows it as failed; the program continues
        task.input = f"{topic.question} Write for {topic.audience}."
        task.output = await Newsroom(topic, luck, chance).write_article()


async def question(asked: Question, chance: random.Random) -> None:
    """One customer's question as a task."""
    with ams.task(
        f"Answer {asked.customer.title()}",
        kind="support",
        user_id=asked.customer,
        conversation_id=f"chat-{asked.customer}",
        tags={"channel": "chat"},
    ) as task:
        task.input = asked.text
        task.output = await Helpdesk(asked, chance).answer(asked.text)


async def run(pause_seconds: float) -> None:
    """Start tasks until cancelled."""
    chance = random.Random()
    topics, lucks, questions = itertools.cycle(TOPICS), itertools.cycle(LUCK), itertools.cycle(QUESTIONS)
    articles: set[asyncio.Task[None]] = set()
    others: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        if number % 2 == 0 and len(articles) < ARTICLES_AT_ONCE_MAX:
            running, group = asyncio.create_task(article(next(topics), next(lucks), random.Random(chance.random()))), articles
        else:
            running, group = asyncio.create_task(question(next(questions), random.Random(chance.random()))), others
        group.add(running)
        running.add_done_callback(group.discard)
        await asyncio.sleep(pause_seconds * chance.uniform(0.6, 1.4))


async def until_stopped(pause_seconds: float) -> None:
    """Run until Ctrl-C or SIGTERM; running tasks are cancelled, and AMS shows them as cancelled."""
    loop = asyncio.get_running_loop()
    working = asyncio.create_task(run(pause_seconds))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await working


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Agents at work, until stopped.")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between new tasks, about (default: 5)")
    arguments = parser.parse_args()
    if not ams.init(environment="demo", tags={"program": "demo"}):
        raise SystemExit(2)  # ams.init said what is missing
    asyncio.run(until_stopped(arguments.pause))
    ams.shutdown(timeout_seconds=3)


if __name__ == "__main__":
    main()
