"""`bootstrap` on a real Postgres: repeatable, secrets once."""

import dataclasses
import pathlib
import stat

import pytest
import sqlalchemy as sa
from parlance.api import bootstrap
from parlance.api.bootstrap import Spec
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.identity import keys, passwords
from parlance.api.identity.scopes import Scope
from parlance.runtime.clock import SystemClock

from tests.integration.api_db import support

SPEC = Spec(company="Acme Corp", admin_email="Boss@Acme.example", agents=(("Ann", "EXT-456"),))


def read_variables(path: pathlib.Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


async def test_first_run_makes_company_admin_agents_and_key(database: Database) -> None:
    outcome = await bootstrap.bootstrap(database, SPEC)

    principal = await keys.KeyRing(database, SystemClock()).verify_key(outcome.api_key or "")
    assert principal.company_slug == "acme-corp"
    assert principal.has_scope(Scope.CALLS_WRITE)
    async with database.system_session() as transaction:
        users = {user.role: user for user in await transaction.scalars(sa.select(tables.User))}
    admin, agent = users[tables.UserRole.ADMIN], users[tables.UserRole.AGENT]
    assert admin.email == "boss@acme.example"
    assert passwords.is_password_right(admin.password_hash, outcome.admin_password or "")
    assert outcome.agents == {"EXT-456": str(agent.id)}


async def test_second_run_changes_nothing_and_shows_no_secret(database: Database) -> None:
    first = await bootstrap.bootstrap(database, SPEC)
    second = await bootstrap.bootstrap(database, SPEC)

    assert second == dataclasses.replace(first, is_new=False, admin_password=None, api_key=None)
    assert await support.count_rows(database, tables.ApiKey) == 1
    assert await support.count_rows(database, tables.User) == 2


async def test_rotate_replaces_the_key(database: Database) -> None:
    first = await bootstrap.bootstrap(database, SPEC)
    second = await bootstrap.bootstrap(database, dataclasses.replace(SPEC, is_rotating=True))

    ring = keys.KeyRing(database, SystemClock())
    assert await ring.verify_key(second.api_key or "")
    with pytest.raises(keys.InvalidKey):
        await ring.verify_key(first.api_key or "")


async def test_the_file_keeps_other_lines_and_is_ours_alone(
    database: Database, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "parlance.env"
    file.write_text("PARLANCE_URL=http://127.0.0.1:8000\nPARLANCE_API_KEY=old\n")
    outcome = await bootstrap.bootstrap(database, dataclasses.replace(SPEC, env_file=file))

    variables = read_variables(file)
    assert variables["PARLANCE_URL"] == "http://127.0.0.1:8000"
    assert variables["PARLANCE_API_KEY"] == outcome.api_key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_with_a_working_file_nothing_changes(
    database: Database, tmp_path: pathlib.Path
) -> None:
    spec = dataclasses.replace(SPEC, env_file=tmp_path / "parlance.env")
    await bootstrap.bootstrap(database, spec)
    before = (tmp_path / "parlance.env").read_text()
    again = await bootstrap.bootstrap(database, spec)

    assert again.api_key is None
    assert (tmp_path / "parlance.env").read_text() == before


async def test_a_lost_file_is_made_again_with_new_secrets(
    database: Database, tmp_path: pathlib.Path
) -> None:
    spec = dataclasses.replace(SPEC, env_file=tmp_path / "parlance.env")
    await bootstrap.bootstrap(database, spec)
    (tmp_path / "parlance.env").unlink()
    again = await bootstrap.bootstrap(database, spec)

    assert await keys.KeyRing(database, SystemClock()).verify_key(again.api_key or "")


@pytest.mark.parametrize(
    ("name", "slug"), [("Acme Corp.", "acme-corp"), ("  Ümlaut & Co  ", "mlaut-co"), ("A", "a")]
)
def test_slug_of_a_name(name: str, slug: str) -> None:
    assert bootstrap.derive_slug(name) == slug
