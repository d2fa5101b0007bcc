"""A process of ``ams_kit.service`` with one route, for test_own_telemetry: ``python observed_process.py [ENDPOINT]``. Its route says what it imported."""

import sys

from litestar import Litestar, get

from ams_kit.background import Background
from ams_kit.http.app import make_application
from ams_kit.otel_settings import OtelSettings
from ams_kit.service import run


@get("/modules", opt={"public": True}, sync_to_thread=False)
def modules() -> list[str]:
    return sorted(name for name in sys.modules if name.startswith("ams_kit.telemetry.otel"))


def make_app() -> Litestar:
    return make_application(title="Probe", openapi_path="/openapi", route_handlers=[modules], checks={}, background=Background())


if __name__ == "__main__":
    endpoint = sys.argv[2:]
    otel = OtelSettings(endpoint=endpoint[0], headers={}, sample_ratio=1.0, public_url="http://ams.example.com") if endpoint else None
    run("probe", make_app, host="127.0.0.1", port=int(sys.argv[1]), otel=otel)
