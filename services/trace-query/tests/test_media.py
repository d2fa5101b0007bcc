"""Media that messages refer to: their content types, and who may read them."""

from hashlib import sha256

import pytest

from ams_contracts.tables import media
from ams_trace_query.media import shown_type

PNG = b"\x89PNG\r\n\x1a\n\0\0"


async def stored(store, mime: str, data: bytes) -> str:
    digest = sha256(data).hexdigest()
    await store.insert(media, project_id=store.project_id, sha256=digest, mime=mime, bytes=len(data), data=data)
    return digest


async def test_an_image_is_inline_and_its_type_is_not_sniffed(ada, store) -> None:
    digest = await stored(store, "image/png", PNG)

    answer = await ada.answer(f"media/{digest}")

    assert (answer.status_code, answer.content) == (200, PNG)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == f'inline; filename="{digest[:16]}.png"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")


@pytest.mark.parametrize(
    "mime", ["text/html", "image/svg+xml", "application/xhtml+xml", "application/pdf", "text/plain", 'image/png"\r\nX: y']
)
async def test_a_document_is_a_download(ada, store, mime: str) -> None:
    digest = await stored(store, mime, b"<script>alert(1)</script>" + mime.encode())

    answer = await ada.answer(f"media/{digest}")

    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="{digest[:16]}.bin"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("mime", "data", "expected"),
    [
        ("image/*", PNG, "image/png"),
        ("application/octet-stream", b"RIFF\0\0\0\0WAVE", "audio/wav"),
        ("image/*", b"<svg/>", None),
        ("text/html", PNG, None),
        ("IMAGE/JPG; q=1", b"", "image/jpeg"),
    ],
)
def test_the_type_comes_from_the_sender_or_else_from_the_bytes(mime: str, data: bytes, expected: str | None) -> None:
    assert shown_type(mime, data) == expected


async def test_another_projects_media_are_not_found(ada, eve, foreign) -> None:
    digest = await stored(foreign, "image/png", PNG)

    assert (await ada.problem(f"media/{digest}"))["code"] == "media_not_found"
    assert (await eve.problem(f"media/{digest}"))["status"] == 404


@pytest.mark.parametrize(("path", "code"), [("media/xyz", "bad_media_id"), (f"media/{'0' * 64}", "media_not_found")])
async def test_malformed_and_unknown_hashes_are_rejected(ada, path: str, code: str) -> None:
    assert (await ada.problem(path))["code"] == code
