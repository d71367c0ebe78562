"""API keys: how they are made, stored and checked. Called by `guard` and by `bootstrap`.

A key is `pk_<env>_<key id>_<secret>_<crc>`: the prefix lets scanners find leaked keys, the key id
finds the row, the secret has 256 random bits, the CRC tells a mistyped key from a wrong one
without a query. The database holds the SHA-256 of the whole text, so a copy of it opens nothing;
a slow password hash would add 150 ms to each request and protects only secrets that people choose.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.identity import principal as principals
from parlance.api.identity.principal import Principal
from parlance.contracts.ids import CompanySlug
from parlance.runtime.clock import Clock
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_ALPHABET = string.digits + string.ascii_letters
_PREFIX = "pk_"
_KEY_ID_LENGTH = 12
_SECRET_LENGTH = 43  # 62**43 > 2**256
_CRC_LENGTH = 6
_MAX_LENGTH = 128
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_.-]{1,32}")

CACHE_SECONDS = 5.0
"""How long a checked key is believed: a revoked one works at most this much longer."""
CACHE_ENTRIES = 4096
LAST_USED_SECONDS = 60.0
"""`last_used_at` is written at most this often: a write costs more than the read."""


class InvalidKey(Exception):
    """Missing, malformed, unknown, revoked or expired: callers are not told which."""


class InvalidEnvironment(ValueError):
    """No key can carry this environment."""

    def __init__(self) -> None:
        super().__init__("1 to 32 letters, digits, dots, dashes or underscores")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment its text is known."""

    text: str
    key_id: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read for one key text."""

    principal: Principal
    key_id: str
    expires_at: datetime | None
    last_used_at: datetime | None
    believed_until: float

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


def generate_key(environment: str = "live") -> NewKey:
    """A new key. `environment` is a word such as `live` or `test`. Raises InvalidEnvironment."""
    if not _ENVIRONMENT.fullmatch(environment):
        raise InvalidEnvironment
    key_id = _random_text(_KEY_ID_LENGTH)
    body = f"{_PREFIX}{environment}_{key_id}_{_random_text(_SECRET_LENGTH)}"
    text = f"{body}_{_format_crc(body)}"
    return NewKey(text=text, key_id=key_id, sha256=_digest(text))


def parse_key_id(text: str) -> str:
    """The key id in a key's text. Raises InvalidKey when it cannot be one of ours."""
    if not text.isascii() or len(text) > _MAX_LENGTH or not text.startswith(_PREFIX):
        raise InvalidKey
    # From the right: an environment may hold underscores, the other parts hold none.
    match text.rsplit("_", 3):
        case [_, key_id, _, crc] if key_id.isalnum():
            if hmac.compare_digest(crc, _format_crc(text[: -len(crc) - 1])):
                return key_id
    raise InvalidKey


class KeyRing:
    """Checks keys; remembers the good ones for a few seconds. One per process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[bytes, _Known] = {}

    async def verify_key(self, text: str) -> Principal:
        """Whose key this is. Raises InvalidKey, or DatabaseUnavailable."""
        key_id = parse_key_id(text)
        digest = _digest(text)
        known = self._known.get(digest)
        if known is None or known.believed_until < self._clock.monotonic():
            known = await self._fetch(key_id, digest)
        if known.is_expired(self._clock.now()):
            raise InvalidKey
        return known.principal

    async def _fetch(self, key_id: str, digest: bytes) -> _Known:
        believed_until = self._clock.monotonic() + CACHE_SECONDS
        async with self._database.system_session() as session:
            known = await _read_key(session, key_id, digest, believed_until)
            await _note_use(session, known, self._clock.now())
        if len(self._known) >= CACHE_ENTRIES:
            self._known.clear()  # simple and rare: one more query per key
        self._known[digest] = known
        return known


async def _read_key(
    session: AsyncSession, key_id: str, digest: bytes, believed_until: float
) -> _Known:
    """The same work whether the key is unknown, wrong, revoked or right: one query, one compare."""
    query = (
        sa.select(tables.ApiKey, col(tables.Company.slug))
        .join(tables.Company, col(tables.Company.id) == col(tables.ApiKey.company_id))
        .where(col(tables.ApiKey.id) == key_id)
    )
    row = (await session.execute(query)).one_or_none()
    stored = row[0].sha256 if row is not None else bytes(len(digest))
    if not hmac.compare_digest(stored, digest) or row is None or row[0].revoked_at is not None:
        raise InvalidKey
    key, slug = row
    return _Known(
        principal=Principal(
            company_id=key.company_id,
            company_slug=CompanySlug(slug),
            actor=principals.format_key_actor(key.id),
            scopes=frozenset(key.scopes),
        ),
        key_id=key.id,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        believed_until=believed_until,
    )


async def _note_use(session: AsyncSession, known: _Known, now: datetime) -> None:
    """An expired key is not used: it is refused."""
    if known.is_expired(now):
        return
    if known.last_used_at and now - known.last_used_at < timedelta(seconds=LAST_USED_SECONDS):
        return
    await session.execute(
        sa.update(tables.ApiKey)
        .where(
            col(tables.ApiKey.company_id) == known.principal.company_id,
            col(tables.ApiKey.id) == known.key_id,
        )
        .values(last_used_at=now)
    )


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _format_crc(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits.rjust(_CRC_LENGTH, _ALPHABET[0])


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
