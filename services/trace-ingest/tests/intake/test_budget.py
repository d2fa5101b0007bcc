import pytest

from ams_kit.errors import UnavailableError
from ams_trace_ingest.intake.budget import ByteBudget


def test_what_would_go_over_the_budget_is_refused_and_changes_nothing() -> None:
    budget = ByteBudget(100)
    with budget.lease() as first, budget.lease() as second:
        first.resize(70)
        with pytest.raises(UnavailableError) as refused:
            second.resize(31)

        assert refused.value.retry_after_seconds == 1
        assert budget.bytes_held == 70


def test_a_lease_gives_everything_back_when_it_ends_whatever_happened() -> None:
    budget = ByteBudget(100)

    def use() -> None:
        with budget.lease() as lease:
            lease.resize(90)
            lease.resize(40)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        use()

    assert budget.bytes_held == 0
