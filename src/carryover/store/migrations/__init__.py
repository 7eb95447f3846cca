"""Alembic's scripts: one tree for every engine."""
