"""``python -m ams_kit.create_databases``: creates the databases and login roles. Each service's migrations create its tables afterwards.

Reads ``AMS_DATABASE_URL``, of a role that may create roles and databases, and ``PASSWORD_<role>`` for each role.
"""

import asyncio
import os

import asyncpg

# database -> its owner; the owner is also the role that migrates it
DATABASES = {"ams_identity": "ams_identity", "ams_traces": "ams_owner"}
PASSWORD_PREFIX = "PASSWORD_"  # noqa: S105  the name of a variable


async def ensure_databases(url: str, passwords: dict[str, str]) -> None:
    """Make roles and databases that are missing, and set the roles' passwords to those of this installation.

    Args:
        url: Of a role that may create both.
        passwords: By role.
    """
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("select pg_advisory_lock(hashtext('ams: databases'))")
        known = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
        for role, password in passwords.items():
            quoted = await connection.fetchval("select format('%I login password %L', $1::text, $2::text)", role, password)
            await connection.execute(f"{'alter' if role in known else 'create'} role {quoted}")
        there = {row["datname"] for row in await connection.fetch("select datname from pg_database")}
        for database, owner in DATABASES.items():
            if database not in there:
                await connection.execute(f'grant "{owner}" to current_user')
                await connection.execute(f'create database "{database}" owner "{owner}" encoding \'UTF8\' template template0')
            await connection.execute(f'revoke all on database "{database}" from public')
            for role in passwords if database == "ams_traces" else ():
                if role not in ("ams_identity", owner):
                    await connection.execute(f'grant connect, temporary on database "{database}" to "{role}"')
    finally:
        await connection.close()


AUDIT_ROLE = "ams_audit"  # nobody signs in as it: it owns the audit log, so that the role which writes entries cannot change them
AUDIT_TABLES = {
    "audit": "select, insert",
    "audit_chain": "select, insert",
    "audit_checkpoints": "select, insert",
    "audit_addresses": "select, insert, delete",
}


async def restrict_audit(url: str, *, database: str = "ams_identity", writer: str = "ams_identity") -> None:
    """Give the audit log of identity to ``ams_audit``, and leave identity's role the privileges to add and read. Runs after the migrations; idempotent.

    Args:
        url: Of a role that may create roles.
        database: Identity's.
        writer: The role that identity connects as.
    """
    connection = await asyncpg.connect(url, database=database, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtext('ams: databases'))")
            if not await connection.fetchval("select exists (select from pg_roles where rolname = $1)", AUDIT_ROLE):
                await connection.execute(f"create role {AUDIT_ROLE} nologin")
            await connection.execute(f"grant {AUDIT_ROLE} to current_user")
            # the owner of a schema may drop every table in it
            await connection.execute(f"alter schema public owner to {AUDIT_ROLE}")
            await connection.execute(f'grant usage, create on schema public to "{writer}"')
            for table, privileges in AUDIT_TABLES.items():
                await connection.execute(f"alter table {table} owner to {AUDIT_ROLE}")
                await connection.execute(f'revoke all on {table} from "{writer}"')
                await connection.execute(f'grant {privileges} on {table} to "{writer}"')
            await connection.execute(f"alter function audit_expire(timestamptz) owner to {AUDIT_ROLE}")
            await connection.execute(f"alter function audit_refuse_change() owner to {AUDIT_ROLE}")
            await connection.execute(f'grant execute on function audit_expire(timestamptz) to "{writer}"')
    finally:
        await connection.close()


def restrict(_: list[str] | None = None) -> None:
    """Run ``restrict_audit``."""
    asyncio.run(restrict_audit(os.environ["AMS_DATABASE_URL"]))


def main(_: list[str] | None = None) -> None:
    """Run the job; see the module."""
    passwords = {name.removeprefix(PASSWORD_PREFIX): value for name, value in os.environ.items() if name.startswith(PASSWORD_PREFIX)}
    asyncio.run(ensure_databases(os.environ["AMS_DATABASE_URL"], passwords))


if __name__ == "__main__":
    main()
