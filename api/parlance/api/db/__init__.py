"""Postgres: tables, sessions, roles, migrations."""
