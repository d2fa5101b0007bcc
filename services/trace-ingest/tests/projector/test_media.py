"""Media: once for each project and hash, for as long as a task shows them."""

from hashlib import sha256

import pytest
from tests.builders import BASE_US, batch, document, record, recorded, records

from ams_contracts.events import MediaStored, TaskDeleted
from ams_contracts.topics import PAYLOADS
from ams_trace_ingest.projector.payloads import PayloadsProjection

OTHER_PROJECT = "01900000-0000-7000-8000-000000000002"
PICTURE = b"\x89PNG picture"


def shown(event: str, data: bytes = PICTURE, mime: str = "image/png") -> MediaStored:
    return MediaStored(event_id=event * 32, seq=0, at_us=BASE_US, sha256=sha256(data).hexdigest(), mime=mime, bytes=len(data), data=data)


def deleted(event: str) -> TaskDeleted:
    return TaskDeleted(event_id=event * 32, seq=0, at_us=BASE_US, by="ann")


async def apply(pool, *batches, first: int = 0, together: bool = True) -> None:
    log = [record(first + n, one, topic=PAYLOADS.name) for n, one in enumerate(batches)]
    for group in [log] if together else [[one] for one in log]:
        await PayloadsProjection(pool).apply(PAYLOADS.name, 0, group, group[0].offset)


@pytest.mark.parametrize("together", [True, False])
async def test_a_project_stores_the_same_bytes_once(pool, store, together: bool) -> None:
    other = batch(1, shown("d"), project=OTHER_PROJECT)

    await apply(pool, batch(1, shown("a")), batch(2, shown("b"), shown("c", b"more")), batch(1, shown("a")), other, together=together)

    media = await store.rows("media")
    assert sorted((row["project_id"] == OTHER_PROJECT, row["data"], row["bytes"]) for row in media) == [
        (False, b"more", 4),
        (False, PICTURE, 12),
        (True, PICTURE, 12),
    ]
    assert len(await store.rows("task_media")) == 4
    assert await store.account("payloads") == {"projected": 4, "duplicate": 1}


@pytest.mark.parametrize(
    "mimes", [("image/*", "image/png"), ("image/png", "image/*"), ("image/png", "application/octet-stream"), ("image/x", "image/png")]
)
async def test_the_type_does_not_depend_on_the_order(pool, store, mimes: tuple[str, str]) -> None:
    await apply(pool, *(batch(n, shown(str(n), mime=mime)) for n, mime in enumerate(mimes, start=1)), together=False)

    assert [row["mime"] for row in await store.rows("media")] == ["image/png"]


async def test_media_are_deleted_with_the_last_task_that_shows_them(pool, store, projector) -> None:
    await projector.apply(records(batch(1, recorded(1, document())), batch(2, recorded(2, document()))))
    await apply(pool, batch(1, shown("a"), shown("b", b"mine")), batch(2, shown("c")))

    await projector.apply(records(batch(1, deleted("d")), first=2))
    assert [row["data"] for row in await store.rows("media")] == [PICTURE]

    await projector.apply(records(batch(2, deleted("e")), first=3))
    assert await store.rows("media") == []
    assert await store.rows("task_media") == []

    await apply(pool, batch(1, shown("f")), first=2)
    assert await store.rows("media") == []
