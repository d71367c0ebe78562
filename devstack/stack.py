"""The whole of Parlance on one machine: real servers, real processes, as one context manager.

`make demo`, `make up`, the end-to-end tests and the benchmarks all stand on `open_stack`. Each
process of Parlance is started the way its container starts it: `python -m`, settings by
environment. Nothing here is imported by the product.
"""

import asyncio
import contextlib
import dataclasses
import json
import pathlib
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

import asyncpg

from devstack import (
    errors,
    http_probe,
    nats_server,
    ports,
    postgres,
    private_files,
    process,
    progress,
    triton,
)
from devstack.clusters import Cluster, open_cluster

DATABASE = "parlance"
OWNER_ROLE = "parlance_owner"
APP_ROLE = "parlance_app"
NAMESPACE = "parlance"
COMPANY = "acme"
ROOT = pathlib.Path(__file__).resolve().parent.parent

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Credentials:
    """What `bootstrap` made: shown by `make up`, used by tests."""

    company: str
    api_key: str
    admin_email: str
    admin_password: str
    admin_user_id: str


@dataclasses.dataclass(frozen=True)
class Options:
    """How a stack differs from the usual one."""

    apis: int = 1
    """API processes; the second and later ones are for tests of resuming elsewhere."""
    port: int | None = None
    """Port of the first API; a free one when absent."""
    is_durable: bool = True
    """Fsync in Postgres and etcd."""
    use_current_cluster: bool = False
    """Take the cluster of KUBECONFIG instead of starting a control plane."""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """More settings for every process of Parlance."""
    model_environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """More settings for the model server."""


@dataclasses.dataclass(frozen=True)
class Stack:
    """A running Parlance."""

    url: str
    """Of the first API."""
    urls: tuple[str, ...]
    credentials: Credentials
    cluster: Cluster
    namespace: str
    nats: nats_server.NatsServer
    postgres: postgres.Postgres
    triton: triton.TritonServer
    processes: Mapping[str, process.ServerProcess]
    """`api`, `api-2`..., `recorder`, `operator`, `worker` (calls) and `text-worker` (tickets): for
    fault tests."""
    folder: pathlib.Path
    environment: Mapping[str, str]
    """Settings of the processes, for starting another one."""


@contextlib.asynccontextmanager
async def open_stack(folder: pathlib.Path, options: Options | None = None) -> AsyncIterator[Stack]:
    """Start everything, in parallel where nothing depends on the other; end it at the end."""
    options = options or Options()
    folder.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        async with progress.open_step("starting NATS, Postgres, Kubernetes API and Triton"):
            nats, database, cluster, model = await _open_servers(stack, folder, options)
        environment = {
            **_build_environment(folder, nats, cluster, model),
            **await _prepare_database(database),
            **options.environment,
        }
        step = progress.open_step("preparing schema, custom resources and the first company")
        async with step, asyncio.TaskGroup() as tasks:
            tasks.create_task(_prepare_cluster(cluster))
            credentials = tasks.create_task(_prepare_company(folder, environment))
        async with progress.open_step("starting api, recorder, operator and two workers"):
            urls, processes = await _open_processes(stack, folder, environment, options)
        yield Stack(
            url=urls[0],
            urls=urls,
            credentials=credentials.result(),
            cluster=cluster,
            namespace=NAMESPACE,
            nats=nats,
            postgres=database,
            triton=model,
            processes=processes,
            folder=folder,
            environment=environment,
        )


async def _open_servers(
    stack: contextlib.AsyncExitStack, folder: pathlib.Path, options: Options
) -> tuple[nats_server.NatsServer, postgres.Postgres, Cluster, triton.TritonServer]:
    is_durable = options.is_durable
    opening = open_cluster(
        folder / "kubernetes", use_current=options.use_current_cluster, is_durable=is_durable
    )
    # A task group, not gather: when one fails, the others have stopped starting before the
    # exit stack closes what has started.
    async with asyncio.TaskGroup() as tasks:
        nats = tasks.create_task(stack.enter_async_context(nats_server.open_nats(folder / "nats")))
        database = tasks.create_task(
            stack.enter_async_context(
                postgres.open_postgres(folder / "postgres", is_durable=is_durable)
            )
        )
        cluster = tasks.create_task(stack.enter_async_context(opening))
        model_server = triton.open_triton(folder / "triton", environment=options.model_environment)
        model = tasks.create_task(stack.enter_async_context(model_server))
    return nats.result(), database.result(), cluster.result(), model.result()


def _build_environment(
    folder: pathlib.Path,
    nats: nats_server.NatsServer,
    cluster: Cluster,
    model: triton.TritonServer,
) -> dict[str, str]:
    return {
        "PARLANCE_NATS_URL": nats.url,
        "PARLANCE_STORE_URL": f"file://{folder / 'objects'}",
        "PARLANCE_NAMESPACE": NAMESPACE,
        "PARLANCE_TRITON_URL": model.grpc_url,
        "PARLANCE_METRICS_HOST": ports.LOOPBACK,
        "KUBECONFIG": cluster.kubeconfig,
    }


async def _prepare_database(server: postgres.Postgres) -> dict[str, str]:
    """Owner role and database. The schema and the application role are the product's own work."""
    passwords = {role: secrets.token_urlsafe(16) for role in (OWNER_ROLE, APP_ROLE)}
    admin = await asyncpg.connect(server.admin_dsn)
    try:
        for role, extra in ((OWNER_ROLE, "CREATEROLE"), (APP_ROLE, "")):
            exists = await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if exists else "CREATE"
            await admin.execute(f"{verb} ROLE {role} LOGIN {extra} PASSWORD '{passwords[role]}'")
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await admin.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE}")
    finally:
        await admin.close()
    return {
        "PARLANCE_DATABASE_URL": server.format_dsn(APP_ROLE, passwords[APP_ROLE], DATABASE),
        "PARLANCE_DATABASE_OWNER_URL": server.format_dsn(
            OWNER_ROLE, passwords[OWNER_ROLE], DATABASE
        ),
    }


async def _prepare_cluster(cluster: Cluster) -> None:
    await cluster.apply(ROOT / "crds")
    await cluster.create_namespace(NAMESPACE)


async def _prepare_company(folder: pathlib.Path, environment: Mapping[str, str]) -> Credentials:
    """Schema and first company, by the same commands that an administrator runs."""
    await _run_parlance("api", "migrate", folder=folder, environment=environment)
    kept = folder / "credentials.json"
    if not kept.exists():
        made = await _run_parlance(
            "api", "bootstrap", "--company", "Acme", "--slug", COMPANY,
            "--admin-email", "admin@acme.example", "--agent", "Extension 456=EXT-456",
            # A start that was broken off may have made them, and nobody knows their secrets.
            "--rotate",
            folder=folder, environment=environment,
        )  # fmt: skip
        private_files.write(kept, made)
    values = json.loads(kept.read_text())
    return Credentials(
        company=values["company"],
        api_key=values["api_key"],
        admin_email=values["admin_email"],
        admin_password=values["admin_password"],
        admin_user_id=values["admin_id"],
    )


async def _open_processes(
    stack: contextlib.AsyncExitStack,
    folder: pathlib.Path,
    environment: Mapping[str, str],
    options: Options,
) -> tuple[tuple[str, ...], dict[str, process.ServerProcess]]:
    api_ports = [options.port or ports.find_free_port()]
    api_ports += [ports.find_free_port() for _ in range(options.apis - 1)]
    starting = {
        "recorder": open_parlance(folder, environment, "recorder", "api", "recorder"),
        "operator": open_parlance(folder, environment, "operator", "operator"),
        "worker": open_worker(folder, environment, "worker", "call"),
        "text-worker": open_worker(folder, environment, "text-worker", "ticket"),
    }
    for number, port in enumerate(api_ports, start=1):
        name = "api" if number == 1 else f"api-{number}"
        starting[name] = _open_api(folder, environment, name, port)
    async with asyncio.TaskGroup() as tasks:
        started = {
            name: tasks.create_task(stack.enter_async_context(one))
            for name, one in starting.items()
        }
    urls = tuple(f"http://{ports.LOOPBACK}:{port}" for port in api_ports)
    return urls, {name: task.result() for name, task in started.items()}


def open_worker(
    folder: pathlib.Path, environment: Mapping[str, str], name: str, lanes: str
) -> contextlib.AbstractAsyncContextManager[process.ServerProcess]:
    """A worker of these kinds of work, separated by commas."""
    settings = {**environment, "PARLANCE_WORKER_LANES": lanes, "PARLANCE_WORKER_NAME": name}
    return open_parlance(folder, settings, name, "inference", "worker")


def open_parlance(
    folder: pathlib.Path, environment: Mapping[str, str], name: str, component: str, *words: str
) -> contextlib.AbstractAsyncContextManager[process.ServerProcess]:
    """One process without an HTTP API of its own; ready when its health port says so."""
    port = ports.find_free_port()
    command = _build_command(
        folder, {**environment, "PARLANCE_METRICS_PORT": str(port)}, name, component, *words
    )
    return process.open_server(command, _http_check(port))


def _open_api(
    folder: pathlib.Path, environment: Mapping[str, str], name: str, port: int
) -> contextlib.AbstractAsyncContextManager[process.ServerProcess]:
    settings = {
        **environment,
        "PARLANCE_HTTP_HOST": ports.LOOPBACK,
        "PARLANCE_HTTP_PORT": str(port),
        "PARLANCE_METRICS_PORT": str(ports.find_free_port()),
    }
    command = _build_command(folder, settings, name, "api", "serve")
    return process.open_server(command, _http_check(port))


def _http_check(port: int) -> Callable[[], Awaitable[bool]]:
    async def is_ready() -> bool:
        return await http_probe.is_ok(f"http://{ports.LOOPBACK}:{port}/health/ready")

    return is_ready


def _build_command(
    folder: pathlib.Path, environment: Mapping[str, str], name: str, component: str, *words: str
) -> process.Command:
    return process.Command(
        name=name,
        argv=[sys.executable, "-m", f"parlance.{component}", *words],
        log_path=folder / "logs" / f"{name}.log",
        environment=environment,
        folder=folder,
        stop_timeout_seconds=30.0,
    )


async def _run_parlance(
    component: str, *words: str, folder: pathlib.Path, environment: Mapping[str, str]
) -> str:
    """Run a command of Parlance to its end; returns what it printed."""
    argv = (sys.executable, "-m", f"parlance.{component}", *words)
    log_path = folder / "logs" / f"{component}-{words[0]}.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        async with process.open_command(
            argv,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            folder=folder,
            environment=environment,
        ) as started:
            output, _ = await started.communicate()
    if started.returncode != 0:
        raise errors.CommandFailed(argv, started.returncode or 0, log_path)
    return output.decode()
