"""``ams doctor``: why no traces appear, and what to do."""

import os
import platform as machine
import sys
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, entry_points
from importlib.metadata import version as version_of
from typing import Literal
from urllib.parse import urlsplit

import click
import httpx
import msgspec
from msgspec import Struct

from ams.cli.platform import FAILED, Platform, PlatformError, checked, endpoint_of, make_client
from ams.cli.reading import as_json
from ams.cli.spool import list_spool
from ams.setting_sources import read_settings
from ams.settings import SdkSettings
from ams.version import __version__

SKEW_SECONDS_MAX = 5.0
LATEST_PYTHON = (3, 14)
GRPC_PORT = 4317
FULL_SHARE = 0.8
Level = Literal["ok", "note", "fail"]


class Finding(Struct, kw_only=True):
    """One check: what it found, and what to do about it."""

    level: Level
    about: str
    found: str
    advice: str = ""


class _Grant(Struct):
    project_id: str
    scopes: list[str]


class _Health(Struct):
    status: str
    services: dict[str, str]


@click.command()
@click.option("--json", "json_lines", is_flag=True, help="A line of JSON for each check.")
@click.option("--endpoint", help="The address of AMS; by default AMS_ENDPOINT.")
@click.option("--api-key", help="The agent's key; by default AMS_API_KEY.")
def doctor(*, json_lines: bool, endpoint: str | None, api_key: str | None) -> None:
    """Check address, key, protocol, clock, versions, instrumentations and the spool, and say what to do. The exit code is 1 when something is broken."""
    failed = False
    for finding in examine(endpoint, api_key, os.environ):
        failed = failed or finding.level == "fail"
        if json_lines:
            click.echo(as_json(finding))
            continue
        mark, colour = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "fail": ("FAIL", "red")}[finding.level]
        click.echo(f"{click.style(mark, fg=colour)} {finding.about}: {finding.found}")
        if finding.advice:
            click.echo(f"     {finding.advice}")
    sys.exit(FAILED if failed else 0)


def examine(endpoint: str | None, api_key: str | None, environment: Mapping[str, str]) -> Iterator[Finding]:
    """All checks, in the order in which a person would make them."""
    yield Finding(level="ok", about="versions", found=f"ams-tracing {__version__}, Python {machine.python_version()}")
    yield from _opentelemetry(environment)
    yield from examine_spool(read_settings(transport="console") or SdkSettings())
    try:
        address = endpoint_of(endpoint)
    except PlatformError as error:
        yield Finding(level="fail", about="address", found=str(error), advice="Set AMS_ENDPOINT.")
        return
    reached = yield from _platform(address)
    if reached:
        yield from _key(address, (api_key or environment.get("AMS_API_KEY", "")).strip())


def examine_spool(settings: SdkSettings) -> Iterator[Finding]:
    """What programs left on disk, whether there is room, and whether it can be written."""
    root, rows = list_spool(settings)
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    if not os.access(nearest, os.W_OK):
        advice = "Set AMS_SPOOL_DIR to a directory that the agent may write to, or AMS_SPOOL=off."
        yield Finding(level="fail", about="spool", found=f"{nearest} cannot be written", advice=advice)
        return
    waiting = [row for row in rows if not row["in_use"] and row["items"]]
    for own, command in ((True, "ams flush"), (False, "ams flush --other-keys")):
        left = [row for row in waiting if row["this_key"] is own]
        if left:
            whose = "" if own else " of other keys or endpoints"
            found = f"{sum(row['items'] for row in left):,} events{whose} wait in {root}, the oldest for {max(row['age_seconds'] for row in left):,} s"
            yield Finding(level="note", about="spool", found=found, advice=f"The next program with that key sends them, or: {command}")
    if damaged := sum(row["damaged"] for row in rows):
        advice = "They are skipped, the rest is sent. A full disk or a power cut leaves them."
        yield Finding(level="note", about="spool", found=f"{damaged} places in {root} are damaged", advice=advice)
    size = sum(row["bytes"] for row in rows)
    if size > settings.spool_bytes_max * FULL_SHARE:
        advice = "The oldest events will be dropped. Bring the platform back, or raise AMS_SPOOL_BYTES_MAX."
        yield Finding(level="note", about="spool", found=f"{size:,} of {settings.spool_bytes_max:,} bytes are used", advice=advice)
    if not waiting:
        yield Finding(level="ok", about="spool", found=f"nothing waits in {root}")


def _platform(address: str) -> Iterator[Finding]:
    with make_client(address) as http:
        try:
            answer = checked(lambda: http.get("/api/health"), address)
            health = msgspec.json.decode(answer.content, type=_Health)
        except PlatformError as error:
            yield Finding(level="fail", about="address", found=str(error), advice=_advice_for(address))
            return False
        except msgspec.MsgspecError:
            yield Finding(level="fail", about="address", found=f"{address} answers, but is no AMS platform.", advice="Check AMS_ENDPOINT.")
            return False
    down = sorted(name for name, state in health.services.items() if state != "ok")
    if down:
        yield Finding(
            level="fail", about="platform", found=f"{', '.join(down)} is down at {address}", advice="See 'ams status' and 'ams logs'."
        )
    else:
        yield Finding(level="ok", about="platform", found=f"{address} is up")
    yield _clock(answer)
    return True


def _clock(answer: httpx.Response) -> Finding:
    try:
        skew = time.time() - parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return Finding(level="note", about="clock", found="the platform sends no time to compare with")
    if abs(skew) <= SKEW_SECONDS_MAX:
        return Finding(level="ok", about="clock", found="agrees with the platform within 5 s")
    side = "ahead of" if skew > 0 else "behind"
    found = f"this machine is {abs(skew):.0f} s {side} the platform"
    return Finding(level="note", about="clock", found=found, advice="Steps will appear at wrong times. Synchronise the clock.")


def _key(address: str, key: str) -> Iterator[Finding]:
    if not key:
        yield Finding(level="fail", about="key", found="AMS_API_KEY is not set", advice=f"Create a key at {address} under API keys.")
        return
    try:
        answer = Platform(address, key).request("POST", "/api/auth/token", content=msgspec.json.encode({"api_key": key}))
    except PlatformError as error:
        yield Finding(level="fail", about="key", found=str(error))
        return
    grant = msgspec.json.decode(answer.content, type=_Grant)
    if "ingest" in grant.scopes:
        yield Finding(level="ok", about="key", found=f"sends steps to project {grant.project_id}")
    else:
        advice = "Create a key with the scope ingest for the agent."
        yield Finding(level="fail", about="key", found=f"has the scope {', '.join(grant.scopes)} and cannot send steps", advice=advice)


def _opentelemetry(environment: Mapping[str, str]) -> Iterator[Finding]:
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    address = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or ""
    if protocol == "grpc" and address and urlsplit(address).port != GRPC_PORT:
        advice = (
            f"AMS takes gRPC on port {GRPC_PORT}, or on that of --otlp-grpc-port. Elsewhere set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf."
        )
        yield Finding(level="note", about="OpenTelemetry", found="the exporter uses gRPC", advice=advice)
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield Finding(level="fail", about="OpenTelemetry", found="OTEL_SDK_DISABLED=true: no span is made", advice="Unset it.")
    if environment.get("OTEL_TRACES_SAMPLER", "").endswith("always_off"):
        yield Finding(level="fail", about="OpenTelemetry", found="OTEL_TRACES_SAMPLER leaves out every span", advice="Unset it.")
    found = sorted({entry.name for entry in entry_points(group="opentelemetry_instrumentor")})
    if found:
        yield Finding(level="ok", about="instrumentations", found=", ".join(found))
    else:
        advice = "Only steps of the SDK, and spans that your framework makes itself, are seen."
        yield Finding(level="note", about="instrumentations", found="none is installed", advice=advice)
    if found and not _has("opentelemetry-distro"):
        advice = "opentelemetry-instrument needs it: pip install opentelemetry-distro"
        yield Finding(level="note", about="OpenTelemetry", found="opentelemetry-distro is not installed", advice=advice)


def _has(distribution: str) -> bool:
    try:
        version_of(distribution)
    except PackageNotFoundError:
        return False
    return True


def _advice_for(address: str) -> str:
    if "localhost" in address or "127.0.0.1" in address:
        return "Start it with ./ams up. In a container, localhost is the container: use the host's address."
    return "Check AMS_ENDPOINT, and HTTPS_PROXY and NO_PROXY if there is a proxy."
