"""The archive: every run, program, score and lineage in SQL. Nothing outside this package writes SQL."""

from guided_evolution.archive.store import Archive, archive_url, open_archive

__all__ = ["Archive", "archive_url", "open_archive"]
