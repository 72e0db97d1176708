#!/bin/sh
# Runs as init of a virtual machine with another kernel: sets it up, runs the checks, and powers off.
export PATH=/bin PYTHONHOME=/python PYTHONPATH=/python/site:/checks
/bin/busybox --install -s /bin
mkdir -p /var/log && : >/var/log/dpkg.log # a machine has a package manager
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo "+cpu +memory +io +pids" >/sys/fs/cgroup/cgroup.subtree_control
echo 1 >/proc/sys/kernel/task_delayacct
for module in /modules/*.ko; do insmod "$module" || echo "cannot load $module"; done
mkdir -p /data
mke2fs -F /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /data
touch /data/file
ip link set lo up
python3 -m guest >/dev/ttyS1
poweroff -f
