"""Topics, partitions and offsets in a SQLite database.

    import sqlite3, prill
    db = prill.load(sqlite3.connect("app.db"))

What SQL can then do is described in prill's doc/sql.md.
"""
import os

__version__ = "__PRILL_VERSION__"

#: The loadable extension in this package, for any other way to load it.
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prill.so")


def load(db):
    """Load prill into a sqlite3.Connection and return the connection.

    Extension loading is on only while it happens: SQL cannot load others.
    """
    if not hasattr(db, "enable_load_extension"):
        raise RuntimeError(
            "this Python's sqlite3 was built without loadable extensions;"
            " use the system's python3, or one configured with"
            " --enable-loadable-sqlite-extensions"
        )
    db.enable_load_extension(True)
    try:
        db.load_extension(path)
    finally:
        db.enable_load_extension(False)
    return db
