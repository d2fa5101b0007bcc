"""``ams-trace-ingest intake | projector | migrate [--plan] | dead list [PROJECT] | dead show PLACE | dead replay PLACE... | replay``.

Each command imports what it needs when it is given: ``migrate`` answers in a tenth of a second when there is nothing to do, and what
intake and projector import takes a second.
"""

import asyncio
import importlib
import os
import sys

from ams_kit.migration_plan import plan_text, read_versions
from ams_kit.settings import SettingsError, load
from ams_trace_ingest.migrations.check import VERSIONS, head, stored_revision
from ams_trace_ingest.settings import DeadSettings, IntakeSettings, MigrateSettings, ProjectorSettings

USAGE = "usage: ams-trace-ingest intake | projector | migrate [--plan] | dead list [PROJECT] | dead show PLACE | dead replay PLACE... | replay [--help]\n"


def main(argv: list[str] | None = None) -> None:
    """Run a command of the service."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        _run(arguments)
    except SettingsError as error:
        sys.stderr.write(f"{' '.join(['ams-trace-ingest', *arguments[:1]])}: {error}\n")
        raise SystemExit(2) from None


def _run(arguments: list[str]) -> None:
    match arguments:
        case ["intake"]:
            intake = load(IntakeSettings, os.environ)
            make_intake = importlib.import_module("ams_trace_ingest.app").make_intake
            _serve("intake", lambda: make_intake(intake), intake)
        case ["projector"]:
            projector = load(ProjectorSettings, os.environ)
            make_projector = importlib.import_module("ams_trace_ingest.projector.consume").make_projector
            _serve("projector", lambda: make_projector(projector), projector)
        case ["migrate"]:
            migrate(load(MigrateSettings, os.environ).database_url)
        case ["migrate", "--plan"]:
            stored = asyncio.run(stored_revision(load(MigrateSettings, os.environ).database_url))
            sys.stdout.write(plan_text("traces database", read_versions(VERSIONS), stored))
        case ["dead", *words]:
            settings = load(DeadSettings, os.environ)
            dead = importlib.import_module("ams_trace_ingest.dead_letter_cli")
            try:
                sys.stdout.write(asyncio.run(dead.run(settings.database_url, settings.kafka if settings.kafka_bootstrap else None, words)))
            except dead.NoSuchLetterError as error:
                sys.stderr.write(f"{error}\n")
                raise SystemExit(2) from None
        case ["replay", *words]:
            if code := importlib.import_module("ams_trace_ingest.replay.command").run(words):
                raise SystemExit(code)
        case _:
            sys.stderr.write(USAGE)
            raise SystemExit(2)


def _serve(name: str, make_app: object, settings: IntakeSettings | ProjectorSettings) -> None:
    run = importlib.import_module("ams_kit.service").run
    run(name, make_app, host=settings.host, port=settings.port, log_level=settings.log_level, otel=settings.otel)


def migrate(url: str) -> None:
    """Bring the traces database up to date. When it is, alembic is not even imported: that alone takes longer than the question.

    A database that a later release has migrated stays as it is: this release runs on it (a rollback).
    """
    if (asyncio.run(stored_revision(url)) or "") < head():
        asyncio.run(importlib.import_module("ams_trace_ingest.migrations.upgrade").upgrade(url))


if __name__ == "__main__":
    main()
