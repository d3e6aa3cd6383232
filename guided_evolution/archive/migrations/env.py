"""Alembic's entry: runs on the connection that `upgrade` hands over."""

from alembic import context

from guided_evolution.archive.tables import SQLModel

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
