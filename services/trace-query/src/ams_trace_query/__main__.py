"""``ams-trace-query serve`` | ``ams-trace-query openapi FILE``."""

import os
import sys
from pathlib import Path

import msgspec

from ams_kit.service import run
from ams_kit.settings import read_settings
from ams_trace_query.app import SERVICE, make_app
from ams_trace_query.settings import Settings

USAGE = "usage: ams-trace-query serve | ams-trace-query openapi FILE\n"


def main(argv: list[str] | None = None) -> None:
    """Run a command of the service."""
    arguments = sys.argv[1:] if argv is None else argv
    match arguments:
        case ["serve"]:
            settings = read_settings(Settings, os.environ, SERVICE)
            run(
                SERVICE,
                lambda: make_app(settings),
                host=settings.host,
                port=settings.port,
                log_level=settings.log_level,
                otel=settings.otel,
            )
        case ["openapi", file]:
            Path(file).write_text(openapi_text(), encoding="utf-8")
        case _:
            sys.stderr.write(USAGE)
            raise SystemExit(2)


def openapi_text() -> str:
    """The OpenAPI document in the form that is committed under ``contracts/openapi``."""
    settings = Settings(public_url="http://localhost:8080", database_url="-", redis_url="-", service_secret="-", identity_url="-")  # noqa: S106  opens nothing
    document = msgspec.json.encode(make_app(settings).openapi_schema.to_schema(), order="deterministic")
    return msgspec.json.format(document, indent=2).decode() + "\n"


if __name__ == "__main__":
    main()
