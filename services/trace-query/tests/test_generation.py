"""The versions that the tables were made with."""

from ams_trace_ingest.mapping.version import MAPPING_VERSION
from ams_trace_ingest.pricing.version import price_version


async def test_a_migrated_database_shows_the_versions_of_its_first_generation(ada, store) -> None:
    assert await ada.get("generation") == {
        "name": "g1",
        "mapping_version": MAPPING_VERSION,
        "price_version": price_version(),
        "is_repriced": False,
        "serves_since_us": None,
    }
