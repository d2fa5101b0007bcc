"""The MIME type of a file whose sender names none."""

from typing import Any

from ams_trace_ingest.mapping.media import ANY_BYTES

_BINARY_FORMATS = {"wav": "audio", "mp3": "audio", "flac": "audio", "opus": "audio", "ogg": "audio", "pcm16": "audio", "aac": "audio"}


def mime_of(kind: str, extension: Any) -> str:
    """The MIME type by what the part calls itself; ``image/*`` when only that is known."""
    extension = extension if isinstance(extension, str) and extension.isalnum() else None
    for family in ("image", "audio", "video"):
        if family in kind:
            return f"{family}/{extension.lower() if extension else '*'}"
    if extension is None:
        return ANY_BYTES
    if extension.lower() in _BINARY_FORMATS:
        return f"audio/{extension.lower()}"
    return "application/pdf" if extension.lower() == "pdf" else ANY_BYTES


_MIME_BY_EXTENSION = {
    "pdf": "application/pdf",
    "json": "application/json",
    "csv": "text/csv",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
}


def mime_by_name(name: Any) -> str | None:
    """The MIME type by the ending of a file's name or address."""
    if not isinstance(name, str):
        return None
    return _MIME_BY_EXTENSION.get(name.partition("?")[0].rpartition(".")[2].lower())
