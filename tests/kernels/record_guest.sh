#!/bin/sh
# Runs as init of a throw-away virtual machine: makes some load, then copies what the collectors
# read into a tar archive on the last disk. Everything is a plain file there, as it was read.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /tmp /data /out
mount -t tmpfs -o size=64m,nr_inodes=20k out /out
for module in /modules/*.ko; do insmod "$module" || echo "cannot load $module"; done

# A formatted disk, swap, a network with one neighbour, all controllers of cgroup v2.
mke2fs /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /data
mkswap /dev/vdb >/dev/null && swapon /dev/vdb
ip link set lo up
ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd /sys/fs/cgroup || exit
echo "+cpu +memory +io +pids" >cgroup.subtree_control
mkdir -p work.slice/busy.service idle.slice
echo "+cpu +memory +io +pids" >work.slice/cgroup.subtree_control
cd work.slice/busy.service || exit
echo "20000 100000" >cpu.max
echo 50 >cpu.weight
echo 16777216 >memory.high
echo 33554432 >memory.max
echo 12 >pids.max
cd /

# Load: a loop over its CPU quota, a writer over its memory limit, forks over the pids limit.
(echo 0 >/sys/fs/cgroup/work.slice/busy.service/cgroup.procs && exec sh -c 'while :; do :; done') &
(echo 0 >/sys/fs/cgroup/work.slice/busy.service/cgroup.procs && dd if=/dev/zero of=/data/written bs=1M count=24 conv=fsync 2>/dev/null)
(echo 0 >/sys/fs/cgroup/work.slice/busy.service/cgroup.procs && for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 60 & done) 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
cat /data/written >/dev/null
# Sockets: listeners, established pairs over IPv4 and IPv6, one that waits for its owner to close it.
nc -l -p 8080 -e sleep 60 &
nc -ll -p 8081 -e cat &
nc -l -p 8082 -e true &
sleep 1
sleep 60 | nc 127.0.0.1 8080 >/dev/null &
sleep 60 | nc ::1 8081 >/dev/null &
sleep 60 | nc 127.0.0.1 8082 >/dev/null &
ping -c 2 10.0.2.2 >/dev/null
wget -q -T 2 -O /dev/null http://10.0.2.2:9/ 2>/dev/null
# Names that a parser may stumble over.
printf '#!/bin/sh\nsleep 60\nexit\n' >"/tmp/two words"
printf '#!/bin/sh\nsleep 60\nexit\n' >"/tmp/a) R (1"
printf '#!/bin/sh\nsleep 60\nexit\n' >"/tmp/new
line"
printf '#!/bin/sh\nsleep 60\nexit\n' >"/tmp/$(printf 'bad\377utf')"
chmod +x /tmp/*
for name in /tmp/*; do "$name" & done
sh -c 'true & exec sleep 60' &  # leaves a zombie
sleep 60 &
renice -n 10 -p $! >/dev/null
sleep 2

record() {
    for file in "$@"; do
        [ -r "$file" ] || continue
        mkdir -p "/out${file%/*}"
        cat "$file" >"/out$file" 2>/dev/null || rm -f "/out$file"
    done
}
cd /proc
record /proc/meminfo /proc/vmstat /proc/loadavg /proc/stat /proc/uptime /proc/version /proc/cgroups /proc/mounts \
    /proc/diskstats /proc/swaps /proc/softirqs /proc/schedstat /proc/zoneinfo /proc/buddyinfo /proc/pressure/* /proc/partitions
record /proc/net/dev /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/snmp /proc/net/snmp6 /proc/net/netstat \
    /proc/net/sockstat /proc/net/sockstat6 /proc/net/softnet_stat
record /proc/sys/kernel/task_delayacct /proc/sys/kernel/pid_max /proc/sys/kernel/osrelease /proc/sys/kernel/random/boot_id \
    /proc/sys/fs/file-nr /proc/sys/fs/inode-nr /proc/sys/net/ipv4/ip_local_port_range
for pid in [0-9]*; do
    [ "$pid" -gt 20 ] && [ -z "$(readlink /proc/$pid/exe)" ] && ! grep -q zombie /proc/$pid/status && continue  # kernel threads
    record /proc/$pid/stat /proc/$pid/statm /proc/$pid/status /proc/$pid/io /proc/$pid/schedstat /proc/$pid/cgroup /proc/$pid/limits
    case "$(ls -l /proc/$pid/fd)" in *socket:*) ;; *) continue ;; esac
    mkdir -p "/out/proc/$pid/fd"
    for fd in /proc/$pid/fd/*; do ln -s "$(readlink "$fd")" "/out$fd"; done
done
record /proc/1/mountinfo
mkdir -p /out/proc/self
mv /out/proc/1/mountinfo /out/proc/self/mountinfo
for disk in /sys/block/*; do
    record "$disk/stat" "$disk/size" "$disk/dev" "$disk/removable" "$disk/ro" "$disk/queue/rotational" "$disk/queue/scheduler" \
        "$disk/queue/nr_requests" "$disk/queue/logical_block_size" "$disk/inflight"
done
for link in /sys/class/net/*; do
    record "$link/statistics/"* "$link/operstate" "$link/speed" "$link/mtu" "$link/ifindex" "$link/carrier"
done
find /sys/fs/cgroup -type f -name '*.*' | grep -v -e numa_stat -e 'cgroup\.[efkmst]' -e hugetlb -e misc -e rdma | while read -r file; do
    record "$file"
done
sync
tar -cf /dev/vdc -C /out proc sys && sync && echo recorded
poweroff -f
