"""`python -m parlance.api`: the API server, or one of the commands around it.

serve       the HTTP API (the default)
recorder    relay, result writer, janitor
migrate     bring the database to the newest schema, as its owner
bootstrap   first company, administrator and API key
revision    write a migration for what changed in the tables (development)
"""

import argparse
import asyncio
import pathlib
import sys
from collections.abc import Callable

from parlance.api import settings as configuration
from parlance.api.settings import Settings
from parlance.runtime import process, telemetry
from parlance.runtime.errors import Retryable
from pydantic import ValidationError

EXIT_FAULT = 1
EXIT_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    options = _build_parser().parse_args(arguments)
    try:
        settings = configuration.read_settings()
    except ValidationError as exc:
        sys.stderr.write(f"The settings in the environment are wrong:\n{exc}\n")
        return EXIT_USAGE
    command: Callable[[Settings, argparse.Namespace], int] = options.run
    try:
        return command(settings, options)
    except Retryable as fault:  # a part is away: a sentence says as much as a traceback
        sys.stderr.write(f"{fault}\n")
        return EXIT_FAULT


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m parlance.api", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands")
    commands.add_parser("serve").set_defaults(run=_serve)
    commands.add_parser("recorder").set_defaults(run=_record)
    commands.add_parser("migrate").set_defaults(run=_migrate)
    revision = commands.add_parser("revision")
    revision.add_argument("message")
    revision.set_defaults(run=_write_revision)
    _add_bootstrap(commands.add_parser("bootstrap"))
    return parser


def _add_bootstrap(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--company", required=True, help="name shown to people")
    parser.add_argument("--slug", help="DNS label; made from the name unless given")
    parser.add_argument("--admin-email", help="login of the administrator")
    parser.add_argument(
        "--agent", action="append", default=[], metavar="NAME=EXTENSION", type=_parse_agent
    )
    parser.add_argument("--key-environment", default="live", help="word in the key: live, test")
    parser.add_argument("--rotate", action="store_true", help="replace key and password")
    parser.add_argument(
        "--write-env",
        type=pathlib.Path,
        metavar="FILE",
        help="keep key and login in this file (mode 0600) and print no secrets",
    )
    parser.set_defaults(run=_bootstrap)


def _parse_agent(text: str) -> tuple[str, str]:
    name, _, extension = text.rpartition("=")
    if not name or not extension:
        raise argparse.ArgumentTypeError("NAME=EXTENSION is wanted")
    return name, extension


def _serve(settings: Settings, _: argparse.Namespace) -> int:
    # Imported here, as below: each command loads only what it needs.
    from parlance.api import asgi

    return asgi.serve(settings)


def _record(settings: Settings, _: argparse.Namespace) -> int:
    from parlance.api.recorder import process as recorder

    telemetry.configure(settings.telemetry, service="recorder")
    return process.run(lambda running: recorder.run(settings, running))


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    from parlance.api.db import migrate, roles, searcher

    telemetry.configure(settings.telemetry, service="migrate")
    owner_url = settings.database.database_owner_url
    if owner_url is None:
        sys.stderr.write("PARLANCE_DATABASE_OWNER_URL is needed: the role that owns the tables.\n")
        return EXIT_USAGE
    app_url = settings.database.database_url.get_secret_value()
    try:
        role = asyncio.run(migrate.upgrade(owner_url.get_secret_value(), app_url))
    except (roles.UnsafeRole, searcher.UnsafeSearcher) as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_USAGE
    sys.stdout.write(f"The schema is up to date; the application role is {role}.\n")
    return 0


def _write_revision(settings: Settings, options: argparse.Namespace) -> int:
    from parlance.api.db import migrate

    owner_url = settings.database.database_owner_url
    if owner_url is None:
        sys.stderr.write("PARLANCE_DATABASE_OWNER_URL is needed: a migrated database.\n")
        return EXIT_USAGE
    asyncio.run(migrate.write_revision(owner_url.get_secret_value(), options.message))
    return 0


def _bootstrap(settings: Settings, options: argparse.Namespace) -> int:
    from parlance.api import bootstrap
    from parlance.api.db import session
    from parlance.api.identity import keys

    spec = bootstrap.Spec(
        company=options.company,
        slug=options.slug,
        admin_email=options.admin_email,
        agents=tuple(options.agent),
        key_environment=options.key_environment,
        is_rotating=options.rotate,
        env_file=options.write_env,
    )

    async def run() -> bootstrap.Outcome:
        async with session.open_database(settings.database) as database:
            return await bootstrap.bootstrap(database, spec)

    try:
        outcome = asyncio.run(run())
    except keys.InvalidEnvironment as exc:
        sys.stderr.write(f"--key-environment: {exc}\n")
        return EXIT_USAGE
    sys.stdout.write(outcome.format_json(has_secrets=spec.env_file is None) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
