"""The statements that released migrations run do not change."""

import pytest
from parlance.api.db import row_security


@pytest.mark.parametrize(("table", "column"), [("companies", "id"), ("calls", "company_id")])
def test_the_statements_are_those_of_the_first_release(table: str, column: str) -> None:
    company = f"{column} = (SELECT nullif(current_setting('app.company', true), '')::uuid)"
    system = "(SELECT current_setting('app.system', true)) = 'on'"

    assert row_security.build_statements(table, column) == [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own_company ON {table} USING ({company}) WITH CHECK ({company})",
        f"CREATE POLICY system ON {table} USING ({system}) WITH CHECK ({system})",
    ]
