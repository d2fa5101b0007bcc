from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.installation import Platform


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Platform]:
    """A platform that the test may ill-treat."""
    one = Platform(tmp_path / "data")
    try:
        yield one.start()
    finally:
        one.stop()
