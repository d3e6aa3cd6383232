"""Workers on other machines: their own counts, the version that drives a run, text of any length"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("worker", schema=None) as batch_op:
        batch_op.alter_column(
            "started", type_=sa.BigInteger(), existing_type=sa.Integer(), existing_nullable=False
        )
        batch_op.add_column(sa.Column("ended_at", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("done", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("failed", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("per_minute", sa.Float(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("note", sa.Text(), nullable=True))
    with op.batch_alter_table("lease", schema=None) as batch_op:
        batch_op.alter_column(
            "started", type_=sa.BigInteger(), existing_type=sa.Integer(), existing_nullable=True
        )
        batch_op.add_column(sa.Column("version", sa.String(), nullable=True))
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.alter_column("reason", type_=sa.Text(), existing_type=sa.String(), existing_nullable=True)
