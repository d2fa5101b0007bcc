"""``ams audit verify``."""

import sys
from pathlib import Path

import click

from ams_local.commands.options import data_option
from ams_local.commands.running import running_identity
from ams_local.internal import InternalError


@click.group()
def audit() -> None:
    """Check the audit log."""


@audit.command()
@data_option
def verify(data: Path) -> None:
    """Verify the hash chains of the audit log. Exit code 1 when an entry was changed or removed."""
    client, _ = running_identity(data)
    try:
        report = client.verify_audit()
    except InternalError as error:
        click.echo(f"the audit log could not be verified: {error}", err=True)
        sys.exit(2)
    for fault in report["faults"]:
        click.echo(f"project {fault['project_id']}, entry {fault['seq']}: {fault['reason']}")
    click.echo(f"{report['entries']} entries of {report['projects']} chains verified, {len(report['faults'])} faults")
    sys.exit(1 if report["faults"] else 0)
