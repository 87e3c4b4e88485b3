"""Alembic's environment and revisions; they travel with the package."""
