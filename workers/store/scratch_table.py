"""A table of millions of rows on the scratch disk, in memory that does not grow with them."""

import sqlite3
from pathlib import Path

CACHE_KIB = 16 * 1024


def open_table(path: Path) -> sqlite3.Connection:
    """An empty database in a file that nobody needs after a crash. Close it yourself."""
    table = sqlite3.connect(path, isolation_level=None)
    for setting in (
        "journal_mode = OFF",
        "synchronous = OFF",
        "temp_store = FILE",
        f"cache_size = -{CACHE_KIB}",
    ):
        table.execute(f"PRAGMA {setting}").close()
    return table
