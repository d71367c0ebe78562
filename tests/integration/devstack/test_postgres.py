"""The Postgres server: password login over TCP, committed rows that outlive a crash, no orphans."""

import asyncio
import pathlib
import subprocess
import sys

import asyncpg
import pytest

from devstack import guard, postgres, waiting

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Opens a server with a session on it, and then waits to be killed.
PARENT = """
import asyncio, pathlib, sys
import asyncpg
from devstack import postgres
async def main():
    async with postgres.open_postgres(pathlib.Path(sys.argv[1])) as server:
        client = await asyncpg.connect(server.admin_dsn)
        print(server.process.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_committed_rows_outlive_a_crash(tmp_path: pathlib.Path) -> None:
    async with postgres.open_postgres(tmp_path) as server:
        client = await asyncpg.connect(server.admin_dsn)
        await client.execute("CREATE TABLE words (word text)")
        await client.execute("INSERT INTO words VALUES ('one')")

        await server.process.kill()
        client.terminate()
        await server.process.start()

        client = await asyncpg.connect(server.admin_dsn)
        assert await client.fetchval("SELECT word FROM words") == "one"
        await client.close()


async def test_rows_and_password_outlive_the_server(tmp_path: pathlib.Path) -> None:
    async with postgres.open_postgres(tmp_path) as server:
        client = await asyncpg.connect(server.admin_dsn)
        await client.execute("CREATE TABLE words (word text)")
        await client.close()
        password = server.admin_password

    async with postgres.open_postgres(tmp_path) as server:
        client = await asyncpg.connect(server.admin_dsn)
        assert await client.fetchval("SELECT count(*) FROM words") == 0
        await client.close()
        assert server.admin_password == password


async def test_an_ordinary_role_logs_in_with_its_password(tmp_path: pathlib.Path) -> None:
    async with postgres.open_postgres(tmp_path, is_durable=False) as server:
        admin = await asyncpg.connect(server.admin_dsn)
        await admin.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
        await admin.close()

        client = await asyncpg.connect(server.format_dsn("app", "right", "postgres"))

        assert await client.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = user") is False
        await client.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.format_dsn("app", "wrong", "postgres"))


async def test_it_runs_from_below_a_private_home(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    programs = home / "bin"
    programs.symlink_to(postgres.find_programs_folder())
    monkeypatch.setattr(postgres, "find_programs_folder", lambda: programs)

    async with postgres.open_postgres(home / "state", is_durable=False) as server:
        client = await asyncpg.connect(server.admin_dsn)
        assert await client.fetchval("SELECT 1") == 1
        await client.close()


async def test_nothing_is_left_running_though_a_session_is_open(tmp_path: pathlib.Path) -> None:
    async with postgres.open_postgres(tmp_path, is_durable=False) as server:
        client = await asyncpg.connect(server.admin_dsn)
        family = guard.list_family(server.process.pid)

    client.terminate()
    assert len(family) > 5
    assert not guard.list_living(family)


async def test_it_ends_when_its_parent_is_killed(tmp_path: pathlib.Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path)), cwd=ROOT, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    family = guard.list_family(int(await parent.stdout.readline()))
    assert len(family) > 5

    parent.kill()
    await parent.wait()

    await waiting.wait_until(lambda: not guard.list_living(family), 15, "Postgres has ended")
    log = (tmp_path / "postgres.log").read_text()
    assert "database system is shut down" in log
