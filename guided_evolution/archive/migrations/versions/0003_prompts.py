"""What a proposal's prompt is made of, and when its work began"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("proposal", schema=None) as batch_op:
        batch_op.add_column(sa.Column("material", sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column("started_at", sa.Float(), nullable=True))
