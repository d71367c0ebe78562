"""The application role and its rights. Applied by `migrate` after the schema, every time.

Rights are derived from the tables, not kept in migrations: a forgotten grant on a new table would
otherwise be found in production. The role is the user of `PARLANCE_DATABASE_URL`, whatever its
name; it is created when it is missing and the owner may create roles.
"""

import urllib.parse

import sqlalchemy as sa
from parlance.api.db import searcher, tables
from sqlalchemy.engine import Connection

DEFAULT_ROLE = "parlance_app"

_READ_AND_ADD_ONLY = frozenset({tables.AuditEntry.__tablename__})
_COMPANY_COLUMNS = ("name", "trackers", "time_zone")
"""What may change of a company; its slug is on the bus, in keys and in custom resources."""


class UnsafeRole(Exception):
    """The application role could step over row security."""

    def __init__(self, role: str, why: str) -> None:
        super().__init__(f"role {role!r} cannot be the application role: {why}")
        self.role = role


def apply_rights(connection: Connection, app_url: str) -> str:
    """Make sure that the role is there, is bound by row security and has its grants, also on what
    `searcher` sets up. Returns its name. Raises UnsafeRole, UnsafeSearcher."""
    role, password = parse_login(app_url)
    if not _role_exists(connection, role):
        _create_role(connection, role, password)
    _check_bound(connection, role)
    for statement in _plan_grants(_quote(connection, role)):
        connection.execute(sa.text(statement))
    searcher.apply_rights(connection, role)
    return role


def parse_login(url: str) -> tuple[str, str | None]:
    """User and password of a libpq address."""
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qs(parts.query)
    user = urllib.parse.unquote(parts.username or "") or query.get("user", [DEFAULT_ROLE])[0]
    password = urllib.parse.unquote(parts.password or "") or query.get("password", [""])[0]
    return user, password or None


def _role_exists(connection: Connection, role: str) -> bool:
    query = sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role")
    return connection.execute(query, {"role": role}).one_or_none() is not None


def _create_role(connection: Connection, role: str, password: str | None) -> None:
    secret = ""
    if password is not None:
        # DDL takes no parameters; the server quotes the literal itself.
        quoted = connection.execute(sa.text("SELECT quote_literal(:p)"), {"p": password}).scalar()
        secret = f" PASSWORD {quoted}"
    name = _quote(connection, role)
    connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN NOSUPERUSER NOBYPASSRLS{secret}")


def _check_bound(connection: Connection, role: str) -> None:
    query = sa.text(
        "SELECT rolsuper, rolbypassrls,"
        " EXISTS (SELECT 1 FROM pg_tables"
        "         WHERE schemaname = current_schema() AND tableowner = :role)"
        " FROM pg_roles WHERE rolname = :role"
    )
    is_super, bypasses, owns = connection.execute(query, {"role": role}).one()
    if is_super or bypasses:
        raise UnsafeRole(role, "row security does not bind it")
    if owns:
        raise UnsafeRole(role, "it owns the tables and could switch row security off")


def _plan_grants(role: str) -> list[str]:
    grants = [f"GRANT USAGE ON SCHEMA public TO {role}"]
    for table in tables.Table.metadata.sorted_tables:
        name = table.name
        grants.append(f"REVOKE ALL ON {name} FROM {role}")
        if name in _READ_AND_ADD_ONLY:
            grants.append(f"GRANT SELECT, INSERT ON {name} TO {role}")
        elif name == tables.Company.__tablename__:
            grants.append(f"GRANT SELECT, INSERT ON {name} TO {role}")
            grants.append(f"GRANT UPDATE ({', '.join(_COMPANY_COLUMNS)}) ON {name} TO {role}")
        else:
            grants.append(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {role}")
    return grants


def _quote(connection: Connection, role: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(role)
