#!/usr/bin/env bash
# Try a Debian package on a clean Debian with systemd, in a container: try_deb.sh PACKAGE.deb
# Installs it, waits until all parts run and rows are stored, kills and stops parts, removes and purges it, and compares the
# files before and after. Needs root, debootstrap and systemd-container.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
package=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=${KERNELSIGHT_DEBIAN_ROOT:-$work/root}
if [[ ! -d $root/usr ]]; then
  debootstrap --variant=minbase --include=systemd,systemd-sysv,python3,libbpf1,adduser,init-system-helpers,procps \
    bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" || { tail "$work/debootstrap.log"; exit 1; }
fi
cp "$package" "$root/root/"
cp "$here/in_container.sh" "$root/root/try.sh"
cat >"$root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh /root/try.sh
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../try.service "$root/etc/systemd/system/multi-user.target.wants/try.service"
rm -f "$root/result"
timeout 600 systemd-nspawn --register=no --keep-unit --quiet --directory="$root" --machine="kernelsight-try-$$" \
  --private-network --capability=CAP_BPF,CAP_PERFMON,CAP_SYS_PTRACE,CAP_DAC_READ_SEARCH,CAP_SYSLOG \
  --system-call-filter='bpf perf_event_open' --boot >"$work/console" 2>&1 || { tail -30 "$work/console"; exit 1; }
cat "$root/result"
tail -1 "$root/result" | grep -q '^PASSED$'
