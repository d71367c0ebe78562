"""Row security as statements, for migrations: each one that makes a table calls `protect`.

How sessions say whose rows they see is in `session`. Released migrations run these statements too,
so the text here never changes (`tests/unit/api/db` pins it); another rule gets a function of its
own.
"""

from alembic import op


def protect(table: str, column: str = "company_id") -> None:
    """Switch row security on for a new table whose `column` holds the id of the row's company."""
    for statement in build_statements(table, column):
        op.execute(statement)


def build_statements(table: str, column: str) -> list[str]:
    """Row security, for the owner too. The sub-selects are evaluated once per query, so that the
    comparison stays a condition of the index."""
    company = f"{column} = (SELECT nullif(current_setting('app.company', true), '')::uuid)"
    system = "(SELECT current_setting('app.system', true)) = 'on'"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own_company ON {table} USING ({company}) WITH CHECK ({company})",
        f"CREATE POLICY system ON {table} USING ({system}) WITH CHECK ({system})",
    ]
