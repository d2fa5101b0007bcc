"""A rolling restart as a cluster makes it: a new replica is ready, requests go to it, and then the old one is asked to end."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Self

import httpx
import pytest
from tests.client import Account
from tests.faults.account import check_account, positions_in
from tests.faults.beside import Second
from tests.faults.follower import Follower
from tests.faults.groups import shares
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.faults.processes import RECOVERY_SECONDS_MAX, until_served
from tests.installation import Platform, until

from ams_contracts.topics import PAYLOADS, STEPS

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(800), pytest.mark.long]
GROUPS = {"steps": STEPS.partitions, "payloads": PAYLOADS.partitions, "text": PAYLOADS.partitions, "text_names": STEPS.partitions}
REQUESTS = 50
CLIENTS = 4


class Requests:
    """Clients that ask one replica without a pause and without a retry; as a block."""

    def __init__(self, ask: Callable[[httpx.Client], httpx.Response], port: int) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(CLIENTS)]
        self.port = port
        self.answered = 0
        self._ports = [0] * CLIENTS
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def go_on(self) -> None:
        """Wait for further answers."""
        before = self.answered + len(self.failed)
        until(lambda: self.answered + len(self.failed) >= before + REQUESTS, RECOVERY_SECONDS_MAX, "further answers")

    def move(self, port: int) -> None:
        """Ask another replica, and wait for the last answers of this one, as the pause before a pod's end does."""
        self.port = port
        until(lambda: self._ports == [port] * CLIENTS, RECOVERY_SECONDS_MAX, "every client asks the new replica")

    def _run(self, number: int) -> None:
        with ExitStack() as stack:
            port, client = 0, None
            while not self._stop.is_set():
                if client is None or port != self.port:  # a connection goes to one replica; a proxy opens new ones to the next
                    self._ports[number] = port = self.port
                    client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
                try:
                    answer = self._ask(client)
                except httpx.HTTPError as error:
                    self.failed.append(type(error).__name__)
                else:
                    if answer.is_success:
                        self.answered += 1
                    else:
                        self.failed.append(f"{answer.status_code} {answer.text[:200]}")


@contextlib.contextmanager
def replica(platform: Platform, name: str) -> Iterator[Second]:
    with Second(platform, name) as one:
        yield one


def test_each_service_is_replaced_under_load_and_no_request_fails(own: Platform) -> None:
    account = Account(own.url)
    project, kafka = account.project(), f"127.0.0.1:{own.port_of('kafka')}"
    person = {"Authorization": account.http.headers["Authorization"]}
    asks: dict[str, Callable[[httpx.Client], httpx.Response]] = {
        "identity": lambda client: client.get("/api/projects", headers=person),
        "trace-query": lambda client: client.get(f"/api/traces/{project.id}/tasks", headers=person),
        "intake": lambda client: client.post(
            "/v1/traces", content=b"{}", headers={"Authorization": f"Bearer {project.key}", "Content-Type": "application/json"}
        ),
    }
    figures: dict[str, int] = {}
    load = Load(project)
    with Follower(project, load.watched) as stays, load:
        until_served(load, stays, RECOVERY_SECONDS_MAX)
        for name, ask in asks.items():
            with replica(own, name) as old, Requests(ask, old.port) as requests:
                requests.go_on()
                with replica(own, name) as new:
                    requests.move(new.port)
                    code = old.stop()
                    requests.go_on()
                    assert (name, code, requests.failed) == (name, 0, [])
            figures[name] = requests.answered

        with replica(own, "live-gateway") as old, replica(own, "live-gateway") as new, Follower(project, load.watched, old.port) as moves:
            until_served(load, moves, RECOVERY_SECONDS_MAX)
            moves.resume_at(new.port)
            assert old.stop() == 0
            until(lambda: moves.connections > 1, RECOVERY_SECONDS_MAX, "the socket resumes at the new gateway")
            until_served(load, moves, RECOVERY_SECONDS_MAX)

            def members(count: int) -> bool:
                return shares(kafka, *GROUPS) == {group: [partitions // count] * count for group, partitions in GROUPS.items()}

            with replica(own, "projector") as second, replica(own, "projector") as third:
                until(lambda: members(3), RECOVERY_SECONDS_MAX, "three projectors share the partitions")
                until_served(load, stays, RECOVERY_SECONDS_MAX)
                assert [second.stop(), third.stop()] == [0, 0]
                until(lambda: members(1), RECOVERY_SECONDS_MAX, "one projector has all partitions")
                until_served(load, stays, RECOVERY_SECONDS_MAX)

            load.stop()
            check_ledger(project, load)
            in_log = positions_in(check_account(own), load.watched)
            for follower in (stays, moves):
                until(
                    lambda follower=follower: follower.positions[-1] == in_log[-1], RECOVERY_SECONDS_MAX, "the follower has read to the end"
                )

    print(f"\nrequests during the restarts: {figures}; {load.ledger.count} spans acknowledged; load average {os.getloadavg()[0]:.1f}")
    assert stays.positions == in_log
    assert moves.positions == in_log[len(in_log) - len(moves.positions) :]
    assert load.ledger.wrong == []
