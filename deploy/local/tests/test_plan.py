"""What ``ams up`` starts, and with which settings."""

from ams_identity.settings import Settings
from ams_local.plan import ACCOUNT_SETTINGS


def test_every_setting_that_identity_takes_over_is_one_of_its_own() -> None:
    known = {f"AMS_{name.upper()}" for name in Settings.__struct_fields__}

    assert set(ACCOUNT_SETTINGS) <= known
