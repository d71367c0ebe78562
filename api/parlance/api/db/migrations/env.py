"""Alembic's entry: runs the versions on the connection that `db.migrate` hands over.

Everything happens in that connection's one transaction; a failed migration leaves nothing.
To write a new version: `python -m parlance.api revision "what changes"`.
"""

from alembic import context
from parlance.api.db import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.Table.metadata,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
