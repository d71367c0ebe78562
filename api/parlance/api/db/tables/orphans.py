"""What the janitor remembers between its passes."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from parlance.api.db.tables import base
from parlance.api.db.tables.base import Table


class SuspectedOrphan(Table, table=True):
    """A subject that has objects in the store and no row here, and since when that is so.

    Kept in the database so that a database restored from a backup remembers nothing of what is
    newer than the backup, and the wait before the objects are deleted begins anew.
    """

    __tablename__: ClassVar[Any] = "suspected_orphans"

    company_id: uuid.UUID = base.company_column(primary_key=True)
    kind: str = base.kind_column()
    subject_id: uuid.UUID = base.subject_column()
    first_seen_at: datetime = base.created_column()
