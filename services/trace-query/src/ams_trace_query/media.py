"""Media that messages refer to by the hash of their bytes: images, audio, video and files."""

from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from sqlalchemy import ColumnElement, false, select

from ams_contracts.claims import Access
from ams_contracts.tables import media, task_media
from ams_kit.auth import SHARED, Shared, SharePrincipal, visitor_of
from ams_trace_query.context import context_of
from ams_trace_query.openapi import PROBLEMS
from ams_trace_query.parameters import hex_id, not_found, read_parameters, with_parameters

CACHE_SECONDS = 3_600  # the bytes of a hash do not change, but the task that refers to them may be deleted
DOWNLOAD = "application/octet-stream"

# Types that a browser may display. Everything else is a download: an HTML or SVG document would run scripts with this site's origin.
SHOWN = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/flac": "flac",
    "audio/webm": "weba",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/ogg": "ogv",
}
_SYNONYMS = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/m4a": "audio/mp4",
}
_SIGNATURES = (  # offset, bytes, type
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftyp", "video/mp4"),
)


def shown_type(mime: str, data: bytes) -> str | None:
    """The content type of media that a browser may display; ``None`` for a download.

    Args:
        mime: The type from the sender; ``image/*`` and the like when the sender did not know the subtype.
        data: The bytes.
    """
    named = mime.partition(";")[0].strip().lower()
    named = _SYNONYMS.get(named, named)
    if named in SHOWN:
        return named
    if not named.endswith("/*") and named != DOWNLOAD:
        return None
    return next((kind for start, signature, kind in _SIGNATURES if data[start : start + len(signature)] == signature), None)


_OK = ResponseSpec(
    bytes,
    generate_examples=False,
    description="The bytes. Images, audio and video have their content type; everything else is a download.",
    media_type=DOWNLOAD,  # type: ignore[arg-type]  # any media type is fine
)


@get(
    "/media/{sha256:str}",
    operation_class=with_parameters(),
    operation_id="getMedia",
    responses={**PROBLEMS, 200: _OK},
    opt={SHARED: Shared.CHECKED},
    response_headers=[ResponseHeader(name="Content-Disposition", value="", documentation_only=True)],
)
async def get_media(request: Request[Any, Any, Any], access: NamedDependency[Access], sha256: FromPath[str]) -> Response[bytes]:
    """Read an image, audio, video or file that a message refers to by its SHA-256."""
    read_parameters(request, ())
    digest = hex_id(sha256, 64, "media")
    statement = select(media.c.mime, media.c.data).where(*_readable(visitor_of(request), access.project_id, digest)).limit(1)
    async with context_of(request).database.read(access.project_id) as reader:
        row = await reader.row(statement)
    if row is None:
        raise not_found("media")
    data: bytes = row["data"]
    shown = shown_type(row["mime"], data)
    name = f"{digest[:16]}.{SHOWN[shown] if shown is not None else 'bin'}"
    return Response(
        data,
        media_type=shown or DOWNLOAD,
        headers={
            "Content-Disposition": f'{"attachment" if shown is None else "inline"}; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": f"private, max-age={CACHE_SECONDS}",
            "ETag": f'"{digest}"',
        },
    )


def _readable(visitor: SharePrincipal | None, project_id: str, digest: str) -> list[ColumnElement[bool]]:
    """The conditions for media of a project; for the visitor of a public link, of its task alone."""
    mine = [media.c.project_id == project_id, media.c.sha256 == digest]
    if visitor is None:
        return mine
    if not visitor.payloads:
        return [false()]
    of_task = select(task_media.c.sha256).where(
        task_media.c.project_id == project_id, task_media.c.sha256 == digest, task_media.c.task_id == visitor.task_id
    )
    return [*mine, of_task.exists()]
