"""Control groups of version 2 as a tree of files, for tests on a machine that may have version 1."""

from __future__ import annotations

from own_processes import HOST, executor


class Tree:
    """A hierarchy of version 2 in a folder, and a /proc in which some processes are in its groups."""

    def __init__(self, folder):
        self.root = folder / "cgroup"
        self.proc = folder / "proc"
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/mountinfo").write_text(f"1 0 0:1 / {self.root} rw - cgroup2 cgroup2 rw\n")
        self.group("/", limits={}, handed_on="cpu memory pids")

    def group(self, path, limits=None, handed_on="", members=()):
        folder = self.root / path.lstrip("/")
        folder.mkdir(parents=True)
        files = {
            "cgroup.controllers": "cpu memory pids",
            "cgroup.subtree_control": handed_on,
            "cgroup.procs": "".join(f"{pid}\n" for pid in members),
        }
        usual = {"cpu.max": "max 100000", "memory.high": "max", "memory.max": "max", "pids.max": "max"}
        if path != "/":
            files |= usual | (limits or {})
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    def put(self, pid, path):
        """Show a real process as being in a group."""
        (self.proc / str(pid)).mkdir()
        for name in ("stat", "status", "task", "exe"):
            (self.proc / str(pid) / name).symlink_to(f"/proc/{pid}/{name}")
        (self.proc / str(pid) / "cgroup").write_text(f"0::{path}\n")

    def plan(self, tmp_path, request):
        one = executor(tmp_path)
        one.host = type(HOST)(proc=self.proc, cgroup=self.root)
        return list(one.plan(request).changes)
