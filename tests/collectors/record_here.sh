#!/bin/sh
# Record what the collectors read from the kernel that runs here:
#
#     sudo unshare --net --mount tests/collectors/record_here.sh tests/fixtures/proc/linux-6.18
#
# Nothing of the machine's own traffic, mounts or processes is in it: the network and mount
# namespaces are fresh, and what is seen in them was made by this script.
set -eu
out=$(realpath -m "$1")
root=/media # of this mount namespace alone: it ends with the script, and nothing has to be removed

mkdir -p "$out"
mount --make-rprivate /
mount -t tmpfs -o size=1m recording "$root"
mkdir "$root/sys" "$root/data" "$root/bind" "$root/with space" "$root/hidden" "$root/hidden/below"
mount -t sysfs sys "$root/sys"

copy() { # as text, for files that have no size
    mkdir -p "$out/$(dirname "$2")"
    cat "$1" >"$out/$2"
}

# Interfaces and sockets: four states, a listener with two connections in its queue.
ip link set lo up
ip link add ks0 type veth peer name ks1
ip link set ks0 up
ip link set ks1 up
python3 - "$out" <<'PYTHON'
import socket, sys
from pathlib import Path

sockets = []
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    listener = socket.create_server((address, 8080), family=family, backlog=8)
    clients = [socket.create_connection((address, 8080)) for _ in range(6)]
    served = [listener.accept()[0] for _ in range(4)]
    clients[0].close()  # FIN_WAIT2 and CLOSE_WAIT
    clients[1].close()
    served[1].close()  # TIME_WAIT
    sockets += [listener, *clients, *served]
    sender = socket.socket(family, socket.SOCK_DGRAM)
    for port, size, count in ((5000, 4096, 50), (5001, 65536, 1), (5002, 65536, 0)):  # drops, waits, is idle
        receiver = socket.socket(family, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        receiver.bind((address, port))
        sockets.append(receiver)
        for _ in range(count):
            sender.sendto(bytes(500), (address, port))
net = Path(sys.argv[1], "proc/net")
net.mkdir(parents=True, exist_ok=True)
for name in ("tcp", "tcp6", "udp", "udp6", "sockstat", "sockstat6", "snmp", "netstat", "dev"):
    (net / name).write_bytes(Path("/proc/self/net", name).read_bytes())
PYTHON

for name in meminfo vmstat loadavg stat; do copy "/proc/$name" "proc/$name"; done
for name in cpu io memory; do copy "/proc/pressure/$name" "proc/pressure/$name"; done
for name in vda loop0 zram0; do copy "$root/sys/block/$name/stat" "sys/block/$name/stat"; done
for name in ks0 ks1; do copy "$root/sys/class/net/$name/speed" "sys/class/net/$name/speed"; done

# A cgroup of its own below the unified hierarchy (beside v1 here).
group=/sys/fs/cgroup/unified/recorded.slice
mkdir "$group"
copy /sys/fs/cgroup/unified/cgroup.controllers sys/fs/cgroup/unified/cgroup.controllers
for name in cpu io memory; do
    copy "$group/$name.pressure" "sys/fs/cgroup/unified/recorded.slice/$name.pressure"
done
rmdir "$group"

# Mounts, in a root of their own: a bind mount, a name with a space, one over another, one below that.
mount -t tmpfs -o size=2m data "$root/data"
mount --bind "$root/data" "$root/bind"
mount -t tmpfs -o size=3m,ro spaced "$root/with space"
mount -t tmpfs -o size=4m below "$root/hidden/below"
mount -t tmpfs -o size=5m lower "$root/hidden"
mount -t tmpfs -o size=6m upper "$root/hidden"
mkdir -p "$out/proc/self"
grep " $root" /proc/self/mountinfo | sed "s,$root,/recording,g; s,/recording ,/ ," >"$out/proc/self/mountinfo"
