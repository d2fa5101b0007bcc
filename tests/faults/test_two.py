"""Two projectors, two gateways and two intakes on one log, started with one environment, of which one of each is frozen for a while."""

import os
import time

import pytest
from tests.client import Account
from tests.faults.account import check_account, positions_in
from tests.faults.beside import Second, freeze, thaw
from tests.faults.follower import Follower
from tests.faults.groups import shares
from tests.faults.ledger import check_ledger
from tests.faults.load import Load
from tests.faults.processes import RECOVERY_SECONDS_MAX, until_served
from tests.installation import Platform, until

from ams_contracts.topics import PAYLOADS, STEPS

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(300)]
GROUPS = {"steps": STEPS.partitions, "payloads": PAYLOADS.partitions, "text": PAYLOADS.partitions, "text_names": STEPS.partitions}


@pytest.mark.parametrize("frozen", ["the_first", pytest.param("the_second", marks=pytest.mark.long)])
def test_what_is_frozen_is_taken_over_and_changes_nothing_when_it_comes_back(own: Platform, frozen: str) -> None:
    project, kafka = Account(own.url).project(), f"127.0.0.1:{own.port_of('kafka')}"
    first = int(own.processes()["projector"]["pid"])

    def shared_by(members: int) -> bool:
        return shares(kafka, *GROUPS) == {group: [partitions // members] * members for group, partitions in GROUPS.items()}

    with Second(own, "projector") as projector, Second(own, "live-gateway") as gateway, Second(own, "intake") as intake:
        until(lambda: shared_by(2), RECOVERY_SECONDS_MAX, "two projectors share the partitions")
        frozen_process = first if frozen == "the_first" else projector.pid
        load = Load(project, also=f"http://127.0.0.1:{intake.port}")
        with (
            Follower(project, load.watched) as elsewhere,
            Follower(project, load.watched, gateway.port) as stays,
            Follower(project, load.watched, gateway.port) as leaves,
            load,
        ):
            for follower in (elsewhere, stays, leaves):
                until_served(load, follower, RECOVERY_SECONDS_MAX)

            began = time.monotonic()
            freeze(frozen_process, gateway.pid, intake.pid)
            leaves.go_to(own.port_of("live"))
            until(lambda: shared_by(1), RECOVERY_SECONDS_MAX, "the other projector has all partitions")
            until_served(load, elsewhere, RECOVERY_SECONDS_MAX)
            taken_over_seconds = time.monotonic() - began

            began = time.monotonic()
            thaw(frozen_process, gateway.pid, intake.pid)
            until(lambda: shared_by(2), RECOVERY_SECONDS_MAX, "both projectors share the partitions again")
            until_served(load, stays, RECOVERY_SECONDS_MAX)
            shared_again_seconds = time.monotonic() - began

            load.stop()
            check_ledger(project, load)
            log = check_account(own, projector.port)
            in_log = positions_in(log, load.watched)
            for follower in (elsewhere, stays, leaves):
                until(lambda follower=follower: follower.positions[-1] == in_log[-1], 30, "the follower has read to the end")

        print(
            f"\n{frozen} frozen: {load.ledger.count} spans acknowledged, sent again for {dict(load.ledger.again)}; taken over after "
            f"{taken_over_seconds:.1f} s, shared again after {shared_again_seconds:.1f} s; load average {os.getloadavg()[0]:.1f}"
        )
        assert [follower.positions for follower in (elsewhere, stays, leaves)] == [in_log] * 3
        assert leaves.connections > 1
        assert load.ledger.wrong == []
        assert [one.stop() for one in (projector, gateway, intake)] == [0, 0, 0]
