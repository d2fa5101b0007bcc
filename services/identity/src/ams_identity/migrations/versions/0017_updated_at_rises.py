"""Users: every change moves ``updated_at`` forward, also when the clock was set back or did not move between two changes."""

from alembic import op

revision = "0017"
down_revision = "0016"

FUNCTION = """
create or replace function set_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := greatest(clock_timestamp(), old.updated_at{step});
    return new;
end $$
"""


def upgrade() -> None:
    op.execute(FUNCTION.format(step=" + interval '1 microsecond'"))


def downgrade() -> None:
    op.execute(FUNCTION.format(step=""))
