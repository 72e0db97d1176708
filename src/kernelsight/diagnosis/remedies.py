"""What can be done about a fault: every kind of remedy, declared once.

A mechanism proposes one for something to act on::

    RENICE.on(culprit, f"give {culprit.name} a lower priority, so that it yields to the others")
    SET_SYSCTL.on(MACHINE, "use ports again sooner", name="net.ipv4.tcp_tw_reuse", value="1")

An action of the agent carries a remedy out if it has the remedy's name and acts on that kind of target
(:mod:`kernelsight.agent.actions`). Every other remedy is for a person. Each has the exact command for each kind of
target that it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from kernelsight.diagnosis.model import Entity, EntityKind, Parameter, Proposal
from kernelsight.diagnosis.shell import Controller, NotTypedError, Shell, word

MACHINE = Entity("machine", "machine", "the machine")
"""What is set for the whole machine is proposed for it."""

Command = Callable[[Shell], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A kind of thing that can be done about a fault."""

    name: str
    does: str
    """What it does, in a sentence."""
    commands: Mapping[EntityKind, Command]
    """The kinds of target that it is for, each with the command that a person pastes."""
    needs: tuple[str, ...] = ()
    """Parameters that it must have ..."""
    takes: tuple[str, ...] = ()
    """... and those that it may have."""
    controller: Controller | None = None
    """What it acts on in the control group of a process; None: it is about no control group."""

    def on(self, target: Entity, text: str, **parameters: str | int) -> Proposal:
        """Propose it.

        Args:
            target: what to act on.
            text: what is to be done, for a person.
            parameters: those that it needs, and may take.

        Raises:
            TypeError: it is not for such a target, or lacks a parameter, or does not take one.
        """
        given = tuple(Parameter(name, str(value)) for name, value in parameters.items())
        proposal = Proposal(self.name, target, text, given)
        if wrong := self.wrong_with(proposal):
            raise TypeError(wrong)
        return proposal

    def wrong_with(self, proposal: Proposal) -> str:
        """Why a proposal is none of this kind; empty if it is one."""
        given = [parameter.name for parameter in proposal.parameters]
        if proposal.target.kind not in self.commands:
            return f"{self.name} is for a {' or '.join(self.commands)}, not for a {proposal.target.kind}"
        if lacking := [name for name in self.needs if name not in given]:
            return f"{self.name} needs the parameter {lacking[0]}"
        if unknown := [name for name in given if name not in self.needs + self.takes]:
            return f"{self.name} has no parameter {unknown[0]}"
        return f"{self.name} has a parameter twice" if len({*given}) < len(given) else ""


def _each(command: str) -> Command:
    """What is done to each process of a program."""
    return lambda shell: f"pgrep -x {shell.pattern} | xargs -r {command}"


def _text(command: str) -> Command:
    """A command with the target's quoted id, or its pid, in it."""
    return lambda shell: command.format(id=shell.id) if "{id}" in command else command.format(pid=shell.pid)


# --- looking ---------------------------------------------------------------------------------------


def _sockets(shell: Shell) -> str:
    port = shell.proposal.target.id.rpartition(":")[2]
    return f"ss -ltunp sport = :{port}" if port.isascii() and port.isdigit() and int(port) < 1 << 16 else "ss -ltunp"


LOOK = Remedy(
    name="look",
    does="Look at it: what is to be done about it, a person must decide.",
    commands={
        "process": _text("ps -o pid,ppid,user,nice,stat,wchan:24,etime,args -p {pid}"),
        "program": lambda shell: f"pgrep -ax {shell.pattern}",
        "cgroup": _text("systemd-cgls -l {id}"),
        "device": _text("kernelsight query range block --where device_name={id} --since 5m"),
        "mount": _text("du -xh -d 2 {id} | sort -h | tail -n 20"),
        "interface": _text("ip -s link show dev {id}"),
        "listener": _sockets,
        "rule": lambda _: "nft list ruleset",
        "limit": _text("kernelsight query range limit_holders --where limit_name={id} --since 5m"),
        "machine": lambda _: "kernelsight signals --since 10m",
    },
)

# --- priorities ------------------------------------------------------------------------------------

RENICE = Remedy(
    name="renice",
    does="Give it a lower priority on the CPUs (nice 10), so that others run first.",
    commands={"process": _text("renice -n 10 -p {pid}"), "program": _each("renice -n 10 -p")},
)
IONICE = Remedy(
    name="ionice",
    does="Give it the lowest I/O priority, where the disk's scheduler heeds priorities, so that the requests of "
    "others come first.",
    commands={"process": _text("ionice -c 3 -p {pid}"), "program": _each("ionice -c 3 -p")},
)

# --- going on --------------------------------------------------------------------------------------

CONTINUE = Remedy(
    name="continue",
    does="Let a process that was stopped go on.",
    commands={"process": _text("kill -CONT {pid}")},
)

# --- less for a process or a group -------------------------------------------------------------------


def _limit_cpu(shell: Shell) -> str:
    if shell.unit:
        return f"systemctl set-property --runtime {shell.unit} CPUQuota=$((50 * $(nproc)))%"
    half = "$((50000 * $(nproc)))"
    value, v1_name = f"{half} 100000", "cpu.cfs_quota_us"
    if shell.group:
        written = value if shell.version("cpu") == 2 else half
        return f'echo "{written}" > {shell.file("cpu", "cpu.max", v1_name)}'
    return _own_group(shell, "cpu", {"cpu.max": value}, {v1_name: half})


def _own_group(shell: Shell, controller: Controller, v2: Mapping[str, str], v1: Mapping[str, str]) -> str:
    """For processes of which no group is known but the root, which has no limits."""
    match shell.proposal.target.kind:
        case "process":
            pids = shell.pid
        case "program":
            pids = f"$(pgrep -x {shell.pattern})"
        case _:
            raise NotTypedError
    return shell.own_group(controller, v2 if shell.version(controller) == 2 else v1, pids)


LIMIT_CPU = Remedy(
    name="limit_cpu",
    does="Give it, or the service or control group that it is in, a CPU quota: half of all CPUs.",
    commands=dict.fromkeys(("process", "program", "cgroup"), _limit_cpu),
    controller="cpu",
)


def _limit_memory(shell: Shell) -> str:
    if shell.group:
        high = shell.file("memory", "memory.high", "memory.limit_in_bytes")
        use = shell.file("memory", "memory.current", "memory.usage_in_bytes")
        more = f"$(($(cat {use}) / 10 * 11))"
        if shell.unit and shell.version("memory") == 2:
            return f"systemctl set-property --runtime {shell.unit} MemoryHigh={more}"
        return f"echo {more} > {high}"
    more = f"$(($(ps -o rss= -p {shell.pid}) * 102))"
    return _own_group(shell, "memory", {"memory.high": more}, {"memory.limit_in_bytes": more})


LIMIT_MEMORY = Remedy(
    name="limit_memory",
    does="Let it, or the service or control group that it is in, use a tenth more memory than now, and no more. "
    "Version 2 slows what goes beyond; version 1 kills it.",
    commands=dict.fromkeys(("process", "cgroup"), _limit_memory),
    controller="memory",
)


def _limit_tasks(shell: Shell) -> str:
    if shell.unit:
        return f"systemctl set-property --runtime {shell.unit} TasksMax=100"
    if shell.group:
        return f"echo 100 > {shell.file('pids', 'pids.max', 'pids.max')}"
    return _own_group(shell, "pids", {"pids.max": "100"}, {"pids.max": "100"})


LIMIT_TASKS = Remedy(
    name="limit_tasks",
    does="Let it, or the service or control group that it is in, have 100 processes and threads at most; further "
    "forks fail.",
    commands=dict.fromkeys(("process", "cgroup"), _limit_tasks),
    controller="pids",
)
_SLOW_BYTES = 10 << 20


def _limit_io(shell: Shell) -> str:
    device = shell.parameter("device")
    if shell.unit:
        rates = f'IOReadBandwidthMax="/dev/{device} 10M" IOWriteBandwidthMax="/dev/{device} 10M"'
        return f"systemctl set-property --runtime {shell.unit} {rates}"
    number = f"$(cat /sys/class/block/{device}/dev)"
    v2 = {"io.max": f"{number} rbps={_SLOW_BYTES} wbps={_SLOW_BYTES}"}
    v1 = {f"blkio.throttle.{way}_bps_device": f"{number} {_SLOW_BYTES}" for way in ("read", "write")}
    if shell.group:
        writes = v2 if shell.version("io") == 2 else v1
        return " && ".join(f'echo "{value}" > {shell.file("io", name, name)}' for name, value in writes.items())
    return _own_group(shell, "io", v2, v1)


LIMIT_IO = Remedy(
    name="limit_io",
    does="Let it, or the service or control group that it is in, read and write 10 MiB/s of a disk, and no more. "
    "Version 1 does not limit what is written through the page cache.",
    commands=dict.fromkeys(("process", "program", "cgroup"), _limit_io),
    needs=("device",),
    controller="io",
)

# --- more for who is held back ----------------------------------------------------------------------


def _raise_cpu_quota(shell: Shell) -> str:
    file = shell.file("cpu", "cpu.max", "cpu.cfs_quota_us")
    if shell.unit:
        if shell.version("cpu") == 2:
            percent = f"$(awk '{{print int(200 * $1 / $2)}}' {file})"
        else:
            percent = f"$((200 * $(cat {file}) / $(cat {shell.file('cpu', '', 'cpu.cfs_period_us')})))"
        return f"systemctl set-property --runtime {shell.unit} CPUQuota={percent}%"
    if shell.version("cpu") == 2:
        return f"echo \"$(awk '{{print 2 * $1, $2}}' {file})\" > {file}"
    return f"echo $((2 * $(cat {file}))) > {file}"


RAISE_CPU_QUOTA = Remedy(
    name="raise_cpu_quota",
    does="Double the CPU quota of a control group.",
    commands={"cgroup": _raise_cpu_quota},
    controller="cpu",
)


def _times(factor: str, unlimited: str, file: str) -> str:
    """A multiple of the limit in a file; the shell's arithmetic would make 0 of `max`, and the kernel end the group."""
    return f"""$(awk '{{if ($1 == "max") print "{unlimited}"; else printf "%.0f", {factor} * $1}}' {file})"""


def _raise_memory_limit(shell: Shell) -> str:
    file = shell.file("memory", "memory.max", "memory.limit_in_bytes")
    if shell.version("memory") == 1:
        return f"echo $(($(cat {file}) / 2 * 3)) > {file}"
    high = shell.file("memory", "memory.high", "")
    if shell.unit:
        limits = f"MemoryHigh={_times('1.5', 'infinity', high)} MemoryMax={_times('1.5', 'infinity', file)}"
        return f"systemctl set-property --runtime {shell.unit} {limits}"
    more = _times("1.5", "max", '"$file"')
    return f'for file in {file} {high}; do echo "{more}" > "$file"; done'


RAISE_MEMORY_LIMIT = Remedy(
    name="raise_memory_limit",
    does="Raise the memory limits that a control group has (slowed beyond, killed beyond) by half.",
    commands={"cgroup": _raise_memory_limit},
    controller="memory",
)


def _raise_io_limit(shell: Shell) -> str:
    if shell.version("io") == 1:
        files = shell.file("io", "", "blkio.throttle")
        twice = """awk '{printf "%s %.0f\\n", $1, 2 * $2; fflush()}' "$file" > "$file\""""
        return f"for file in {files}.*_device; do {twice}; done"
    file = shell.file("io", "io.max", "")
    twice = (
        '{for (i = 2; i <= NF; i++) {split($i, limit, "="); if (limit[2] != "max") '
        '$i = sprintf("%s=%.0f", limit[1], 2 * limit[2])} print; fflush()}'
    )
    return f"awk '{twice}' {file} > {file}"


RAISE_IO_LIMIT = Remedy(
    name="raise_io_limit",
    does="Double what a control group may read and write a second of each disk for which it has a limit.",
    commands={"cgroup": _raise_io_limit},
    controller="io",
)


def _raise_task_limit(shell: Shell) -> str:
    file = shell.file("pids", "pids.max", "pids.max")
    if shell.unit:
        return f"systemctl set-property --runtime {shell.unit} TasksMax={_times('2', 'infinity', file)}"
    return f'echo "{_times("2", "max", file)}" > {file}'


RAISE_TASK_LIMIT = Remedy(
    name="raise_task_limit",
    does="Double how many processes and threads a control group may have.",
    commands={"cgroup": _raise_task_limit},
    controller="pids",
)


def _double_resource_limit(pid: str, option: str) -> str:
    twice = (
        '{soft = 2 * $1; if ($1 + 0 == 0) printf "%s:%s", $1, $2; else if ($2 + 0 == 0 || $2 > soft) '
        'printf "%.0f:%s", soft, $2; else printf "%.0f:%.0f", soft, soft}'
    )
    now = f"prlimit --pid {pid} --{option} --output SOFT,HARD --noheadings --raw"
    return f"prlimit --pid {pid} --{option}=$({now} | awk '{twice}')"


RAISE_FILE_LIMIT = Remedy(
    name="raise_file_limit",
    does="Double how many files a process may have open, until it is started again.",
    commands={"process": lambda shell: _double_resource_limit(shell.pid, "nofile")},
)
RAISE_RESOURCE_LIMIT = Remedy(
    name="raise_resource_limit",
    does="Double a limit of setrlimit(2) of a process, until it is started again.",
    commands={
        "process": lambda shell: _double_resource_limit(
            shell.pid, shell.parameter("resource").removeprefix("RLIMIT_").lower()
        )
    },
    needs=("resource",),
)

# --- parameters of the kernel ------------------------------------------------------------------------

SET_SYSCTL = Remedy(
    name="sysctl",
    does="Set a parameter of the kernel.",
    commands={"machine": lambda shell: f"sysctl -w {shell.parameter('name')}={word(shell.parameter('value'))}"},
    needs=("name", "value"),
)


def _double_sysctl(shell: Shell) -> str:
    name = shell.parameter("name")
    twice = """awk '{for (i = 1; i <= NF; i++) printf "%.0f ", 2 * $i}'"""
    return f'sysctl -w {name}="$(sysctl -n {name} | {twice})"'


DOUBLE_SYSCTL = Remedy(
    name="double_sysctl",
    does="Double a parameter of the kernel, each number of it.",
    commands={"machine": _double_sysctl},
    needs=("name",),
)
DROP_CACHES = Remedy(
    name="drop_caches",
    does="Give back pages of the page cache (1), dentries and inodes that nobody uses (2), or both (3). What is read "
    "next comes from the disk again.",
    commands={"machine": lambda shell: f"sysctl -w vm.drop_caches={shell.parameter('what') or 1}"},
    takes=("what",),
)

# --- ending and starting again -----------------------------------------------------------------------

_CONTAINER_COMMANDS = frozenset({"docker", "podman"})
"""Programs that start a container again by `restart ID`."""


def _restart(shell: Shell) -> str:
    if shell.service:
        return f"systemctl restart {shell.service}"
    by, container = shell.container
    if by in _CONTAINER_COMMANDS:
        return f"{by} restart {container}"
    return f"kill {shell.pid}  # no service is known that starts it again: start it by hand"


RESTART = Remedy(
    name="restart",
    does="Start it again with the service or container that it is in. In none, it ends, and somebody must start it.",
    commands={"process": _restart},
    controller="pids",
)
PAUSE = Remedy(
    name="pause",
    does="Stop a process for a while; nothing of it is lost, and `kill -CONT` lets it go on.",
    commands={"process": _text("kill -STOP {pid}")},
)
TERMINATE = Remedy(
    name="terminate",
    does="Ask a process to end (SIGTERM). A service manager may start it again.",
    commands={"process": _text("kill {pid}"), "program": lambda shell: f"pkill -x {shell.pattern}"},
)


@cache
def remedies() -> Mapping[str, Remedy]:
    """All kinds of remedies by name, in the order in which they are declared."""
    return {item.name: item for item in globals().values() if isinstance(item, Remedy)}
