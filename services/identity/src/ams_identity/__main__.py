"""``ams-identity serve | migrate [--plan] | rotate-keys``."""

import asyncio
import os
import sys

from ams_identity.app import SERVICE, make_app
from ams_identity.migrations.run import VERSIONS, migrate, revision_of
from ams_identity.rotate_keys import rotate_keys
from ams_identity.settings import MigrateSettings, Settings
from ams_kit.migration_plan import plan_text, read_versions
from ams_kit.service import run
from ams_kit.settings import read_settings
from ams_kit.telemetry.logs import configure_logging

USAGE = "usage: ams-identity serve | migrate [--plan] | rotate-keys\n"
EXIT_USAGE = 2


def main(argv: list[str] | None = None) -> None:
    """Run the service, migrate the database to the newest revision, or rotate the signing keys of the service that runs on this port."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments == ["serve"]:
        settings = read_settings(Settings, os.environ, SERVICE)
        run(SERVICE, lambda: make_app(settings), host=settings.host, port=settings.port, log_level=settings.log_level, otel=settings.otel)
    elif arguments == ["migrate"]:
        settings = read_settings(MigrateSettings, os.environ, SERVICE)
        configure_logging(SERVICE, settings.log_level)
        migrate(settings.database_url)
    elif arguments == ["migrate", "--plan"]:
        stored = asyncio.run(revision_of(read_settings(MigrateSettings, os.environ, SERVICE).database_url))
        sys.stdout.write(plan_text("identity database", read_versions(VERSIONS), stored))
    elif arguments == ["rotate-keys"]:
        settings = read_settings(Settings, os.environ, SERVICE)
        raise SystemExit(rotate_keys(settings.port, settings.service_secret))
    else:
        sys.stderr.write(USAGE)
        raise SystemExit(EXIT_USAGE)


if __name__ == "__main__":
    main()
