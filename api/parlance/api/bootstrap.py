"""First company, administrator and API key: `python -m parlance.api bootstrap`.

Safe to repeat. Secrets are made once and shown once; with an environment file the file decides:
while it holds a working key nothing is made, and when it was lost new secrets replace the old.
"""

import asyncio
import dataclasses
import json
import os
import pathlib
import re
import secrets
import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.identity import keys, passwords
from parlance.api.identity.scopes import Scope
from parlance.contracts import ids
from parlance.runtime.clock import SystemClock
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

KEY_NAME = "bootstrap"
KEY_VARIABLE = "PARLANCE_API_KEY"
_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Spec:
    """What should exist afterwards."""

    company: str
    slug: str | None = None
    admin_email: str | None = None
    agents: tuple[tuple[str, str], ...] = ()
    """(name, extension id)."""
    key_environment: str = "live"
    is_rotating: bool = False
    """Replace the key and the password although they exist."""
    env_file: pathlib.Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What exists now. Secrets are None when they were made earlier."""

    company: str
    company_id: str
    is_new: bool
    admin_id: str
    admin_email: str
    admin_password: str | None
    api_key: str | None
    agents: dict[str, str]
    """User ids by extension id."""

    def format_json(self, *, has_secrets: bool) -> str:
        """For the terminal: with the secrets, unless they are in a file already."""
        values = dataclasses.asdict(self)
        if not has_secrets:
            del values["admin_password"], values["api_key"]
        return json.dumps(values, indent=2)


async def bootstrap(database: Database, spec: Spec) -> Outcome:
    """Make what is missing. Raises InvalidId for a bad slug, DatabaseUnavailable."""
    slug = ids.parse_company(spec.slug or derive_slug(spec.company))
    needs_secrets = spec.is_rotating or not await _has_working_key(database, spec, slug)
    password = secrets.token_urlsafe(15) if needs_secrets else None
    password_hash = await asyncio.to_thread(passwords.hash_password, password) if password else None
    key = keys.generate_key(spec.key_environment) if needs_secrets else None
    async with database.system_session() as session:
        # Two at once: the second waits here and then finds the work done.
        await session.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:s))"), {"s": slug})
        company, is_new = await _ensure_company(session, slug, spec.company)
        email = (spec.admin_email or f"admin@{slug}.example").strip().lower()
        admin = await _ensure_admin(session, company.id, email, password_hash)
        agents = {
            extension: await _ensure_agent(session, company.id, name, extension)
            for name, extension in spec.agents
        }
        if key is not None:
            await _replace_key(session, company.id, key)
        outcome = Outcome(
            company=slug,
            company_id=str(company.id),
            is_new=is_new,
            admin_id=str(admin.id),
            admin_email=email,
            admin_password=password,
            api_key=key.text if key else None,
            agents={extension: str(agent_id) for extension, agent_id in agents.items()},
        )
        # Before the commit: a file without a key in the database is mended by the next run, a
        # key that nobody knows would not be noticed.
        if spec.env_file is not None and needs_secrets:
            write_env_file(spec.env_file, _list_variables(outcome))
    return outcome


def derive_slug(name: str) -> str:
    """`Acme Corp.` becomes `acme-corp`."""
    return _NOT_IN_SLUG.sub("-", name.lower()).strip("-")[:63].rstrip("-")


def write_env_file(path: pathlib.Path, variables: dict[str, str]) -> None:
    """Set variables in a file of `NAME=value` lines that only we may read; keep the others."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if line.partition("=")[0] not in variables]
    text = "\n".join([*kept, *(f"{name}={value}" for name, value in variables.items())]) + "\n"
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    unfinished.replace(path)


def _list_variables(outcome: Outcome) -> dict[str, str]:
    return {
        KEY_VARIABLE: outcome.api_key or "",
        "PARLANCE_COMPANY": outcome.company,
        "PARLANCE_ADMIN_EMAIL": outcome.admin_email,
        "PARLANCE_ADMIN_PASSWORD": outcome.admin_password or "",
    }


async def _has_working_key(database: Database, spec: Spec, slug: str) -> bool:
    """By the file where there is one; otherwise, whether the company exists at all."""
    if spec.env_file is None:
        query = sa.select(col(tables.Company.id)).where(col(tables.Company.slug) == slug)
        async with database.system_session() as session:
            return await session.scalar(query) is not None
    if not spec.env_file.exists():
        return False
    lines = spec.env_file.read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line).get(KEY_VARIABLE, "")
    try:
        principal = await keys.KeyRing(database, SystemClock()).verify_key(found)
    except keys.InvalidKey:
        return False
    return principal.company_slug == slug


async def _ensure_company(
    session: AsyncSession, slug: str, name: str
) -> tuple[tables.Company, bool]:
    query = sa.select(tables.Company).where(col(tables.Company.slug) == slug)
    found = await session.scalar(query)
    if found is not None:
        return found, False
    company = tables.Company(slug=slug, name=name)
    session.add(company)
    await session.flush()
    return company, True


async def _ensure_admin(
    session: AsyncSession, company_id: uuid.UUID, email: str, password_hash: str | None
) -> tables.User:
    query = sa.select(tables.User).where(
        col(tables.User.company_id) == company_id, col(tables.User.email) == email
    )
    admin = await session.scalar(query)
    if admin is None:
        admin = tables.User(
            company_id=company_id,
            name="Administrator",
            email=email,
            role=tables.UserRole.ADMIN,
        )
        session.add(admin)
    if password_hash is not None:
        admin.password_hash = password_hash
    await session.flush()
    return admin


async def _ensure_agent(
    session: AsyncSession, company_id: uuid.UUID, name: str, extension: str
) -> uuid.UUID:
    user = tables.User
    query = sa.select(col(user.id)).where(
        col(user.company_id) == company_id, col(user.extension_id) == extension
    )
    found: uuid.UUID | None = (await session.scalars(query)).first()
    if found is not None:
        return found
    agent = tables.User(company_id=company_id, name=name, extension_id=extension)
    session.add(agent)
    await session.flush()
    return agent.id


async def _replace_key(session: AsyncSession, company_id: uuid.UUID, key: keys.NewKey) -> None:
    """The new one, and an end to those that were made here before."""
    table = tables.ApiKey
    await session.execute(
        sa.update(table)
        .where(
            col(table.company_id) == company_id,
            col(table.name) == KEY_NAME,
            col(table.revoked_at).is_(None),
        )
        .values(revoked_at=tables.utc_now())
    )
    session.add(
        tables.ApiKey(
            id=key.key_id,
            company_id=company_id,
            name=KEY_NAME,
            sha256=key.sha256,
            scopes=[Scope.ADMIN],
        )
    )
