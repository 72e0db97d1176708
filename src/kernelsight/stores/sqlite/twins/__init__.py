"""Columnar twins: each full segment is also one Parquet file beside the database, which scans read instead of its rows.

`books.py` says which segments have one, `folder.py` where the files are, `files.py` what is in one; `work.py` makes
them in a process of its own (`child.py`), so that the daemon never loads pyarrow. `shelf.py` says what a reader can
read of them, `engine.py` reads it through DuckDB: for scans (`scans.py`), and, where the rows of a segment are gone, as
a virtual table of SQLite (`archive.py`).
"""
