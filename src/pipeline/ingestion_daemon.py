"""The documented daemon; it is ``kernelsight ingest``."""

import kernelsight_python  # noqa: F401 - finds the project's Python

from kernelsight.surfaces.cli.ingest import ingest

if __name__ == "__main__":
    ingest(prog_name="ingestion_daemon.py")
