"""The role that the functions of `search` run as. Applied by `migrate` after the schema.

`parlance_search` cannot log in, is nobody's group but perhaps the owner's, owns nothing but these
functions, and may select the columns that they read. It does not bypass row security (managed
services grant that attribute to nobody): a policy of its own shows it the rows of all companies in
these tables.

An owner that may neither create that role nor act for it keeps the functions to itself and gets the
policy. That opens no way that it did not have, since it may see every company anyway, but the
functions then run with more rights than they need. To change that, an administrator runs

    CREATE ROLE parlance_search NOLOGIN;
    GRANT parlance_search TO <owner> WITH INHERIT FALSE, SET TRUE;

before the next `migrate`.
"""

import sqlalchemy as sa
from parlance.api.db import search
from parlance.api.db.search import Search
from sqlalchemy.engine import Connection

ROLE = "parlance_search"


class UnsafeSearcher(Exception):
    """Somebody could read every company's rows by way of the role that searches."""

    def __init__(self, why: str) -> None:
        super().__init__(f"role {ROLE!r} cannot be the role that searches: {why}")
        self.why = why


def apply_rights(connection: Connection, app_role: str) -> str:
    """Give the functions to their role and let `app_role` execute them. Returns the role that they
    run as. Raises UnsafeSearcher."""
    role = _find_role(connection)
    if role == ROLE:
        _check_closed(connection, app_role)
    quote = connection.dialect.identifier_preparer.quote_identifier
    owner = _fetch_user(connection)
    for each in search.SEARCHES:
        if not _is_applied(connection, each, role):
            for statement in _plan_transfer(each, quote(role), quote(owner)):
                connection.exec_driver_sql(statement)
        # Only as the function's owner, whose rights a member without INHERIT has to take up.
        connection.exec_driver_sql(f"SET LOCAL ROLE {quote(role)}")
        connection.exec_driver_sql(
            f"GRANT EXECUTE ON FUNCTION public.{each.signature} TO {quote(app_role)}"
        )
        connection.exec_driver_sql("RESET ROLE")
    return role


def _find_role(connection: Connection) -> str:
    owner = _fetch_user(connection)
    if _fetch(connection, "SELECT 1 FROM pg_roles WHERE rolname = :role", role=ROLE) is None:
        if not _fetch(connection, _MAY_CREATE_ROLES):
            return owner
        connection.exec_driver_sql(f"CREATE ROLE {ROLE} NOLOGIN")
    is_member = "SELECT pg_has_role(current_user, :role, 'SET')"
    if _fetch(connection, is_member, role=ROLE):
        return ROLE
    if not _fetch(connection, _MAY_GRANT, role=ROLE):
        return owner
    connection.exec_driver_sql(f"GRANT {ROLE} TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")
    return ROLE


_MAY_CREATE_ROLES = "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
# Whoever creates a role may grant it, also to itself.
_MAY_GRANT = "SELECT pg_has_role(current_user, :role, 'MEMBER WITH ADMIN OPTION')"


def _check_closed(connection: Connection, app_role: str) -> None:
    is_open = "SELECT rolcanlogin OR rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = :role"
    if _fetch(connection, is_open, role=ROLE):
        raise UnsafeSearcher("it may log in, or do more than search")
    is_member = "SELECT pg_has_role(:app, :role, 'MEMBER')"
    if _fetch(connection, is_member, app=app_role, role=ROLE):
        raise UnsafeSearcher(f"role {app_role!r} is a member of it")


def _is_applied(connection: Connection, each: Search, role: str) -> bool:
    """Asked first, because changing a policy locks the table."""
    query = """
        SELECT pg_get_userbyid(proowner) = :role AND EXISTS (
            SELECT 1 FROM pg_policies
            WHERE schemaname = 'public' AND tablename = :table AND policyname = :policy
              AND roles = ARRAY[:role]::name[]
        ) FROM pg_proc WHERE oid = to_regprocedure(:signature)
    """
    return bool(
        _fetch(
            connection,
            query,
            role=role,
            table=each.table,
            policy=search.POLICY,
            signature=f"public.{each.signature}",
        )
    )


def _plan_transfer(each: Search, role: str, owner: str) -> list[str]:
    policy = f"{search.POLICY} ON {each.table}"
    statements = [
        f"DROP POLICY IF EXISTS {policy}",
        f"CREATE POLICY {policy} FOR SELECT TO {role} USING (true)",
    ]
    if role == owner:
        return statements
    return [
        *statements,
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"GRANT SELECT ({', '.join(each.columns)}) ON {each.table} TO {role}",
        # Only who may create in the schema can be given a function there.
        f"GRANT CREATE ON SCHEMA public TO {role}",
        f"ALTER FUNCTION {each.signature} OWNER TO {role}",
        f"REVOKE CREATE ON SCHEMA public FROM {role}",
    ]


def _fetch_user(connection: Connection) -> str:
    return str(_fetch(connection, "SELECT current_user"))


def _fetch(connection: Connection, query: str, **values: str) -> object:
    return connection.execute(sa.text(query), values).scalar_one_or_none()
