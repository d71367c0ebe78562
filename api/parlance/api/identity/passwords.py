"""Passwords of users: argon2id, since people choose them. Called in a thread: it takes 150 ms."""

import functools
import secrets

import argon2

_HASHER = argon2.PasswordHasher()


def hash_password(password: str) -> str:
    """With the library's defaults, which cost 64 MiB and about 150 ms."""
    return _HASHER.hash(password)


def is_password_right(password_hash: str | None, password: str) -> bool:
    """The same work for a user without a password, so that the time tells nothing."""
    try:
        _HASHER.verify(password_hash or _hash_of_nobody(), password)
    except argon2.exceptions.VerificationError:
        return False
    return password_hash is not None


@functools.cache
def _hash_of_nobody() -> str:
    return hash_password(secrets.token_urlsafe())
